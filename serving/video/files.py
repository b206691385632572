"""Video files through PyAV: a reader of frames with number and time, and an H.264 writer.

The reader yields every decodable frame of a damaged or truncated file, upright and with square pixels;
`VideoReader.damage` then says what is missing, and which times are not the file's.
A file without a decodable frame raises. So does a file that cannot be read: an unreachable disk is not damage.
"""

import time
from array import array
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
from domain.video_geometry import description, scale_of, shown
from domain.video_probe import probe
from domain.videos import (
    NO_SETTINGS,
    FileBytes,
    UnchangedBytes,
    UnreachableVideoError,
    VideoLimits,
    decode,
    open_container,
)
from serving.video.frame_times import PAUSE_S, FrameTimes, Stamped

_FALLBACK_FPS = 25.0
_TICKS_A_SECOND = 90_000  # of written times
_CONSTANT_RATE_FACTOR = "23"  # H.264's default quality
_UNREADABLE = (av.FFmpegError, OSError)  # OSError: a seek beyond the end of a truncated file
_LOOK_AHEAD = 16  # frames that are held to judge the time of one
_MOST_HELD_PIXELS = 100_000_000  # of these
_MISSING_FRAMES_ALLOWED = 1  # containers often count one frame more than they hold
# A decoder is given this time, and this multiple of the video's own; the slowest machine needs a tenth of it.
_MOST_DECODING_S, _MOST_DECODING_OF_VIDEO = 120.0, 20.0
_LONGEST_COUNTED_STEP_S = 1.0  # of the video's time, for a frame


@dataclass(frozen=True)
class Frame:
    """One frame of a video."""

    number: int  # from 1, as in MOTChallenge text
    time_s: float  # since the first frame, strictly rising
    image: np.ndarray  # uint8 [height, width, 3] RGB, as it is shown: upright, with square pixels


