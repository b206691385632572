"""One honest searcher beside ten slow or greedy clients of each kind: the 95th percentile of the time of a search.

The small version, without figures, is `test_slow_clients`.
"""

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event

import httpx
import numpy as np
import pytest

from serving.access.roles import Role
from tests.helpers.deployments import FOR_CASE, token_of
from tests.helpers.hostile_uploads import MULTIPART
from tests.helpers.served import PHOTO, Served, serving

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
CLIENTS, SEARCHES, PAUSE_S = 10, 100, 0.3


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = {"requests_per_minute": 1200, "searches_per_minute": 120, "crops_per_minute": 600}  # the repository's own
    with serving(tmp_path_factory.mktemp("honest"), **limits) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(served: Served) -> dict[str, str]:
    return {name: token_of(served.deployment, name, Role.REVIEWER) for name in ("honest", "greedy")}


def p95_s(served: Served, token: str) -> float:
    """Of the searches of one client, which pauses between them."""
    taken_s = []
    with httpx.Client(
        base_url=served.client.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=60
    ) as client:
        for _ in range(SEARCHES):
            began = time.perf_counter()
            answer = client.post("/v1/search", data=FOR_CASE, files={"photo": PHOTO})
            assert answer.status_code == 200, answer.text
            taken_s.append(time.perf_counter() - began)
            time.sleep(PAUSE_S + np.random.default_rng(len(taken_s)).uniform(0, 0.4))
    return float(np.quantile(taken_s, 0.95))


def head(token: str, method: str, path: str, length: int) -> bytes:
    said = f"Authorization: Bearer {token}\r\nContent-Type: {MULTIPART}\r\nContent-Length: {length}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{said}".encode()


@dataclass(frozen=True)
class Drips:
    """A client that sends `begin` and then a drop now and then, and comes back when it is cut."""

    begin: bytes
    drop: bytes = b"x"
    every_s: float = 0.5

    def act(self, port: int, is_over: Event) -> None:
        while not is_over.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as peer:
                peer.sendall(self.begin)
                while not is_over.wait(self.every_s):
                    peer.sendall(self.drop)
            is_over.wait(0.1)


@dataclass(frozen=True)
class Floods:
    """A client that asks as fast as it can, and waits for nothing but the answer."""

    token: str
    path: str
    photo: bytes | None = None

    def act(self, port: int, is_over: Event) -> None:
        asked = {} if self.photo is None else {"data": FOR_CASE, "files": {"photo": self.photo}}
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as one:
            while not is_over.is_set():
                with suppress(httpx.TransportError):
                    if one.request("POST" if asked else "GET", self.path, **asked).status_code == 429:
                        is_over.wait(0.05)


def act_together(kind: Drips | Floods, port: int, is_over: Event) -> None:
    """The greedy clients, in a process of their own: they hold up the service, not the honest client's interpreter."""
    clients = [threading.Thread(target=kind.act, args=(port, is_over)) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()


@contextmanager
def beside(served: Served, kind: Drips | Floods) -> Iterator[None]:
    spawn = multiprocessing.get_context("spawn")
    is_over = spawn.Event()
    acting = spawn.Process(target=act_together, args=(kind, served.client.base_url.port, is_over))
    acting.start()
    try:
        time.sleep(8)  # they have begun, and have had their burst
        yield
    finally:
        is_over.set()
        acting.join()


def test_an_honest_searcher_waits_less_than_twice_as_long_beside_clients_of_each_kind(
    served: Served, tokens: dict[str, str]
) -> None:
    greedy = tokens["greedy"]
    kinds = {
        "half heads": Drips(b"GET /v1/status HTTP/1.1\r\n"),
        "heads by drops": Drips(b"GET /v1/status HTTP/1.1\r\nX: "),
        "bodies by drops": Drips(head(greedy, "POST", "/v1/search", 1_000_000) + b"\r\n"),
        "no reading": Drips(30 * (head(greedy, "GET", "/page/page.js", 0) + b"\r\n"), b""),
        "wrong tokens": Floods("dongseon_0123456789abcdef_" + "s" * 43, "/v1/status"),
        "searches of one account": Floods(greedy, "/v1/search", PHOTO),
        "large bodies": Floods(greedy, "/v1/search", bytes(19_000_000)),
        "pages of one account": Floods(greedy, "/v1/cases"),
    }
    p95_s(served, tokens["honest"])  # warm
    quiet_s = p95_s(served, tokens["honest"])
    figures = {"quiet": quiet_s}
    for kind, clients in kinds.items():
        with beside(served, clients):
            figures[kind] = p95_s(served, tokens["honest"])
        print(f"{kind}: p95 {1000 * figures[kind]:.0f} ms, quiet {1000 * quiet_s:.0f} ms", flush=True)
        time.sleep(60 if "account" in kind or "bodies" in kind else 1)  # until the account may ask again
    assert {kind: taken for kind, taken in figures.items() if taken > 2 * quiet_s} == {}
