"""A live camera over RTSP: an endless iteration that yields frames as they come.

A background thread connects, decodes and reconnects. Failures of camera or network never end the iteration: they are
reported as a `Gap`, in order between the frames. A consumer slower than the camera gets an even share of the frames,
see `serving.video.even_share`; the others are counted and dropped, so memory stays constant.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import av
import numpy as np
from av.video.stream import VideoStream
from pydantic import PositiveFloat

from domain.errors import InputError
from domain.settings import Settings
from domain.video_geometry import description, shown
from domain.videos import NO_SETTINGS, STREAM_OPTIONS, VideoLimits, decode
from serving.video.even_share import EvenShare

_TRANSPORT = STREAM_OPTIONS | {
    "rtsp_transport": "tcp",  # lost UDP packets would damage pictures
    "allowed_media_types": "video",
    "probesize": "32",  # bytes probed before decoding starts; the decoder determines the rest
}
_TICK = timedelta(milliseconds=1)  # minimum difference between the times of two frames
_HANGS_AFTER_SILENCES = 4  # the decoding thread itself times out after three at most: connect, probe, read
_REDIRECT_REASON = (
    "the camera redirects to another address, which is never followed, or answers what FFmpeg cannot use; give the "
    "address where its pictures are"
)
_SILENCE_REASON = "the camera sent no decodable picture"
_REFUSALS = (av.HTTPUnauthorizedError, av.HTTPForbiddenError)
_log = logging.getLogger(__name__)
_Pending = tuple[int, datetime, av.VideoFrame, Fraction | None]  # number, time, picture, width by height of its pixels


class ConnectionSettings(Settings):
    """Subsection `serving.streams.connection`."""

    silence_s: PositiveFloat
    first_pause_s: PositiveFloat
    max_pause_s: PositiveFloat


@dataclass(frozen=True)
class LiveFrame:
    """One frame of a live camera."""

    number: int  # from 1, counting every decoded frame: dropped frames leave a hole
    time: datetime  # UTC, strictly rising
    image: np.ndarray  # uint8 [height, width, 3] RGB, as it is shown: upright, with square pixels
    num_unreadable: int = 0  # packets that could not be decoded, since the stream began


@dataclass(frozen=True)
class Gap:
    """A period without pictures of a camera."""

    since: datetime
    until: datetime | None  # time of the first frame after the gap, `None` while it is open
    reason: str


class PacketRecorder(Protocol):
    """Records the packets of a camera, as they come."""

    def begin(self) -> None:
        """A connection begins."""

    def add(self, packet: "av.Packet[VideoStream]", moment: Callable[[float], datetime | None]) -> None:
        """Record a packet; `moment` says when a time of the camera's clock was, None before its first picture."""

    def end(self, moment: Callable[[float], datetime | None]) -> None:
        """The connection ended."""


