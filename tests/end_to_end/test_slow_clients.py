"""A real service with few descriptors beside clients that are slow in every way, and what it keeps of uploads."""

import fcntl
import os
import resource
import socket
import stat
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from serving.access.roles import Role
from serving.web.gate import COOKIE
from tests.end_to_end.conftest import wait_until
from tests.helpers.deployments import token_of
from tests.helpers.hostile_uploads import MULTIPART, form
from tests.helpers.served import PHOTO, Served, serving, worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
DESCRIPTORS, CROWD = 1024, 1100
TIMEOUT_S, HEAD_S, GRACE_S, MIN_BYTES_S = 4, 4, 4, 20_000
OTHERS_S = 15.0  # other tests may run beside; `test_honest_searcher` measures


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    few = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")
    limits = {"timeout_s": TIMEOUT_S, "head_timeout_s": HEAD_S, "grace_s": GRACE_S, "min_bytes_s": MIN_BYTES_S}
    with serving(tmp_path_factory.mktemp("slow"), prefix=few, **limits) as running:
        running.search()
        yield running


@pytest.fixture(scope="module")
def crowds_token(served: Served) -> str:
    """A valid token; not that of the others, for the requests of one account are limited."""
    return token_of(served.deployment, "crowd", Role.REVIEWER)


def head(token: str, method: str = "GET", path: str = "/v1/cases", length: int = 0) -> bytes:
    """The head of a request, but for its last line."""
    return head_of(f"Authorization: Bearer {token}\r\n", method, path, length)


def head_of(signed_in_by: str, method: str, path: str, length: int) -> bytes:
    """As `head`, of who is signed in by these lines."""
    asked = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{signed_in_by}"
    return f"{asked}Content-Type: {MULTIPART}\r\nContent-Length: {length}\r\n".encode()


