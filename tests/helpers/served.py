"""A real server process with its engines' process, and who asks it."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import yaml

from domain.settings import PARAMS
from serving import package
from serving.access.roles import Role
from serving.deployment import Deployment
from tests.end_to_end.conftest import free_port, server, wait_until
from tests.helpers.deployments import FOR_CASE, fill_store, token_of, write_deployment
from tests.helpers.hostile_uploads import picture_file

PHOTO = picture_file(np.random.default_rng(0))


@dataclass(frozen=True)
class Served:
    client: httpx.Client  # a reviewer's
    admin: dict[str, str]  # the header of an administrator
    deployment: Deployment
    temporary: Path
    log: Path

    def search(self) -> httpx.Response:
        return self.client.post("/v1/search", data=FOR_CASE, files={"photo": PHOTO})

    def is_ready(self) -> bool:
        return self.client.get("/readyz").status_code == 200

    @contextmanager
    def searched(self) -> Iterator[list[httpx.Response]]:
        """What four searchers were answered who search until the block ends."""
        answers: list[httpx.Response] = []
        is_over = threading.Event()

        def keep_searching() -> None:
            while not is_over.is_set():
                answers.append(self.search())

        searchers = [threading.Thread(target=keep_searching) for _ in range(4)]
        for each in searchers:
            each.start()
        try:
            wait_until(lambda: len(answers) > 8, 60, self.log.read_text)
            yield answers
            before = len(answers)
            wait_until(lambda: len(answers) > before + 20, 120, self.log.read_text)
        finally:
            is_over.set()
            for each in searchers:
                each.join()

    def figure(self, sample: str) -> float:
        """A sample of /metrics, by name and labels as they stand there; 0 where there is none."""
        lines = self.client.get("/metrics", headers=self.admin).text.splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.rsplit(" ", 1)[0] == sample), 0.0)


@contextmanager
def serving(folder: Path, prefix: Sequence[str] = (), **settings: Any) -> Iterator[Served]:
    """A server below `folder`, with these `settings` in the section `serving.service`; enters when it is ready.

    `prefix` stands before its command, such as `prlimit`.
    """
    service, temporary = folder / "service", folder / "temporary"
    temporary.mkdir(parents=True)
    deployment = write_deployment(service)
    params = yaml.safe_load((service / PARAMS).read_text())
    params["serving"]["service"] |= settings
    (service / PARAMS).write_text(yaml.safe_dump(params))
    package._stage_code(service)
    fill_store(deployment)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [*prefix, sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(service, ["env", f"TMPDIR={temporary}", *command], f"{address}/readyz"):
        reviewer = {"Authorization": f"Bearer {token_of(deployment, 'reviewer', Role.REVIEWER)}"}
        admin = {"Authorization": f"Bearer {token_of(deployment, 'admin', Role.ADMIN)}"}
        limits = httpx.Limits(max_connections=None)
        with httpx.Client(base_url=address, headers=reviewer, timeout=60, limits=limits) as client:
            yield Served(client, admin, deployment, temporary, service / "server.log")


def worker(name: str) -> psutil.Process:
    """The process of a BentoML service, which this test has started."""
    found = [each for each in psutil.Process().children(recursive=True) if name in each.cmdline()]
    assert len(found) == 1, found
    return found[0]


@contextmanager
def stuck_engines() -> Iterator[None]:
    """The engines' process stands still until the block ends."""
    engines = worker("BatchedEngines")
    engines.suspend()
    try:
        yield
    finally:
        engines.resume()
