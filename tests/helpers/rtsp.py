"""A real RTSP server and a bad line to it, for tests of live cameras."""

import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import pytest

from tests.helpers.project import ROOT
from tests.helpers.walkers import Walker, picture

FPS = 10
_SYSTEM_PYTHON = "/usr/bin/python3"
_IMPORTS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
_CHUNK_BYTES = 16384


def require_server() -> None:
    """Skip the test, saying why, where GStreamer's RTSP server is not installed."""
    probe = [_SYSTEM_PYTHON, "-c", _IMPORTS]
    if not Path(_SYSTEM_PYTHON).exists() or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("GStreamer's RTSP server is not here; install the Debian packages that .ci/run names")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], object], timeout_s: float = 15) -> None:
    """Wait until `holds`, fail when it does not."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


class Server:
    """`tests/helpers/rtsp_server.py` with people who walk; start, kill, stop, continue."""

    def __init__(self, folder: Path, walkers: Sequence[Walker], *, seconds: float = 4, scale: int = 1) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.login: tuple[str, ...] = ()
        self.show(walkers, seconds=seconds, scale=scale)

    def show(self, walkers: Sequence[Walker], *, seconds: float = 4, scale: int = 1) -> None:
        """What the next start shows, in a loop."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for number in range(round(FPS * seconds)):
            image = np.kron(picture(walkers, number / FPS), np.ones((scale, scale, 1), np.uint8))
            cv2.imwrite(str(self.folder / f"{number:03d}.jpg"), image[..., ::-1])

    def address(self, login: str = "", port: int | None = None) -> str:
        return f"rtsp://{login}{'@' if login else ''}127.0.0.1:{port or self.port}/street"

    def start(self) -> "Server":
        server = str(ROOT / "tests/helpers/rtsp_server.py")
        # Isolated: modules that lie beside the program must not be taken for Python's own.
        command = [_SYSTEM_PYTHON, "-I", server, str(self.folder), str(self.port), str(FPS)]
        self._process = subprocess.Popen([*command, *self.login], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As kill -9 does; nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


class RecordingsServer:
    """`tests/helpers/rtsp_server.py` with the recordings of a folder, which has nothing else; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = [
            _SYSTEM_PYTHON,
            "-I",
            str(ROOT / "tests/helpers/rtsp_server.py"),
            str(folder),
            str(self.port),
            str(FPS),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def address(self, name: str) -> str:
        return f"rtsp://127.0.0.1:{self.port}/{name}"


class Line:
    """A TCP proxy to a server: it can cut, swallow everything, and put noise among what the server says."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.is_silent = False
        self.noise = 0.0  # share of the server's chunks that are replaced by random bytes
        self.num_connections = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._random = random.Random(0)
        threading.Thread(target=self._accept, name="line", daemon=True).start()

    def cut(self) -> None:
        """Break all connections."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _shut(end)

    def close(self) -> None:
        _shut(self._listener)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.num_connections += 1
            try:
                far = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                near.close()
                continue
            self._pairs.append((near, far))
            threading.Thread(target=self._carry, args=(near, far, False), name="line up", daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, True), name="line down", daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_from_server: bool) -> None:
        try:
            while data := source.recv(_CHUNK_BYTES):
                if self.is_silent:
                    continue
                if is_from_server and self._random.random() < self.noise:
                    data = self._random.randbytes(len(data))
                target.sendall(data)
        except OSError:
            pass
        finally:
            _shut(source)
            _shut(target)


class FalseCamera:
    """Speaks RTSP just well enough to be listened to, describes itself as it is told, and sends random pictures."""

    def __init__(self, media: bytes) -> None:
        self._description = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\nt=0 0\r\n" + media
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/street"
        threading.Thread(target=self._accept, name="false camera", daemon=True).start()

    def close(self) -> None:
        _shut(self._listener)

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                end, _ = self._listener.accept()
                with end, end.makefile("rb") as lines, suppress(OSError):
                    while request := [line.decode().strip() for line in iter(lines.readline, b"\r\n") if line]:
                        self._answer(end, *request)

    def _answer(self, end: socket.socket, request: str, *headers: str) -> None:
        [count] = [header for header in headers if header.startswith("CSeq")]
        answer = f"RTSP/1.0 200 OK\r\n{count}\r\nSession: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n"
        verb, body = request.split()[0], b""
        if verb == "DESCRIBE":
            body = self._description
            answer += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        if verb == "SETUP":
            answer += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        end.sendall(answer.encode() + b"\r\n" + body)
        if verb == "PLAY":
            noise = random.Random(0)
            for _ in range(20):
                packet = b"\x80\x60" + noise.randbytes(800)
                end.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
            end.shutdown(socket.SHUT_RDWR)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):  # the other side was quicker
        end.shutdown(socket.SHUT_RDWR)
    end.close()