class VideoReader:
    """Reads the frames of a video file in order; can be iterated once.

    Args:
        file: a video in one of the containers of `domain.videos`.
        stride: yield every n-th frame, beginning with the first; all frames are counted.
        limits: largest frames, highest frame rate and longest duration.
        sha256: checksum of the file that is meant; without it, any content is.
        whole: look through the whole file for what is beyond the limits before the first frame, not at its beginning
            only.

    Raises:
        InputError: if the file is not a video, beyond the limits, of another checksum, or (while iterating) has no
            decodable frame or changes.
        UnreachableVideoError: if it is missing, or cannot be read when opened or while iterating.
    """

    def __init__(
        self,
        file: Path,
        stride: int = 1,
        limits: VideoLimits = NO_SETTINGS,
        *,
        sha256: str | None = None,
        whole: bool = True,
    ) -> None:
        self.file, self.stride, self._limits = file, stride, limits  # before iterating, the stride may be changed
        self._bytes = FileBytes(file) if sha256 is None else UnchangedBytes(file, sha256)
        try:
            probe(self._bytes, file, limits, whole=whole)
            self._container = open_container(self._bytes, file, limits)
        except InputError:
            self._bytes.close()
            self._require_reachable()
            raise
        self._stream = self._container.streams.video[0]
        codec = self._stream.codec_context
        look_ahead = _MOST_HELD_PIXELS // max(1, codec.width * codec.height)
        self._times = FrameTimes(1 / self._declared_fps, max(2, min(_LOOK_AHEAD, look_ahead)))
        self.geometry: str | None = None  # what was changed to show the frames rightly; known from the first frame on
        self.pixel_scale = (1.0, 1.0)  # of a stored pixel, across and down the upright frame; known as the above
        self.declared_frames = self._stream.frames  # as the container declares, 0 if it declares none
        self.num_frames = 0  # decoded so far
        self.times_s = array("d")  # of these frames, since the first
        self.damaged_packets = 0  # that could not be decoded so far
        self._decoding_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def declared_s(self) -> float | None:
        """Duration that the container declares, wrong in some damaged files; None if it declares none."""
        return self._container.duration / av.time_base if self._container.duration else None

    @property
    def _declared_fps(self) -> float:
        """Frames a second as the file says or FFmpeg guesses; wrong where the rate varies."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate and 1 / PAUSE_S <= rate <= self._limits.max_fps else _FALLBACK_FPS

    @property
    def fps(self) -> float:
        """Mean frame rate of the frames read so far; as the file declares it before the second frame."""
        last_s = self._times.last_s
        return (self.num_frames - 1) / last_s if last_s else self._declared_fps

    @property
    def end_s(self) -> float:
        """End of the last frame read, since the first frame."""
        return self._times.end_s

    @property
    def pauses_s(self) -> list[tuple[float, float]]:
        """Begin and end of each pause of the recording, since the first frame."""
        return self._times.pauses_s

    def __iter__(self) -> Iterator[Frame]:
        for picture, time_s in self._times.dated(self._stamped()):
            self._limits.require_time(self.file, self.num_frames, time_s)
            aspect = self._stream.sample_aspect_ratio
            if not self.num_frames:
                self.geometry = description(picture, aspect)
                self.pixel_scale = scale_of(picture, aspect, self._limits.max_pixels)
            self.num_frames += 1
            self.times_s.append(time_s)
            if (self.num_frames - 1) % self.stride == 0:
                yield Frame(self.num_frames, time_s, shown(picture, aspect, self._limits.max_pixels))
        self._require_reachable()
        if not self.num_frames:
            raise InputError(f"{self.file} must be a video that PyAV can decode; none of its frames can be decoded")

    @property
    def damage(self) -> str | None:
        """After iterating: missing or damaged parts and times that are not the file's, `None` if there are none."""
        missing, said = self.declared_frames - self.num_frames, self._times.remarks
        if self.damaged_packets or missing > _MISSING_FRAMES_ALLOWED:
            declared = f" of {self.declared_frames}" if self.declared_frames else ""
            said = [
                f"is damaged or ends early: {self.num_frames}{declared} frames read, "
                f"{self.damaged_packets} packets could not be decoded",
                *said,
            ]
        return f"{self.file} {'; '.join(said)}" if said else None

    def _require_reachable(self) -> None:
        if self._bytes.has_changed:
            raise InputError(f"{self.file} must not change while it is processed; register it again")
        if self._bytes.error is not None:
            raise UnreachableVideoError(
                f"{self.file} must stay readable while it is processed: {self._bytes.error.strerror}"
            ) from self._bytes.error

    def _close(self) -> None:
        self._container.close()
        self._bytes.close()

    def _stamped(self) -> Iterator[Stamped[av.VideoFrame]]:
        """The frames with their times: when they are shown; in AVI, which does not say so, when they are decoded."""
        is_avi, last = self._container.format.name == "avi", 0
        for picture in self._pictures():
            base, duration = float(picture.time_base or 0), picture.duration or 0
            ticks = picture.dts if is_avi or picture.pts is None else picture.pts
            if ticks is None and is_avi:
                ticks = last + duration  # the last frames, which wait in the decoder
            last = ticks if ticks is not None else last
            yield Stamped(picture, None if ticks is None or not base else ticks * base, duration * base or None)

    def _pictures(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except _UNREADABLE:  # the container is truncated: only frames in the decoder remain
                self.damaged_packets += 1
                yield from self._stream.codec_context.decode(None)
                return
            began_s = time.monotonic()
            try:
                pictures = decode(packet, self.file, self._limits)
            except av.FFmpegError:  # decoding may recover at the next key frame
                self.damaged_packets += 1
                continue
            finally:
                self._decoding_s += time.monotonic() - began_s
                self._require_pace()
            yield from pictures

    def _require_pace(self) -> None:
        """Raise `InputError` if decoding takes longer than any video of this duration needs."""
        decoded_s = min(self._times.last_s or 0.0, self.num_frames * _LONGEST_COUNTED_STEP_S)
        most_s = _MOST_DECODING_S + _MOST_DECODING_OF_VIDEO * decoded_s
        if self._decoding_s > most_s:
            raise InputError(
                f"{self.file} must be a video whose first {self.num_frames} frames are decoded within {most_s:.0f} s"
            )


@contextmanager
def video_writer(file: Path, fps: float) -> Iterator[Callable[..., None]]:
    """Write an H.264 mp4 atomically; yields a function that appends a picture, `uint8 [height, width, 3]` RGB.

    The function takes the picture's time in seconds as its second argument; without it, pictures come at `fps`. All
    pictures have the size of the first. An odd last row or column is cut off, because H.264 needs even sizes.

    Raises:
        InputError: if no picture was appended.
    """
    with atomic_file(file) as aside, av.open(str(aside), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, _TICKS_A_SECOND)
        stream.codec_context.time_base = Fraction(1, _TICKS_A_SECOND)
        stream.options = {"crf": _CONSTANT_RATE_FACTOR, "preset": "veryfast"}
        written, last_tick = 0, -1

        def write(image: np.ndarray, time_s: float | None = None) -> None:
            nonlocal written, last_tick
            height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
            if not written:
                stream.height, stream.width = height, width
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            last_tick = max(last_tick + 1, round((written / fps if time_s is None else time_s) * _TICKS_A_SECOND))
            picture.pts, picture.time_base = last_tick, Fraction(1, _TICKS_A_SECOND)
            written += 1
            container.mux(stream.encode(picture))

        yield write
        if not written:
            raise InputError(f"{file} must get at least one picture, got none")
        container.mux(stream.encode(None))
