"""Processes of a deployment that tests kill: workers, and the service with somebody who searches in it."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
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
from tests.helpers.recordings import contents, write_district

READY = "waiting for segments"
QUICK = (
    "serving.ingest.heartbeat_s=0.3",
    "serving.ingest.dead_after_s=1.5",
    "serving.ingest.cameras_at_once=2",
    "tracking.perception.detector_batch=1",  # as slow as it can be
)
PHOTO = picture_file(np.random.default_rng(0))
READY_S = 60  # in which all must be well again
CAMERAS = "district: demo\ncameras:\n  c1: rtsp://127.0.0.1:9/nothing\n"  # nobody answers, but it is tried for ever
ASK_EVERY_S = 0.6  # a load that leaves the cores to what is killed


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


def take_in(folder: Path, district: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_deployment(folder)
    package._stage_code(folder)
    monkeypatch.chdir(folder)
    ingest.main([str(district), "--district", "demo"])
    return folder


def taken_in_peace(base: Path) -> tuple[Path, list[object]]:
    """A district's folder below `base`, and what a store holds when all of it was looked at without a fault."""
    district = write_district(base / "demo", num_cameras=12)
    with pytest.MonkeyPatch.context() as patch:
        folder = take_in(base / "undisturbed", district, patch)
    finish(folder)
    with open_store(folder / "store") as store:
        return district, contents(store)


def finish(folder: Path) -> None:
    """Look at all segments that are left."""
    command = [sys.executable, "-m", "serving.worker", "--until-empty", *QUICK]
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, timeout=300)


def answers(address: str, token: str) -> bool:
    """Whether the service is ready, and answers a search."""
    headers = {"Authorization": f"Bearer {token}"}
    with suppress(httpx.TransportError):
        if httpx.get(f"{address}/readyz", timeout=READY_S).status_code == 200:
            form = {"data": FOR_CASE, "files": {"photo": PHOTO}}
            return httpx.post(f"{address}/v1/search", headers=headers, timeout=READY_S, **form).status_code == 200
    return False


def postmaster(folder: Path, worker: Worker) -> int | None:
    """Number of the first process of the embedded database, which `worker` uses; None once the worker has ended."""
    file = folder / "store" / "postgres" / "postmaster.pid"
    while worker.process.poll() is None:
        with suppress(OSError, IndexError):
            return int(file.read_text().splitlines()[0])
        time.sleep(0.05)
    return None


def reviewer_with_case(folder: Path) -> str:
    """The token of an account that may search for `FOR_CASE`."""
    with open_store(folder / "store") as store, store.begin() as connection:
        open_case(connection, REVIEWER, "A missing child", operators=[])
        return create_account(connection, "reviewer", Role.REVIEWER, "test")
