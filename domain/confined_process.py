"""A process of our own that reads other people's files, without a secret of the one that started it."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from domain.deadline import remaining_s

_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH",)  # what an interpreter may need to start
_START_S = 60.0  # it starts in a tenth of a second to some seconds where nothing else runs
_LEAST_S = 0.001  # of a limit of time: none at all would mean no limit


class ConfinedProcess:
    """A Python process whose standard input and output are one socket; sending and receiving end at the deadline.

    Args:
        arguments: of the interpreter.
        ready: what the process sends when it has started.
        environment: its variables, beside those that an interpreter needs.

    Raises:
        OSError: if it does not start; `ChildProcessError` with its exit status if it ends before it is ready.
    """

    def __init__(self, arguments: Sequence[str], ready: bytes, environment: Mapping[str, str] | None = None) -> None:
        self.socket, theirs = socket.socketpair()
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,  # libraries quote there what they read
                cwd="/",
                env=kept | dict(environment or {}),
            )
        self.socket.settimeout(_START_S)
        if self.socket.recv(len(ready)) != ready:
            raise ChildProcessError(f"it ended with the exit status {self.end()}")

    def is_running(self) -> bool:
        """Whether it can be asked once more."""
        return self._process.poll() is None

    def end(self, patience_s: float = 1.0) -> int:
        """End the process, unless it ends by itself within `patience_s`; its exit status."""
        self.socket.close()
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def receive(self, length: int) -> bytearray:
        """The next bytes that it sends.

        Raises:
            TimeoutError: if the deadline of the request passes.
            ConnectionError: if it has closed its socket.
        """
        received = bytearray(length)
        rest = memoryview(received)
        while rest:
            self.wait_until_deadline()
            got = self.socket.recv_into(rest)
            if got == 0:
                raise ConnectionError("the process has closed its socket")
            rest = rest[got:]
        return received

    def wait_until_deadline(self) -> None:
        """Let the next call of `socket` take no longer than the request has left."""
        left_s = remaining_s()
        self.socket.settimeout(None if left_s is None else max(left_s, _LEAST_S))
