"""A port with limits on its connections: slow clients are gone after their time, others are answered meanwhile."""

import asyncio
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain.errors import InputError
from serving.web.connections import limit_connections, limited_server, most_connections
from serving.web.http_settings import HttpSettings
from tests.helpers.certificates import write_certificate
from tests.helpers.project import ROOT

HEAD_S, GRACE_S, OTHERS_S = 2.0, 2.0, 5.0  # other tests may run beside
BIG = b"x" * 30_000_000
HALF_HEAD = b"GET /quick HTTP/1.1\r\nHost: x\r\n"


def settings(**changed: object) -> HttpSettings:
    values = yaml.safe_load((ROOT / "conf" / "serving" / "deployment.yaml").read_text())["service"]
    return HttpSettings(**values | {"head_timeout_s": HEAD_S, "grace_s": GRACE_S, "min_bytes_s": 1e7} | changed)


IS_IN_WORK = threading.Event()


async def answer(request: Request) -> Response:
    if request.url.path == "/waits":
        IS_IN_WORK.set()
        await asyncio.sleep(2 * HEAD_S)
    return PlainTextResponse(BIG if request.url.path == "/big" else b"done")


@contextmanager
def port(certificate: Path | None = None, **changed: object) -> Iterator[int]:
    """A port on which an application answers /quick, /waits and /big."""
    app = Starlette(routes=[Route("/{anything}", answer, methods=["GET", "POST"])])
    tls = {"ssl_certfile": certificate, "ssl_keyfile": certificate.with_suffix(".key")} if certificate else {}
    server = limited_server(settings(**changed))(uvicorn.Config(app, log_level="warning", lifespan="off", **tls))
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    number = listening.getsockname()[1]
    serving = threading.Thread(target=server.run, args=([listening],), daemon=True)
    serving.start()
    try:
        yield number
    finally:
        server.should_exit = server.force_exit = True
        serving.join(10)


@contextmanager
def peers(number: int, port_number: int, sent: bytes = b"", source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Clients from `source` which have sent this."""
    with ExitStack() as opened:
        made = []
        for _ in range(number):
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.bind((source, 0))
            peer.settimeout(10)
            peer.connect(("127.0.0.1", port_number))
            made.append(opened.enter_context(peer))
            peer.sendall(sent)
        yield made


def is_gone(peer: socket.socket, within_s: float) -> bool:
    """Whether the other side hangs up in time."""
    peer.settimeout(within_s)
    try:
        while peer.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def answered_s(port_number: int, source: str = "127.0.0.1") -> float:
    """How long a new client waits for its answer."""
    began = time.monotonic()
    with httpx.Client(transport=httpx.HTTPTransport(local_address=source), timeout=10) as client:
        assert client.get(f"http://127.0.0.1:{port_number}/quick").text == "done"
    return time.monotonic() - began


@pytest.mark.parametrize(
    "sent",
    [b"", HALF_HEAD, b"POST /waits HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", HALF_HEAD + b"\r\n" + HALF_HEAD],
    ids=["nothing", "half a head", "no body", "half a second head"],
)
def test_a_client_that_does_not_go_on_is_gone_after_its_time(sent: bytes) -> None:
    with port() as number, peers(3, number, sent) as slow:
        assert answered_s(number) < OTHERS_S
        assert all(is_gone(each, 5 * HEAD_S) for each in slow)


@pytest.mark.parametrize("begin", [HALF_HEAD, b"POST /quick HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n"])
def test_a_client_that_goes_on_by_drops_is_gone_after_its_time(begin: bytes) -> None:
    with port() as number, peers(1, number, begin) as (slow,):
        began = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012  it lasts
            while time.monotonic() < began + 10 * HEAD_S:
                slow.sendall(b"x")
                time.sleep(HEAD_S / 10)
        assert time.monotonic() - began < 5 * HEAD_S


def test_a_client_that_does_not_read_its_answer_is_gone_after_its_time() -> None:
    with port() as number, peers(3, number, b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n") as slow:
        assert answered_s(number) < OTHERS_S
        time.sleep(GRACE_S + len(BIG) / 1e7 + 2)
        assert all(is_gone(each, 1) for each in slow)


def test_a_client_that_reads_its_answer_slowly_but_fast_enough_gets_all_of_it() -> None:
    with port(min_bytes_s=1e6) as number, peers(1, number, b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n") as (peer,):
        length = 0
        while length < len(BIG) and (part := peer.recv(1 << 20)):
            length += len(part)
        assert length >= len(BIG)


def test_a_client_that_does_not_shake_hands_is_gone_after_its_time(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=str(certificate))
    with port(certificate) as number, peers(3, number) as slow:
        assert httpx.get(f"https://127.0.0.1:{number}/quick", verify=trusted, timeout=5).text == "done"
        assert all(is_gone(each, 5 * HEAD_S) for each in slow)


def test_a_request_in_work_is_not_cut_however_long_it_takes() -> None:
    IS_IN_WORK.clear()
    head = HALF_HEAD.replace(b"quick", b"waits") + b"\r\n"
    with port(max_connections_per_address=2) as number, peers(1, number, head) as (one,):
        assert IS_IN_WORK.wait(10)
        with peers(20, number, HALF_HEAD):
            assert b"done" in one.recv(4096) + one.recv(4096)


def test_an_address_with_many_connections_keeps_only_the_newest_and_others_keep_theirs() -> None:
    with (
        port(max_connections_per_address=10, head_timeout_s=60) as number,
        peers(1, number, HALF_HEAD, source="127.0.0.2") as (other,),
        peers(50, number, HALF_HEAD) as crowd,
    ):
        assert answered_s(number) < OTHERS_S
        assert all(is_gone(each, 1) for each in crowd[:40])
        other.sendall(b"\r\n")
        assert b"done" in other.recv(4096) + other.recv(4096)


def test_a_crowd_of_many_addresses_does_not_keep_a_new_client_out() -> None:
    with port(max_connections=64, head_timeout_s=60) as number, ExitStack() as crowd:
        for each in range(20):
            crowd.enter_context(peers(5, number, HALF_HEAD, source=f"127.0.1.{each + 1}"))
        assert answered_s(number, source="127.0.0.3") < OTHERS_S


def test_limits_of_a_server_are_its_own_also_where_others_were_set_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn, "Server", uvicorn.Server)
    limit_connections(settings(head_timeout_s=60, max_connections=100))
    with port() as number, peers(1, number, HALF_HEAD) as (slow,):
        assert is_gone(slow, 5 * HEAD_S)


def test_few_open_files_mean_fewer_connections_and_too_few_are_refused() -> None:
    assert most_connections(settings(), descriptors=100_000) == 1000
    assert most_connections(settings(), descriptors=1024) == 864
    with pytest.raises(
        InputError, match=r"must be allowed 224 open files for .*, it may open 200; raise its hard limit"
    ):
        most_connections(settings(), descriptors=200)


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    told = "from serving.web.connections import raise_descriptor_limit as r; print(r())"
    command = ["prlimit", "--nofile=256:", sys.executable, "-c", told]
    raised = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert int(raised) == min(hard, 65_536)
