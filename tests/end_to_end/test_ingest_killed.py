"""Workers, the service and the embedded database are killed at random moments; the store ends as if nobody had been."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.database.store import open_store
from tests.helpers.killed import Service, Worker, postmaster, reviewer_with_case, take_in
from tests.helpers.recordings import contents, segment_states, write_district

FEW = {"a worker": 4, "the database": 1, "the service": 1}
TWENTY = {"a worker": 12, "the database": 5, "the service": 3}


def finish(folder: Path) -> None:
    """Work until nothing is left."""
    worker = Worker(folder)
    assert worker.process.wait(timeout=120) == 0, worker.log.read_text()[-3000:]


@pytest.fixture
def undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[object]]:
    """A district's folder, and what a store holds when all of it was looked at in peace."""
    district = write_district(tmp_path / "demo", num_cameras=12)
    folder = take_in(tmp_path / "undisturbed", district, monkeypatch)
    finish(folder)
    with open_store(folder / "store") as store:
        assert set(segment_states(store).values()) == {"done"}
        return district, contents(store)


@pytest.fixture
def services() -> Iterator[list[Service]]:
    """All that were started, the newest last; none outlives the test."""
    started: list[Service] = []
    yield started
    for one in started:
        one.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    "kills", [pytest.param(FEW, id="few"), pytest.param(TWENTY, id="twenty", marks=pytest.mark.soak)]
)
def test_nothing_is_lost_or_doubled_by_kills(
    kills: dict[str, int],
    undisturbed: tuple[Path, list[object]],
    services: list[Service],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    district, wanted = undisturbed
    rng = random.Random(2024)
    victims = [victim for victim, number in kills.items() for _ in range(number)]
    rng.shuffle(victims)
    answers: Counter[int] = Counter()
    rounds = 0
    while victims:
        rounds += 1
        folder = take_in(tmp_path / f"killed-{rounds}", district, monkeypatch)
        is_served = "the service" in victims  # it takes long to start
        if is_served:
            token = reviewer_with_case(folder)
            services.append(Service(folder, token, answers))
            services[-1].wait_until_ok("/livez")
        workers = [Worker(folder), Worker(folder)]
        while victims:
            chosen = rng.randrange(2)
            if rng.random() < 0.8:  # else while it starts
                workers[chosen].wait_until_ready()
            time.sleep(rng.uniform(0, 1.5))
            if victims[-1] == "the service":
                services[-1].kill()
                services.append(Service(folder, token, answers))
            elif victims[-1] == "the database" and (number := postmaster(folder, workers[chosen])) is not None:
                os.kill(number, signal.SIGKILL)  # the workers wait for it
            elif workers[chosen].kill():
                workers[chosen] = Worker(folder)
                if victims[-1] == "the database":  # it was not there
                    continue
            else:
                break  # nothing was left to be done: another round
            victims.pop()
        for one in workers:
            one.kill()
        finish(folder)
        if is_served:
            services[-1].wait_until_ok("/readyz")
            services[-1].kill()
        with open_store(folder / "store") as store:
            assert contents(store) == wanted
    assert answers[200], answers
    assert set(answers) <= {200, 503}, answers