@contextmanager
def crowd(served: Served, sent: bytes, number: int) -> Iterator[list[socket.socket]]:
    """Clients which have sent this and nothing more, and read nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with ExitStack() as opened:
            made = []
            for _ in range(number):
                peer = opened.enter_context(socket.socket())
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.settimeout(30)
                peer.connect(("127.0.0.1", served.client.base_url.port))
                made.append(peer)
                try:
                    peer.sendall(sent)
                except ConnectionError:  # it is cut already
                    continue
            yield made
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connections_of_the_front(served: Served) -> int:
    port, connections = served.client.base_url.port, worker("PersonSearch").net_connections("tcp")
    return sum(each.laddr.port == port and each.status != "LISTEN" for each in connections)


def require_others_are_answered(served: Served) -> None:
    for path in ("/readyz", "/v1/status", "/v1/cases", "/"):
        began = time.monotonic()
        with httpx.Client(base_url=served.client.base_url, headers=served.client.headers, timeout=30) as other:
            answer = other.get(path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        assert time.monotonic() - began < OTHERS_S, path


@pytest.mark.parametrize("way", ["nothing", "half a head", "half a body", "no reading"])
def test_others_are_answered_beside_slow_clients_which_are_gone_after_their_time(
    served: Served, crowds_token: str, way: str
) -> None:
    admin = served.admin["Authorization"].removeprefix("Bearer ")
    sent, number = {
        "nothing": (b"", CROWD),
        "half a head": (head(crowds_token), CROWD),
        "half a body": (head(crowds_token, "POST", "/v1/search", 1_000_000) + b"\r\n" + form(PHOTO)[:1000], CROWD),
        "no reading": (2 * (head(admin, path="/v1/openapi.json") + b"\r\n"), CROWD // 6),
    }[way]
    with crowd(served, sent, number):
        require_others_are_answered(served)
        assert served.search().status_code == 200
        gone_s = 5 + HEAD_S + GRACE_S + TIMEOUT_S
        wait_until(lambda: connections_of_the_front(served) < 10, 2 * gone_s, served.log.read_text)
        require_others_are_answered(served)


def test_a_body_that_stops_is_answered_408(served: Served, crowds_token: str) -> None:
    begun = head(crowds_token, "POST", "/v1/search", 1_000_000) + b"\r\n" + form(PHOTO)[:1000]
    with crowd(served, begun, 1) as (peer,):
        peer.settimeout(5 + GRACE_S + 1000 / MIN_BYTES_S)
        assert peer.recv(100).startswith(b"HTTP/1.1 408")


def test_an_account_whose_places_are_taken_waits_and_others_do_not(served: Served, crowds_token: str) -> None:
    begun = head(crowds_token, "POST", "/v1/search", 1_000_000) + b"\r\n"
    most = served.deployment.settings.service.max_concurrent_per_account
    with crowd(served, begun, most):
        with httpx.Client(base_url=served.client.base_url, timeout=30) as of_the_crowd:
            refused = of_the_crowd.get("/v1/cases", headers={"Authorization": f"Bearer {crowds_token}"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1"), refused.text
        assert f"an account may have {most} requests in work" in refused.json()["error"]
        require_others_are_answered(served)


def test_an_account_has_no_more_places_by_signing_in_several_times(served: Served, crowds_token: str) -> None:
    most, browsers = served.deployment.settings.service.max_concurrent_per_account, 2
    by_token = {"Authorization": f"Bearer {crowds_token}"}
    with ExitStack() as opened:
        for _ in range(browsers):
            by_session = f"Cookie: {COOKIE}={session_of(served, crowds_token)}\r\nOrigin: http://x\r\n"
            begun = head_of(by_session, "POST", "/v1/search", 1_000_000) + b"\r\n"
            opened.enter_context(crowd(served, begun, most // browsers))
        client = opened.enter_context(httpx.Client(base_url=served.client.base_url, headers=by_token, timeout=30))
        wait_until(lambda: client.get("/v1/cases").status_code == 429, GRACE_S, served.log.read_text)
        require_others_are_answered(served)


def session_of(served: Served, token: str) -> str:
    """The cookie of a browser that signs in with `token`."""
    with httpx.Client(base_url=served.client.base_url, timeout=30) as browser:
        own = {"Origin": f"http://{served.client.base_url.netloc.decode()}"}
        assert browser.post("/sign-in", data={"token": token}, headers=own).status_code == 303
        return browser.cookies[COOKIE]


def test_a_photo_over_a_weak_line_is_answered(served: Served, crowds_token: str) -> None:
    file = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (440, 300, 3), np.uint8)
    Image.fromarray(noise).save(file, "PNG")  # 400 kB, for noise cannot be compressed
    body = form(file.getvalue())
    with socket.create_connection(("127.0.0.1", served.client.base_url.port), timeout=60) as peer:
        peer.sendall(head(crowds_token, "POST", "/v1/search", len(body)) + b"\r\n")
        began = time.monotonic()
        for at in range(0, len(body), 10_000):
            peer.sendall(body[at : at + 10_000])
            time.sleep(0.25)
        assert time.monotonic() - began > 2 * TIMEOUT_S, "longer than an answer may take"
        assert peer.recv(100).startswith(b"HTTP/1.1 200")


def test_an_upload_is_on_no_disk_in_clear(served: Served, crowds_token: str) -> None:
    front = worker("PersonSearch")

    def files() -> set[str]:
        """Regular files that the front has open, also those without a name."""
        found = set()
        for each in Path(f"/proc/{front.pid}/fd").iterdir():
            try:
                if stat.S_ISREG(each.stat().st_mode) and each.stat().st_size > 100_000:
                    found.add(str(each.readlink()))
            except FileNotFoundError:
                continue
        return found

    before, body = files(), form(os.urandom(5_000_000))
    with socket.create_connection(("127.0.0.1", served.client.base_url.port), timeout=60) as peer:
        peer.sendall(head(crowds_token, "POST", "/v1/search", len(body)) + b"\r\n" + body[:-100])
        wait_until(lambda: is_taken(peer), 30, served.log.read_text)
        assert files() == before
        peer.sendall(body[-100:])
        assert peer.recv(100).startswith(b"HTTP/1.1 400"), "it is no picture"
    assert files() == before
    big = [path for path in served.temporary.rglob("*") if path.is_file() and path.stat().st_size > 1_000_000]
    assert big == []


def is_taken(peer: socket.socket) -> bool:
    """Whether the other side has taken all that was sent."""
    return struct.unpack("i", fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0] == 0


def test_a_burst_with_one_token_takes_no_place_of_others_while_it_is_checked(served: Served) -> None:
    """The last test: from this address no token that is new is looked at for a minute."""
    settings = served.deployment.settings.service
    token = f"dongseon_{'0' * 16}_{'A' * 43}"  # unknown, which takes as long to check as a wrong one
    with crowd(served, head(token) + b"\r\n", settings.max_concurrent) as peers:
        require_others_are_answered(served)
        answers = [answer_of(peer) for peer in peers]
    refused_at_once = sum(b"an account may have" in answer for answer in answers)
    assert refused_at_once > settings.max_concurrent - 2 * settings.max_concurrent_per_account, answers


def answer_of(peer: socket.socket) -> bytes:
    """The answer, which ends with an object of JSON."""
    answer = b""
    while not answer.endswith(b"}") and (part := peer.recv(4096)):
        answer += part
    return answer
