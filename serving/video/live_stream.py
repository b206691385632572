"""A live camera over RTSP: its newest frame whenever the consumer is ready, for as long as it is wanted.

A thread of its own dials, decodes and dials again. Whatever the camera or the network does ends no iteration: it is a
`Gap`, told to the consumer between the frames it lies between. A consumer slower than the camera gets the newest frame;
those in between are counted and dropped, so memory stays flat.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import av
import numpy as np
from pydantic import PositiveFloat

from domain.errors import InputError
from domain.settings import Settings

_TRANSPORT = {
    "rtsp_transport": "tcp",  # lost UDP packets would be damaged pictures
    "allowed_media_types": "video",
    "probesize": "32",  # bytes to look at before the first picture is given: the decoder finds out the rest
}
_TICK = timedelta(milliseconds=1)  # between pictures whose times would not rise
_HANGS_AFTER_SILENCES = 4  # the decoding thread itself gives up after three at most: dialling, looking, reading
_SILENCE_REASON = "the camera sent no decodable picture"
_REFUSALS = (av.HTTPUnauthorizedError, av.HTTPForbiddenError)
_log = logging.getLogger(__name__)


class ConnectionSettings(Settings):
    """Subsection `serving.streams.connection`."""

    silence_s: PositiveFloat
    first_pause_s: PositiveFloat
    max_pause_s: PositiveFloat


@dataclass(frozen=True)
class LiveFrame:
    """One picture of a live camera."""

    number: int  # from 1, of all that were decoded, so that dropped ones leave a hole
    time: datetime  # UTC, always rising
    image: np.ndarray  # uint8 [height, width, 3] RGB


@dataclass(frozen=True)
class Gap:
    """A time in which a camera showed nothing."""

    since: datetime
    until: datetime | None  # of the first picture after it, `None` while it lasts
    reason: str


class LiveStream:
    """The frames of a live camera; iterate in one thread, `stop` from any.

    Args:
        name: of the camera, for logs and errors.
        address: `rtsp://` or `rtsps://`, with user and password where the camera asks for them; no log, error or gap
            shows any of it.
        settings: how long to wait for what.
        on_gap: called by the iterating thread, between the frames that it is between: when a gap begins, and again
            with `until` when it has ended.
        stride: only every n-th frame is given; all are counted.

    Raises:
        InputError: if the address is none.
    """

    def __init__(
        self,
        name: str,
        address: str,
        settings: ConnectionSettings,
        on_gap: Callable[[Gap], object],
        stride: int = 1,
    ) -> None:
        """Begin to dial."""
        require_rtsp(name, address)
        self.name = name
        self.num_frames = 0  # decoded
        self.num_dropped = 0  # decoded and wanted, but a newer one came before the consumer
        self.num_reconnects = 0
        self._address, self._settings, self._on_gap, self._stride = address, settings, on_gap, stride
        self._clock = _Clock(settings.silence_s)
        self._last_seen = self._clock.now()
        self._last_decoded_s = time.monotonic()
        self._pending: tuple[int, datetime, av.VideoFrame] | None = None  # not yet given
        self._gap: Gap | None = None
        self._reported_gap: Gap | None = None
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        # A daemon: a decoder that hangs in C must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"decode {self.name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Itself; leaving the block stops it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def __iter__(self) -> Iterator[LiveFrame]:
        """Frames until `stop`; whoever waits for one is told at once.

        Raises:
            RuntimeError: if the decoding thread died of a bug, whose traceback is in the log.
        """
        while (event := self._next_event()) is not None:
            if isinstance(event, Gap):
                self._on_gap(event)
            else:
                number, seen, picture = event
                yield LiveFrame(number, seen, picture.to_ndarray(format="rgb24"))

    @property
    def seconds_since_frame(self) -> float:
        """Since the last picture was decoded, or since the beginning."""
        return time.monotonic() - self._last_decoded_s

    @property
    def is_in_gap(self) -> bool:
        """Whether the camera shows nothing now."""
        gap = self._gap
        return gap is not None and gap.until is None

    def stop(self) -> None:
        """End the iteration at once, and the decoding thread as soon as it is out of the network's hands."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def _next_event(self) -> Gap | tuple[int, datetime, av.VideoFrame] | None:
        """What comes next in time, a gap twice: open, then with its end; None after `stop`."""
        with self._changed:
            while not self._stopping.is_set():
                gap, picture = self._gap, self._pending
                if picture is not None and (gap is None or gap.until is None):  # seen before the gap began
                    self._pending = None
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
            except av.FFmpegError as error:  # its own text would show the password
                reason = str(error.strerror).lower()
                if isinstance(error, _REFUSALS):  # cameras lock accounts that fail often
                    shortest_s = self._settings.max_pause_s
            if self._stopping.is_set():
                return
            if self._is_silent_since(began_s):  # FFmpeg calls it invalid data, the end of the stream, …
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
        """Dial and decode until the connection ends, silence lasts too long or all is to stop; why it ended.

        Raises:
            FFmpegError: if it breaks.
        """
        limits_s = (self._settings.silence_s, self._settings.silence_s)  # to open, to read
        with av.open(self._address, options=_TRANSPORT, timeout=limits_s, metadata_errors="replace") as container:
            stream = next(iter(container.streams.video), None)
            if stream is None or stream.codec_context is None:
                return "the camera sends no video in a known codec"
            stream.codec_context.thread_count = 1  # cores are shared by cameras; frame threads would add delay
            self._clock.restart()
            for packet in container.demux(stream):
                try:
                    for picture in packet.decode():
                        self._receive(picture)
                except av.FFmpegError:  # damaged; later packets may decode again, from the next key frame on
                    pass
                if self._is_silent_since(began_s) or self._stopping.is_set():
                    break
        return "the stream ended"

    def _is_silent_since(self, began_s: float) -> bool:
        return time.monotonic() - max(began_s, self._last_decoded_s) >= self._settings.silence_s

    def _receive(self, picture: av.VideoFrame) -> None:
        with self._changed:
            seen = max(self._clock.time_of(picture), self._last_seen + _TICK)
            silence = seen - self._last_seen
            if self._gap is None and self.num_frames and silence > timedelta(seconds=self._settings.silence_s):
                self._begin_gap(_SILENCE_REASON)
            if self._gap is not None and self._gap.until is None:
                self._gap = replace(self._gap, until=seen)
                self._drop_pending()
            self.num_frames += 1
            self._last_seen, self._last_decoded_s = seen, time.monotonic()
            if (self.num_frames - 1) % self._stride == 0:
                self._drop_pending()
                self._pending = self.num_frames, seen, picture
            self._changed.notify_all()

    def _drop_pending(self) -> None:
        """What was not given by now never will be."""
        self.num_dropped += self._pending is not None
        self._pending = None

    def _begin_gap(self, reason: str) -> None:
        """From the last picture on; one whose end the consumer has not heard of yet goes on instead."""
        if self._gap is None:
            self._gap = Gap(self._last_seen, None, reason)
        elif self._gap.until is not None:
            self._gap = replace(self._gap, until=None)
            self._drop_pending()
        self._changed.notify_all()


