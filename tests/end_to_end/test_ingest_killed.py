"""Workers and the embedded database are killed at random moments; the store ends as if nobody had been."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from serving import ingest
from serving.database.store import open_store
from tests.conftest import ROOT
from tests.deployments import write_deployment
from tests.recordings import contents, segment_states, write_district

KILLS = 20
READY = "looking for segments"
QUICK = (
    "serving.ingest.heartbeat_s=0.3",
    "serving.ingest.dead_after_s=1.5",
    "serving.ingest.max_attempts=1000",
    "serving.ingest.cameras_at_once=2",
    "tracking.perception.detector_batch=1",  # as slow as it can be
)


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


def take_in(folder: Path, district: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_deployment(folder)
    monkeypatch.chdir(folder)
    ingest.main([str(district), "--district", "demo"])
    return folder


def postmaster(folder: Path) -> int:
    return int((folder / "store" / "postgres" / "postmaster.pid").read_text().splitlines()[0])


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_by_kills(
    undisturbed: tuple[Path, list[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    district, wanted = undisturbed
    rng = random.Random(2022)
    killed = dict.fromkeys(("a worker", "the database"), 0)
    rounds = 0
    while sum(killed.values()) < KILLS:
        rounds += 1
        folder = take_in(tmp_path / f"killed-{rounds}", district, monkeypatch)
        workers = [Worker(folder), Worker(folder)]
        while sum(killed.values()) < KILLS:
            chosen = rng.randrange(2)
            if rng.random() < 0.8:  # else while it starts
                workers[chosen].wait_until_ready()
            time.sleep(rng.uniform(0, 1.5))
            if rng.random() < 0.2 and workers[chosen].process.poll() is None:
                kill_database(folder, workers)
                killed["the database"] += 1
                workers = [Worker(folder), Worker(folder)]
            elif workers[chosen].kill():
                killed["a worker"] += 1
                workers[chosen] = Worker(folder)
            else:
                break  # nothing was left to be done: another round
        for one in workers:
            one.kill()
        finish(folder)
        with open_store(folder / "store") as store:
            assert contents(store) == wanted
    assert all(killed.values()), killed


def kill_database(folder: Path, workers: Sequence[Worker]) -> None:
    """Both workers end with an error that says why, or with success if they had just done the last segment."""
    for worker in workers:
        worker.wait_until_ready()
    os.kill(postmaster(folder), signal.SIGKILL)
    for worker in workers:
        ended = worker.process.wait(timeout=60)
        assert ended == 0 or (ended == 1 and "the database must stay reachable" in worker.log.read_text())
