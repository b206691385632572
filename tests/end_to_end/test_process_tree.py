"""The processes of a running service: on what they listen, whom they let in, and what is left when one is killed."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.end_to_end.conftest import environment, wait_until
from tests.helpers.other_user import NOBODY, require_root
from tests.helpers.served import Served, serving, worker
from tests.helpers.sockets import ListeningSocket, listening_sockets, process_and_children

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
BACK_WITHIN_S = 60


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("processes")) as running:
        yield running


def supervisor() -> psutil.Process:
    parent = worker("PersonSearch").parent()
    assert parent is not None
    return parent


def of_the_service() -> list[ListeningSocket]:
    found = listening_sockets(process_and_children(supervisor().pid))
    assert {each.pid for each in found} >= {supervisor().pid, worker("PersonSearch").pid, worker("BatchedEngines").pid}
    return found


def is_there(served: Served) -> bool:
    with suppress(httpx.TransportError):
        return served.is_ready()
    return False


def test_no_process_of_the_service_listens_but_on_the_configured_port(served: Served) -> None:
    assert served.search().status_code == 200
    ports = {(each.kind, each.address) for each in of_the_service() if each.kind != "unix"}
    assert ports == {("tcp", f"127.0.0.1:{served.client.base_url.port}")}


def test_every_socket_of_the_service_but_its_port_refuses_another_user(served: Served) -> None:
    require_root()
    assert served.search().status_code == 200
    sockets = of_the_service()
    for each in sockets:
        print(each, "->", each.refusal_of(NOBODY) or "lets anybody in")
    assert {each.port for each in sockets if each.refusal_of(NOBODY) is None} == {served.client.base_url.port}
    assert [each for each in sockets if each.kind == "unix"], "the supervisor's and the engines'"


def test_the_folders_of_the_sockets_are_of_their_user_alone(served: Served) -> None:
    paths = {Path(each.address) for each in of_the_service() if each.kind == "unix" and each.address.startswith("/")}
    assert paths
    for folder in {path.parent for path in paths}:
        assert folder.is_relative_to(served.temporary), folder
        assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o700, os.getuid()), folder


def test_what_anybody_reaches_is_told_from_what_is_private(tmp_path: Path) -> None:
    require_root()
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    of_network = [(socket.AF_INET, stream), (socket.AF_INET6, stream), (socket.AF_INET, datagram)]
    opened = [socket.socket(*kind) for kind in (*of_network, *3 * [(socket.AF_UNIX, stream)])]
    opened.append(socket.socket(socket.AF_UNIX, datagram))
    private = tmp_path / "private"
    private.mkdir(0o700)
    public = Path("/tmp") / f"dongseon-test-{os.getpid()}"  # pytest's own folders are private
    names = [("127.0.0.1", 0), ("::1", 0), ("127.0.0.1", 0), str(public), f"\0{public.name}", str(private / "a")]
    try:
        for each, name in zip(opened, [*names, str(private / "b")], strict=True):
            each.bind(name)
            if each.type == socket.SOCK_STREAM:
                each.listen()
        public.chmod(0o777)
        found = listening_sockets([psutil.Process()])
        open_to_all = {each.address for each in found if each.refusal_of(NOBODY) is None}
        ports = {
            f"{'[::1]' if at.family == socket.AF_INET6 else '127.0.0.1'}:{at.getsockname()[1]}" for at in opened[:3]
        }
        assert ports | {str(public), f"@{public.name}"} <= open_to_all
        refused = {each.address: each.refusal_of(NOBODY) for each in found if each.address.startswith(str(private))}
        assert set(refused) == {str(private / "a"), str(private / "b")}
        assert all("PermissionError" in str(told) for told in refused.values())
    finally:
        for each in opened:
            each.close()
        public.unlink(missing_ok=True)


def test_engines_that_are_killed_come_back_without_a_command(served: Served) -> None:
    for _ in range(2):
        killed = worker("BatchedEngines")
        killed.kill()
        psutil.wait_procs([killed], 10)
        wait_until(served.is_ready, BACK_WITHIN_S, served.log.read_text)
    assert served.search().status_code == 200


def test_a_killed_supervisor_leaves_nobody_on_the_port_and_its_command_starts_anew(served: Served) -> None:
    killed = supervisor()
    command, folder, temporary = killed.cmdline(), killed.cwd(), killed.environ()["TMPDIR"]
    children = process_and_children(killed.pid)[1:]
    killed.kill()
    psutil.wait_procs([killed, *children], 10)
    assert not [each for each in children if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    began = time.monotonic()
    again = subprocess.Popen(
        command, cwd=folder, env=environment() | {"TMPDIR": temporary}, stdout=sys.stdout, stderr=subprocess.STDOUT
    )
    try:
        wait_until(lambda: is_there(served), BACK_WITHIN_S, lambda: f"ended with {again.poll()}")
        print(f"ready again after {time.monotonic() - began:.1f} s")
        assert served.search().status_code == 200
    finally:
        again.terminate()
        try:
            again.wait(20)
        except subprocess.TimeoutExpired:  # as `server` does
            again.kill()