class _Clock:
    """When pictures were taken: the camera's own intervals, laid on this machine's clock by the promptest arrival.

    The camera's clock may run or jump as it likes; a picture that it dates later than now, or more than `max_delay_s`
    before, sets a new beginning.
    """

    def __init__(self, max_delay_s: float) -> None:
        """Read this machine's clock."""
        self._max_delay_s = max_delay_s
        self.restart()

    def restart(self) -> None:
        """Forget the camera's clock and read this machine's anew; between, a step of it does no harm."""
        self._epoch_s = time.time() - time.monotonic()
        self._zero_s = -float("inf")  # of the camera's clock on this machine's

    def now(self) -> datetime:
        """This machine's time."""
        return datetime.fromtimestamp(self._epoch_s + time.monotonic(), UTC)

    def time_of(self, picture: av.VideoFrame) -> datetime:
        """When `picture`, which was decoded just now, was taken."""
        now_s = self._epoch_s + time.monotonic()
        if picture.time is None:
            return datetime.fromtimestamp(now_s, UTC)
        if not now_s - self._max_delay_s <= self._zero_s + picture.time <= now_s:
            self._zero_s = now_s - picture.time
        return datetime.fromtimestamp(self._zero_s + picture.time, UTC)


def require_rtsp(name: str, address: str) -> None:
    """Raise `InputError`, which does not show `address`, unless that is what it is."""
    try:
        parts = urlsplit(address)
        is_rtsp = parts.scheme in ("rtsp", "rtsps") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # raising within this block would show the address by the chain of errors
        is_rtsp = False
    if not is_rtsp:
        raise InputError(
            f"the address of camera {name} must look like rtsp://user:password@host:port/path (it is not shown here, "
            "because it may hold a password); write characters such as @ / : in a password as %40 %2F %3A"
        )
