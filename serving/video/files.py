"""Video files through PyAV: frames with number and time, and an H.264 writer.

A file that ends early or is damaged in the middle gives every frame that can be decoded; then `VideoReader.damage` says
what is missing. A file that gives no frame at all raises. So does one that cannot be read now: that is no damage.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

from domain.atomic import atomic_file
from domain.errors import InputError

_FALLBACK_FPS = 25.0
_CONSTANT_RATE_FACTOR = "23"  # H.264's default quality
_UNREADABLE = (av.FFmpegError, OSError)  # OSError: a seek to where such a file has nothing
_MISSING_FRAMES_ALLOWED = 1  # containers often count one frame more than they hold


class UnreachableVideoError(InputError, OSError):
    """A video file is missing or cannot be read now, such as on a network share that is away; later it may be."""


@dataclass(frozen=True)
class Frame:
    """One picture of a video."""

    number: int  # from 1, as in MOTChallenge text
    time_s: float  # since the first frame, always rising
    image: np.ndarray  # uint8 [height, width, 3] RGB


class VideoReader:
    """The frames of a video file, in order; iterate once.

    Args:
        file: any container and codec PyAV reads.
        stride: only every n-th frame is given, beginning with the first; all are counted.

    Raises:
        InputError: if the file is not a video, or (while iterating) gives no frame at all.
        UnreachableVideoError: if it is missing or cannot be read, from the beginning or while iterating.
    """

    def __init__(self, file: Path, stride: int = 1) -> None:
        """Open `file`; nothing is decoded yet."""
        self.file, self._stride = file, stride
        try:
            self._bytes = _Bytes(file)
        except OSError as error:
            why = "it is missing" if isinstance(error, FileNotFoundError) else f"it cannot be read: {error.strerror}"
            raise UnreachableVideoError(f"{file} must be a video file; {why}") from error
        try:
            self._container = av.open(self._bytes, "r")
        except _UNREADABLE as error:
            self._bytes.close()
            self._require_reachable()
            raise InputError(f"{file} must be a video that PyAV can read: {error.strerror}") from error
        if not self._container.streams.video:
            self._close()
            raise InputError(f"{file} must be a video; it has no video stream")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or _FALLBACK_FPS)
        self.width_px, self.height_px = self._stream.codec_context.width, self._stream.codec_context.height
        self.declared_frames = self._stream.frames  # what the container says, 0 where it does not
        self.num_frames = 0  # decoded so far
        self._damaged_packets = 0

    def __enter__(self) -> Self:
        """Itself; leaving the block closes the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._close()

    @property
    def declared_s(self) -> float | None:
        """Seconds that the container says it lasts, which a damaged one may say wrongly; None where it does not."""
        return self._container.duration / av.time_base if self._container.duration else None

    def __iter__(self) -> Iterator[Frame]:
        """Every frame that can be decoded."""
        first_s, last_s = 0.0, -1 / self.fps
        for picture in self._pictures():
            time_s = last_s + 1 / self.fps if picture.time is None else picture.time - first_s
            if not self.num_frames:
                first_s, time_s = time_s, 0.0
            last_s = time_s if time_s > last_s else last_s + 1 / self.fps  # damaged files count time wrongly
            self.num_frames += 1
            if (self.num_frames - 1) % self._stride == 0:
                yield Frame(self.num_frames, last_s, picture.to_ndarray(format="rgb24"))
        self._require_reachable()
        if not self.num_frames:
            raise InputError(f"{self.file} must be a video that PyAV can decode; none of its frames can be decoded")

    @property
    def damage(self) -> str | None:
        """After iterating: what was missing or damaged, `None` if nothing."""
        missing = self.declared_frames - self.num_frames
        if not self._damaged_packets and missing <= _MISSING_FRAMES_ALLOWED:
            return None
        declared = f" of {self.declared_frames}" if self.declared_frames else ""
        return (
            f"{self.file} is damaged or ends early: {self.num_frames}{declared} frames read, "
            f"{self._damaged_packets} packets could not be decoded"
        )

    def _require_reachable(self) -> None:
        if self._bytes.error is not None:
            raise UnreachableVideoError(
                f"{self.file} must stay readable while it is processed: {self._bytes.error.strerror}"
            ) from self._bytes.error

    def _close(self) -> None:
        self._container.close()
        self._bytes.close()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except _UNREADABLE:  # the container itself breaks off: only what is in the decoder can follow
                self._damaged_packets += 1
                yield from self._stream.codec_context.decode(None)
                return
            try:
                yield from packet.decode()
            except av.FFmpegError:  # later packets may decode again, from the next key frame on
                self._damaged_packets += 1


class _Bytes:
    """A file as FFmpeg reads it: where the disk fails it ends, and `error` tells that from an end of the content."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb", buffering=0)
        self.error: OSError | None = None
        self.tell, self.close = self._file.tell, self._file.close

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size) or b""
        except OSError as error:
            self.error = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:  # before the beginning: the content says so
                self.error = error
            raise


@contextmanager
def video_writer(file: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends a `uint8 [height, width, 3]` RGB picture to an H.264 mp4, written whole or not at all.

    All pictures have the size of the first; odd sizes lose their last row or column, for H.264 wants even ones.

    Raises:
        InputError: if no picture came.
    """
    with atomic_file(file) as aside, av.open(str(aside), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": _CONSTANT_RATE_FACTOR, "preset": "veryfast"}
        written = 0

        def write(image: np.ndarray) -> None:
            nonlocal written
            height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
            if not written:
                stream.height, stream.width = height, width
            written += 1
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))

        yield write
        if not written:
            raise InputError(f"{file} must get at least one picture, got none")
        container.mux(stream.encode(None))
