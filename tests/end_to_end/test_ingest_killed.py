"""Workers, the service and the embedded database are killed at random moments; the store ends as if nobody had been."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from serving import ingest, package
from serving.access.accounts import create_account
from serving.access.roles import Role
from serving.cases.cases import open_case
from serving.database.store import open_store
from tests.end_to_end.conftest import free_port, wait_until
from tests.helpers.deployments import FOR_CASE, REVIEWER, write_deployment
from tests.helpers.hostile_uploads import picture_file
from tests.helpers.project import ROOT
from tests.helpers.recordings import contents, segment_states, write_district

KILLS = 20
KILLS_OF_SERVICE = 3  # rounds go on without it then, for it takes long to start
READY = "waiting for segments"
QUICK = (
    "serving.ingest.heartbeat_s=0.3",
    "serving.ingest.dead_after_s=1.5",
    "serving.ingest.cameras_at_once=2",
    "tracking.perception.detector_batch=1",  # as slow as it can be
)
PHOTO = picture_file(np.random.default_rng(0))
ASK_EVERY_S = 0.6  # more searches of one account are answered 429


class Worker:
    """A worker in a process of its own, with a log of its own."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving.worker", "--until-empty", *QUICK],
                cwd=folder, env=environment, stdout=log, stderr=log,
            )  # fmt: skip

    def wait_until_ready(self) -> None:
        """Until it looks for jobs, or has ended."""
        while self.process.poll() is None and READY not in self.log.read_text():
            time.sleep(0.05)

    def kill(self) -> bool:
        """Whether it was there to be killed."""
        was_running = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        return was_running


class Service:
    """The service over the same store, in processes of its own; a thread searches in it again and again."""

    def __init__(self, folder: Path, token: str, answers: Counter[int]) -> None:
        port = free_port()
        self._address, self._token, self._answers = f"http://127.0.0.1:{port}", token, answers
        self._log = folder / f"service-{port}.log"
        with self._log.open("wb") as log:
            self._process = psutil.Popen(
                [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)],
                cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=log, stderr=log,
            )  # fmt: skip
        self._is_killed = threading.Event()
        self._asker = threading.Thread(target=self._ask)
        self._asker.start()

    def wait_until_ok(self, path: str) -> None:
        wait_until(lambda: self._status(path) == 200, 120, lambda: self._log.read_text()[-3000:])

    def kill(self) -> None:
        """With all its children; a second time is as once."""
        if self._process.is_running():
            self._process.suspend()  # it would start them again
            for one in (*self._process.children(recursive=True), self._process):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            self._process.wait()
        self._is_killed.set()
        self._asker.join()

    def _ask(self) -> None:
        while not self._is_killed.wait(ASK_EVERY_S):
            status = self._status("/v1/search", data=FOR_CASE, files={"photo": PHOTO})
            if status is not None:
                self._answers[status] += 1

    def _status(self, path: str, **form: object) -> int | None:
        """Of the answer; None if there was none."""
        headers = {"Authorization": f"Bearer {self._token}"}
        with suppress(httpx.TransportError):
            method = "POST" if form else "GET"
            return httpx.request(method, self._address + path, headers=headers, timeout=30, **form).status_code
        return None


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


def take_in(folder: Path, district: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_deployment(folder)
    package._stage_code(folder)
    monkeypatch.chdir(folder)
    ingest.main([str(district), "--district", "demo"])
    return folder


def postmaster(folder: Path) -> int:
    return int((folder / "store" / "postgres" / "postmaster.pid").read_text().splitlines()[0])


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_by_kills(
    undisturbed: tuple[Path, list[object]], services: list[Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    district, wanted = undisturbed
    rng = random.Random(2024)
    killed = dict.fromkeys(("a worker", "the database", "the service"), 0)
    answers: Counter[int] = Counter()
    rounds = 0
    while sum(killed.values()) < KILLS:
        rounds += 1
        folder = take_in(tmp_path / f"killed-{rounds}", district, monkeypatch)
        is_served = killed["the service"] < KILLS_OF_SERVICE
        if is_served:
            token = reviewer_with_case(folder)
            services.append(Service(folder, token, answers))
            services[-1].wait_until_ok("/livez")
        workers = [Worker(folder), Worker(folder)]
        while sum(killed.values()) < KILLS:
            chosen = rng.randrange(2)
            if rng.random() < 0.8:  # else while it starts
                workers[chosen].wait_until_ready()
            time.sleep(rng.uniform(0, 1.5))
            [victim] = rng.choices(list(killed), weights=(10, 2, 5 if is_served else 0))
            if victim == "the service":
                services[-1].kill()
                services.append(Service(folder, token, answers))
            elif victim == "the database" and workers[chosen].process.poll() is None:
                kill_database(folder, workers)
                workers = [Worker(folder), Worker(folder)]
            elif workers[chosen].kill():
                victim = "a worker"
                workers[chosen] = Worker(folder)
            else:
                break  # nothing was left to be done: another round
            killed[victim] += 1
        for one in workers:
            one.kill()
        finish(folder)
        if is_served:
            services[-1].wait_until_ok("/readyz")
            services[-1].kill()
        with open_store(folder / "store") as store:
            assert contents(store) == wanted
    assert all(killed.values()), killed
    assert answers[200], answers
    assert set(answers) <= {200, 503}, answers


def reviewer_with_case(folder: Path) -> str:
    """The token of an account that may search for `FOR_CASE`."""
    with open_store(folder / "store") as store, store.begin() as connection:
        open_case(connection, REVIEWER, "A missing child", operators=[])
        return create_account(connection, "reviewer", Role.REVIEWER, "test")


def kill_database(folder: Path, workers: Sequence[Worker]) -> None:
    """Both workers end with an error that says why, or with success if they had just done the last segment."""
    for worker in workers:
        worker.wait_until_ready()
    os.kill(postmaster(folder), signal.SIGKILL)
    for worker in workers:
        ended = worker.process.wait(timeout=60)
        assert ended == 0 or (ended == 1 and "the database must stay reachable" in worker.log.read_text())
