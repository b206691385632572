"""Decodes uploaded photos in processes of their own; a file that is no usable photo is refused with the reason.

A decoder of pictures cannot be interrupted, may be misled by the file that it reads, and may take much memory. Each
runs `photo_decoder.py`: it has no socket, file or secret of the service but the socket to it, bounded memory and
processor time, is killed at the deadline of the request, and ends with the service. A new process takes its place at
once.
"""

import logging
import os
import queue
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from domain.confined_process import ConfinedProcess
from domain.deadline import OverdueError, remaining_s
from domain.errors import DongseonError, InputError
from domain.images import Picture
from serving.search import photo_decoder
from serving.search.metrics import STAGE_SECONDS
from serving.search.photo_decoder import ANSWER, MOST_REFUSAL_BYTES, READY, REQUEST

_log = logging.getLogger(__name__)
_PROGRAM = Path(photo_decoder.__file__).resolve()
_BASE_BYTES = 256_000_000  # of a decoder's memory: interpreter, libraries, the file
_LEAST_S = 0.001  # of a limit of time: none at all would mean no limit
_BYTES_A_PIXEL = 16  # a WebP with transparency takes the most, 14
_ENDED_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)  # not by the file


class SlowPhotoError(DongseonError):
    """Decoding the photo takes more processor time than was allowed."""


class DecodersAwayError(DongseonError):
    """No decoder runs; sending the request again may succeed."""


class DecodedPhoto(NamedTuple):
    """A photo as it is searched with."""

    image: Picture
    spent_s: float  # of a processor
    scale: tuple[float, float]  # width and height of `image`, by those of the photo


class PhotoDecoders:
    """Processes that decode photos; safe to share between threads.

    Args:
        number: of processes, which is how many photos are decoded at the same time.
        most_pixels: maximum number of pixels of a photo; bounds the memory of each process.
        nice: added to the niceness of the service.
    """

    def __init__(self, number: int, most_pixels: int, nice: int = 0) -> None:
        self._number = number
        self._most_pixels = most_pixels
        most_bytes = _BASE_BYTES + _BYTES_A_PIXEL * most_pixels
        self._arguments = [str(os.getpid()), str(most_bytes), str(nice)]
        # The kernel ends a decoder with the thread that started it, and this thread ends with the service alone.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starts-photo-decoders")
        self._idle: queue.SimpleQueue[Future[_Decoder]] = queue.SimpleQueue()
        for _ in range(number):
            self._start()

    def close(self) -> None:
        """End the processes; a photo that is being decoded is given up."""
        self._starter.shutdown()  # which ends the processes
        with suppress(queue.Empty):
            while True:
                starting = self._idle.get_nowait()
                if starting.exception() is None:
                    starting.result().end()

    @STAGE_SECONDS.labels("decode").time()
    def decode(self, content: bytes, cpu_s: float) -> DecodedPhoto:
        """The picture in the file `content`, upright as its EXIF orientation says.

        A JPEG of too many pixels is decoded smaller. Of an animation the first frame is taken; transparency is dropped.

        Args:
            content: the file.
            cpu_s: maximum processor time in seconds.

        Raises:
            InputError: if the file is empty, not a picture of a known format, damaged, too large, too small or too
                narrow.
            SlowPhotoError: if it takes more than `cpu_s`.
            OverdueError: if the deadline of the request passes.
            DecodersAwayError: if the processes do not start.
        """
        if not content:
            raise InputError("the photo must be a picture, got an empty file", code="photo_damaged")
        for _ in range(self._number + 1):  # each may have been ended from outside while it was idle
            try:
                with self._decoder() as decoder:
                    return decoder.decode(content, self._most_pixels, max(cpu_s, _LEAST_S))
            except _EndedError as ended:
                if ended.status == -signal.SIGPROF:
                    raise SlowPhotoError(f"the photo must be decoded in {cpu_s:.3g} s of processor time") from ended
                if ended.status not in _ENDED_FROM_OUTSIDE:
                    _log.warning("a photo ended its decoder, exit status %s", ended.status)
                    raise InputError(
                        "the photo must be undamaged, got one that cannot be decoded; send it again",
                        code="photo_damaged",
                    ) from ended
        raise DecodersAwayError("photos must be decoded, but their decoders are being ended; try again in a moment")

    def _start(self) -> None:
        try:
            starting = self._starter.submit(_Decoder, self._arguments)
        except RuntimeError:
            starting = Future()
            starting.set_exception(DecodersAwayError("photos must be decoded, but the service is ending"))
        self._idle.put(starting)

    @contextmanager
    def _decoder(self) -> "Iterator[_Decoder]":
        """A decoder for the calling thread alone; a new one takes its place if it has ended."""
        try:
            starting = self._idle.get(timeout=remaining_s())
        except queue.Empty as error:
            raise OverdueError("a decoder must be free by the deadline, which has passed") from error
        decoder: _Decoder | None = None
        try:
            decoder = starting.result()
            yield decoder
        except OSError as error:
            raise DecodersAwayError(f"photos must be decoded, but no decoder starts: {error}") from error
        finally:
            if decoder is not None and decoder.is_running():
                self._idle.put(starting)
            else:
                self._start()


class _EndedError(DongseonError):
    """The process has ended before it answered."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the decoder ended with {status}")
        self.status = status


class _Decoder(ConfinedProcess):
    """One process of `photo_decoder.py`."""

    def __init__(self, arguments: list[str]) -> None:
        super().__init__(["-I", "-W", "ignore", str(_PROGRAM), *arguments], READY)

    def decode(self, content: bytes, most_pixels: int, cpu_s: float) -> DecodedPhoto:
        """As `PhotoDecoders.decode`; unless it answers, the process is ended.

        Raises:
            InputError: the file is refused.
            OverdueError: if the deadline of the request passes.
            _EndedError: if the process ends.
        """
        try:
            self.wait_until_deadline()
            self.socket.sendall(REQUEST.pack(len(content), most_pixels, cpu_s))
            self.socket.sendall(content)
            width, height, *size, refusal_bytes, spent_s = ANSWER.unpack(self.receive(ANSWER.size))
            if refusal_bytes > MOST_REFUSAL_BYTES or width * height > most_pixels:
                raise ConnectionError("a decoder must answer as agreed")  # a photo has misled it
            received = self.receive(refusal_bytes or width * height * 3)
        except TimeoutError as error:
            self.end(patience_s=0)
            raise OverdueError("the photo must be decoded by the deadline, which has passed") from error
        except OSError as error:
            raise _EndedError(self.end()) from error
        except BaseException:  # such as MemoryError: what it answers to would be unclear
            self.end(patience_s=0)
            raise
        if refusal_bytes:
            code, _, reason = received.decode(errors="replace").partition(" ")
            raise InputError(reason, code=code)
        image = np.frombuffer(received, np.uint8).reshape(height, width, 3)
        return DecodedPhoto(image, spent_s, (width / max(1, size[0]), height / max(1, size[1])))
