"""Clips of recordings, made by processes of their own; see `serving.footage.clip_maker`."""

import logging
import queue
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

from domain.confined_process import ConfinedProcess
from domain.deadline import OverdueError, remaining_s
from domain.errors import DongseonError
from serving.footage.clip_order import ANSWER, MOST_CLIP_BYTES, MOST_REFUSAL_BYTES, ORDER, READY, ClipOrder

_log = logging.getLogger(__name__)
_PROGRAM = "serving.footage.clip_maker"
_ROOT = Path(__file__).resolve().parents[2]


class NoFootageError(DongseonError):
    """There is no such picture: nothing was recorded, the recording is gone, or it cannot be read."""


class ClipMakers:
    """Processes that make clips; each starts with its first clip, or before. Safe to share between threads.

    Args:
        number: of processes, which is how many clips are made at the same time.
    """

    def __init__(self, number: int) -> None:
        self._idle: queue.SimpleQueue[_Maker | None] = queue.SimpleQueue()
        self._number = number
        for _ in range(number):
            self._idle.put(None)

    def start(self) -> None:
        """Start the processes ahead of their first clips, without waiting for them."""
        threading.Thread(target=self._start_all, name="starts-clip-makers", daemon=True).start()

    def _start_all(self) -> None:
        for _ in range(self._number):
            maker = self._idle.get()
            try:
                maker = maker or _Maker()
            except (OSError, NoFootageError) as error:  # the next clip says so, too
                _log.error("clips cannot be made: %s", error)
            self._idle.put(maker)

    def make(self, descriptor: int, order: ClipOrder) -> Generator[bytes, None, None]:
        """The part of the video behind the open `descriptor` that `order` says: parts of an MP4, as they are made.

        A process is taken until the last part, or until the iterator is closed, which ends the process.

        Raises:
            NoFootageError: if the video cannot be read, or takes too much memory or processor time.
            OverdueError: if the deadline of the request passes.
        """
        try:
            maker = self._idle.get(timeout=remaining_s())
        except queue.Empty as error:
            raise OverdueError("a clip must be begun by the deadline, which has passed") from error
        try:
            if maker is None or not maker.is_running():
                maker = _Maker()
            yield from maker.make(descriptor, order)
        finally:
            self._idle.put(maker)

    def close(self) -> None:
        """End the processes that are idle."""
        with suppress(queue.Empty):
            for _ in range(self._number):
                maker = self._idle.get_nowait()
                if maker is not None:
                    maker.end()


class _Maker(ConfinedProcess):
    """One process of `clip_maker.py`."""

    def __init__(self) -> None:
        try:
            super().__init__(["-m", _PROGRAM], READY, {"PYTHONPATH": str(_ROOT)})
        except ChildProcessError as error:
            raise NoFootageError(f"a clip must be made by a process: {error}") from error

    def make(self, descriptor: int, order: ClipOrder) -> Generator[bytes, None, None]:
        content = order.model_dump_json().encode()
        try:
            self.wait_until_deadline()
            socket.send_fds(self.socket, [ORDER.pack(len(content))], [descriptor])
            self.socket.sendall(content)
            left = MOST_CLIP_BYTES
            while (sizes := ANSWER.unpack(self.receive(ANSWER.size))) != (0, 0):
                refusal_bytes, part_bytes = sizes
                left -= part_bytes
                if refusal_bytes > MOST_REFUSAL_BYTES or left < 0:
                    raise ConnectionError("the process must answer as agreed")  # a video has misled it
                received = bytes(self.receive(refusal_bytes or part_bytes))
                if refusal_bytes:
                    raise NoFootageError(received.decode(errors="replace"))
                yield received
        except NoFootageError:
            raise
        except TimeoutError as error:
            self.end()
            raise OverdueError("the clip must be made by the deadline, which has passed") from error
        except OSError as error:
            status = self.end()
            why = f"in {order.cpu_s:g} s of processor time" if status == -signal.SIGPROF else "without harm"
            raise NoFootageError(f"{order.name} must be a video that can be decoded {why}, it is not") from error
        except BaseException:  # what it answers to would be unclear
            self.end()
            raise
