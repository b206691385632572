"""How end-to-end tests run commands, servers and the browser."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.helpers.browser import QUIET

MOST_SHELLS = 0o022  # the umask of a shell, in which every user can read new files


def environment() -> dict[str, str]:
    """This one, with the tools of the running Python first."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",  # other tests run beside
    }


def run(folder: Path, *command: str, timeout_s: int = 1800) -> subprocess.CompletedProcess[str]:
    """`command` in `folder`, with its output; the test looks at the exit status."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        umask=MOST_SHELLS,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def succeed(folder: Path, *command: str) -> str:
    """What `command` printed; it must end well."""
    ended = run(folder, *command)
    assert ended.returncode == 0, f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout + ended.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(
    folder: Path,
    command: list[str],
    ready: str,
    timeout_s: float = 180,
    trusted: ssl.SSLContext | None = None,
    status: int | None = 200,
) -> Iterator[None]:
    """`command` running in `folder` until the block ends; enters once the address `ready` answers `status`.

    With None for `status`, any answer will do.
    """
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            umask=MOST_SHELLS,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: (given := _answer(ready, trusted)) is not None and status in (given, None),
            timeout_s,
            lambda: log.read_text()[-3000:],
        )
        yield
    finally:
        with suppress(ProcessLookupError):  # the test has killed it
            os.killpg(process.pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)


def wait_until(is_true: Callable[[], bool], timeout_s: float, explain: Callable[[], str]) -> None:
    """Return once `is_true`; fail with `explain` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, f"not within {timeout_s} s:\n{explain()}"
        time.sleep(0.3)


def _answer(address: str, trusted: ssl.SSLContext | None) -> int | None:
    try:
        with urllib.request.urlopen(address, timeout=5, context=trusted) as response:
            return int(response.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return None


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's browser."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed; .ci/run installs it")
    return browser


def page_text(chromium: str, folder: Path, address: str) -> str:
    """What the page at `address` holds after its scripts ran."""
    dump = ["--virtual-time-budget=15000", "--dump-dom", f"--user-data-dir={folder / 'browser'}", address]
    return succeed(folder, chromium, *QUIET, *dump)