class LiveStream:
    """Frames of a live camera; iterate in one thread, `stop` from any.

    Args:
        name: name of the camera in logs and errors.
        address: `rtsp://` or `rtsps://`, with user and password if the camera needs them; never part of a log, an
            error or a gap.
        settings: timeouts.
        on_gap: called by the iterating thread, in order with the frames: when a gap begins, and again with `until`
            when it has ended.
        stride: yield every n-th frame; all frames are counted.
        limits: of the size of its pictures.
        recorder: gets each packet after it was decoded; called by the decoding thread.

    Raises:
        InputError: if `address` is not an RTSP address.
    """

    def __init__(
        self,
        name: str,
        address: str,
        settings: ConnectionSettings,
        on_gap: Callable[[Gap], object],
        stride: int = 1,
        limits: VideoLimits = NO_SETTINGS,
        recorder: PacketRecorder | None = None,
    ) -> None:
        require_rtsp(name, address)
        self.name = name
        self.num_frames = 0  # decoded
        self.num_dropped = 0  # decoded and due by the stride, but not read by the consumer, which is too slow
        self.num_unreadable = 0  # packets that could not be decoded
        self.num_reconnects = 0
        self._address, self._settings, self._on_gap, self._stride = address, settings, on_gap, stride
        self._limits, self._recorder = limits, recorder
        self._clock = _Clock(settings.silence_s)
        self._last_seen = self._clock.now()
        self._last_decoded_s = time.monotonic()
        self._share = EvenShare()
        self._pending: _Pending | None = None  # newest frame, not yet read by the consumer
        self._gap: Gap | None = None
        self._reported_gap: Gap | None = None
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        # A daemon, because a decoder that hangs in C code must not prevent the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"decode {self.name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[LiveFrame]:
        """Yield frames until `stop`, which also ends a waiting iteration at once.

        Raises:
            RuntimeError: if a bug ended the decoding thread; its traceback is in the log.
        """
        while (event := self._next_event()) is not None:
            if isinstance(event, Gap):
                self._on_gap(event)
            else:
                number, seen, picture, aspect = event
                yield LiveFrame(number, seen, shown(picture, aspect, self._limits.max_pixels), self.num_unreadable)

    @property
    def seconds_since_frame(self) -> float:
        """Time since the last decoded frame, or since the start."""
        return time.monotonic() - self._last_decoded_s

    @property
    def is_in_gap(self) -> bool:
        """Whether a gap is open."""
        gap = self._gap
        return gap is not None and gap.until is None

    def stop(self) -> None:
        """End the iteration at once, and the decoding thread after its current network call."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def _next_event(self) -> Gap | _Pending | None:
        """The next frame or gap in order of time; a gap comes twice, open and then with its end. None after `stop`."""
        with self._changed:
            self._share.end_work()
            while not self._stopping.is_set():
                gap, picture = self._gap, self._pending
                if picture is not None and (gap is None or gap.until is None):  # decoded before the gap began
                    self._pending = None
                    self._share.begin_work()
                    return picture
                if gap is not None and self._reported_gap is None:
                    self._reported_gap = replace(gap, until=None)
                    return self._reported_gap
                if gap is not None and gap.until is not None:
                    self._gap = self._reported_gap = None
                    return gap
                self._changed.wait(self._settings.silence_s)
                if not self._thread.is_alive() and not self._stopping.is_set():
                    raise RuntimeError(
                        f"the decoding thread of camera {self.name} must not end before stop; the log has its error"
                    )
                if self.seconds_since_frame > _HANGS_AFTER_SILENCES * self._settings.silence_s:
                    self._begin_gap("the decoder hangs")
            return None

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            frames, began_s = self.num_frames, time.monotonic()
            shortest_s = self._settings.first_pause_s
            try:
                reason = self._decode_connection(began_s)
            except av.FFmpegError as error:  # the text of the error itself contains the password
                reason = str(error.strerror).lower()
                if isinstance(error, av.ArgumentError):  # what FFmpeg says of a protocol that is not on its list
                    reason = _REDIRECT_REASON
                if isinstance(error, _REFUSALS):  # cameras lock accounts after repeated failures
                    shortest_s = self._settings.max_pause_s
            except InputError as error:
                reason = str(error)
            if self._stopping.is_set():
                return
            if self._is_silent_since(began_s):  # FFmpeg reports silence as invalid data, the end of the stream, …
                reason = _SILENCE_REASON
            failures = 0 if self.num_frames > frames else failures
            pause_s = min(self._settings.max_pause_s, shortest_s * 2 ** min(failures, 30)) * random.uniform(0.5, 1)
            with self._changed:
                self._begin_gap(reason)
            failures += 1
            self.num_reconnects += 1
            _log.warning("camera %s: %s; reconnecting in %.1f s", self.name, reason, pause_s)
            self._stopping.wait(pause_s)

    def _decode_connection(self, began_s: float) -> str:
        """Connect and decode until the connection ends, the camera is silent or `stop` is called; returns the reason.

        Raises:
            FFmpegError: if the connection fails.
            InputError: if the pictures are larger than the limit.
        """
        limits_s = (self._settings.silence_s, self._settings.silence_s)  # to connect, to read
        options = _TRANSPORT | {"max_pixels": str(self._limits.max_pixels)}
        with av.open(self._address, options=options, timeout=limits_s, metadata_errors="replace") as container:
            stream = next(iter(container.streams.video), None)
            if stream is None or stream.codec_context is None:
                return "the camera sends no video in a known codec"
            stream.codec_context.options = {"max_pixels": str(self._limits.max_pixels)}
            self._limits.require_size(f"camera {self.name}", stream.codec_context.width, stream.codec_context.height)
            stream.codec_context.thread_count = 1  # cameras share the cores; parallel decoding would add delay
            self._clock.restart()
            with self._recording() as record:
                for packet in container.demux(stream):
                    try:
                        for picture in decode(packet, f"camera {self.name}", self._limits):
                            self._receive(picture, stream.sample_aspect_ratio)
                    except av.FFmpegError:  # damaged packet; decoding may recover at the next key frame
                        self.num_unreadable += 1
                    record(packet)
                    if self._is_silent_since(began_s) or self._stopping.is_set():
                        break
        return "the stream ended"

    @contextmanager
    def _recording(self) -> "Iterator[Callable[[av.Packet[VideoStream]], None]]":
        """Yields a function that records a packet of the connection."""
        recorder = self._recorder
        if recorder is None:
            yield lambda packet: None
            return
        recorder.begin()
        try:
            yield lambda packet: recorder.add(packet, self._clock.moment)
        finally:
            recorder.end(self._clock.moment)

    def _is_silent_since(self, began_s: float) -> bool:
        return time.monotonic() - max(began_s, self._last_decoded_s) >= self._settings.silence_s

    def _receive(self, picture: av.VideoFrame, aspect: Fraction | None) -> None:
        with self._changed:
            seen = max(self._clock.time_of(picture), self._last_seen + _TICK)
            silence = seen - self._last_seen
            if self._gap is None and self.num_frames and silence > timedelta(seconds=self._settings.silence_s):
                self._begin_gap(_SILENCE_REASON)
            if self._gap is not None and self._gap.until is None:
                self._gap = replace(self._gap, until=seen)
                self._drop_pending()
            if not self.num_frames and (changed := description(picture, aspect)):
                _log.warning("camera %s: frames are %s", self.name, changed)
            self.num_frames += 1
            self._last_seen, self._last_decoded_s = seen, time.monotonic()
            if (self.num_frames - 1) % self._stride == 0:
                self._offer((self.num_frames, seen, picture, aspect))
            self._changed.notify_all()

    def _offer(self, picture: _Pending) -> None:
        """Let the consumer read a frame if it is in the share, instead of one that it has not read."""
        if not self._share.chooses():
            self.num_dropped += 1
            return
        if self._pending is not None:
            self._share.replace()
        self._drop_pending()
        self._pending = picture

    def _drop_pending(self) -> None:
        """Discard the frame that the consumer has not read."""
        self.num_dropped += self._pending is not None
        self._pending = None

    def _begin_gap(self, reason: str) -> None:
        """Open a gap at the last frame, or reopen a gap whose end was not yet reported."""
        if self._gap is None:
            self._gap = Gap(self._last_seen, None, reason)
        elif self._gap.until is not None:
            self._gap = replace(self._gap, until=None)
            self._drop_pending()
        self._changed.notify_all()


class _Clock:
    """Times of frames: intervals of the camera's clock, aligned to this machine's clock by the least delayed frame.

    The camera's clock may drift or jump: a frame dated in the future, or more than `max_delay_s` in the past, sets a
    new alignment.
    """

    def __init__(self, max_delay_s: float) -> None:
        self._max_delay_s = max_delay_s
        self.restart()

    def restart(self) -> None:
        """Drop the alignment and read this machine's clock, whose changes have no effect until the next restart."""
        self._epoch_s = time.time() - time.monotonic()
        self._zero_s = -float("inf")  # zero of the camera's clock on this machine's clock

    def now(self) -> datetime:
        """Time of this machine, UTC."""
        return datetime.fromtimestamp(self._epoch_s + time.monotonic(), UTC)

    def moment(self, camera_s: float) -> datetime | None:
        """The time at which the camera's clock showed `camera_s`; None before the first picture."""
        return None if self._zero_s == -float("inf") else datetime.fromtimestamp(self._zero_s + camera_s, UTC)

    def time_of(self, picture: av.VideoFrame) -> datetime:
        """Time at which the just decoded `picture` was taken."""
        now_s = self._epoch_s + time.monotonic()
        if picture.time is None:
            return datetime.fromtimestamp(now_s, UTC)
        if not now_s - self._max_delay_s <= self._zero_s + picture.time <= now_s:
            self._zero_s = now_s - picture.time
        return datetime.fromtimestamp(self._zero_s + picture.time, UTC)


def require_rtsp(name: str, address: str) -> None:
    """Raise `InputError`, without the address in its text, unless `address` is an RTSP address."""
    try:
        parts = urlsplit(address)
        is_rtsp = parts.scheme in ("rtsp", "rtsps") and bool(parts.hostname) and parts.port != 0
        # A "#" or "/" in a password ends the host's part, and what comes before it would be taken for the host.
        is_rtsp &= "#" not in address and ("@" in parts.netloc or "@" not in parts.path + parts.query)
    except ValueError:  # raising here would show the address in the chained error
        is_rtsp = False
    if not is_rtsp:
        raise InputError(
            f"the address of camera {name} must look like rtsp://user:password@host:port/path (it is not shown here, "
            "because it may hold a password); write characters such as @ / : # in a password as %40 %2F %3A %23"
        )
