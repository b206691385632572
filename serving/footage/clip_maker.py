"""Program of a process that makes clips for `serving.footage.clips`, one after the other, and nothing else.

A recording may be a file that misleads its decoder. The process gets an open descriptor of the one video and can open
no other file; its memory and processor time are bounded, and it is killed at the deadline of the request.

A clip is an H.264 MP4 with a frame round the person, in fragments that are sent as they are made. Its times count from
the begin of the part that was ordered.
"""

import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from io import BytesIO

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Interpolation

from domain.errors import InputError
from domain.video_geometry import is_turned, scale_of, shown, square_size
from domain.videos import FileBytes, decode, open_container
from serving.footage.clip_order import ANSWER, MOST_REFUSAL_BYTES, ORDER, READY, ClipOrder

_MOST_BYTES = 3_000_000_000  # of memory, address space that is never touched included
_CONNECTION = 3  # its descriptor, after those of input, output and errors
_MOST_FPS = 15.0  # of a clip
_WORTH_SEEKING_S = 10.0
# Transport streams have no list of key frames: from a place between two nothing can be decoded up to the next.
_SOONER_GOALS_S = (0.0, 12.0)
_MOST_UNDECODABLE = 500  # packets, in which a key frame should have come
_SOONER_S = 0.002  # rounding of times
_LONGEST_INTERVAL_S = 1.0  # between two frames
_TICKS_A_SECOND = 90_000
_FALLBACK_FPS = 25.0
_COLOURS = ((0, 0, 0), (255, 196, 0))  # of the frame round a person: its shade, and itself
_CODED_COLOURS = ((16, 128, 128), (180, 33, 168))  # the same in YUV of limited range
# A key frame a second: the page steps through frames. Each begins a fragment. More threads would hold pictures back.
_ENCODING = {"preset": "ultrafast", "crf": "23", "g": "15", "threads": "1"}
_FIRST_FRAMES = 3  # in the first fragment, so that the page soon shows a picture
_FRAGMENTS = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+frag_discont",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",  # else the first frame would be at 0
}


def make_clip(opened: Callable[[], InputContainer], order: ClipOrder) -> Iterator[bytes]:
    """Parts of the clip, an MP4 in fragments; each has pictures, and comes as soon as it is made.

    Args:
        opened: opens the video anew.
        order: the part of the video.

    Raises:
        InputError: if the part has no frame that can be decoded.
    """
    container, boxes = opened(), _Boxes(order)
    recorded = container.streams.video[0]
    written, num_fragments, num_frames, last_s = _Written(), 0, 0, -math.inf
    with av.open(written, "w", format="mp4", options=_FRAGMENTS) as clip:
        stream = clip.add_stream("libx264", rate=round(_MOST_FPS), options=_ENCODING)
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, _TICKS_A_SECOND)
        stream.codec_context.time_base = stream.time_base
        for picture, time_s in _timed(container, opened, order):
            box = boxes.next(time_s)
            if time_s < order.begin_s - _SOONER_S:
                continue
            if time_s > order.end_s + _SOONER_S:
                break
            if time_s - last_s < 1 / _MOST_FPS - _SOONER_S:
                continue
            aspect = recorded.sample_aspect_ratio
            across, down = scale_of(picture, aspect, order.limits.max_pixels)
            scale = min(1.0, order.most_side_px / max(picture.width * across, picture.height * down))
            coded = _coded(picture, aspect, order, scale)
            if last_s == -math.inf:
                stream.width, stream.height = coded.width, coded.height
                stream.codec_context.colorspace = coded.colorspace
            if box is not None:
                coded.make_writable()
                _mark_coded(coded, box * scale)
            coded.pts, coded.time_base = round(max(0.0, time_s - order.begin_s) * _TICKS_A_SECOND), stream.time_base
            # Else the encoder's choice.
            coded.pict_type = PictureType.I if num_frames == _FIRST_FRAMES else PictureType.NONE
            packets = stream.encode(coded)
            clip.mux(packets)
            if any(packet.is_keyframe for packet in packets):
                if num_fragments:
                    yield written.take()
                num_fragments += 1
            num_frames, last_s = num_frames + 1, time_s
        if last_s > -math.inf:
            clip.mux(stream.encode(None))
    if last_s == -math.inf:
        raise InputError(f"{order.name} must have pictures from {order.begin_s:.0f} to {order.end_s:.0f} s, got none")
    yield written.take()


class _Written:
    """A file in which nothing can be sought; what was written to it is taken out again."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, content: bytes) -> int:
        """Append `content`."""
        self._content += content
        return len(content)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken, self._content = bytes(self._content), bytearray()
        return taken


def mark(image: np.ndarray, box_xyxy: np.ndarray) -> None:
    """Draw a frame round the box into `image` (uint8 [height, width, 3] RGB, in place), just outside of it."""
    for kind, (rows, columns) in _lines(box_xyxy, *image.shape[:2]):
        image[rows, columns] = _COLOURS[kind]


def _mark_coded(picture: av.VideoFrame, box_xyxy: np.ndarray) -> None:
    """The same in a picture of the format yuv420p, in place."""
    for number, (plane, part) in enumerate(zip(picture.planes, (1, 2, 2), strict=True)):
        pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for kind, lines in _lines(box_xyxy, picture.height, picture.width):
            rows, columns = (slice(one.start // part, one.stop // part) for one in lines)
            pixels[rows, columns] = _CODED_COLOURS[kind][number]


def _lines(box_xyxy: np.ndarray, height: int, width: int) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Rows and columns of each line of the frame round a box, with the number of its colour; all are at even pixels."""
    thick = 2 * max(1, height // 400)
    for kind, outside in enumerate((2 * thick, thick)):
        outer = np.clip(box_xyxy + outside * np.array([-1, -1, 1, 1]), 0, [width, height, width, height])
        left, top, right, bottom = (int(side) // 2 * 2 for side in outer)
        rows, columns = slice(top, bottom), slice(left, right)
        yield kind, (slice(top, min(top + thick, bottom)), columns)
        yield kind, (slice(max(top, bottom - thick), bottom), columns)
        yield kind, (rows, slice(left, min(left + thick, right)))
        yield kind, (rows, slice(max(left, right - thick), right))


def _coded(picture: av.VideoFrame, aspect: Fraction | None, order: ClipOrder, scale: float) -> av.VideoFrame:
    """`picture` as it is shown, scaled, with even sides, in the format yuv420p; turning alone needs another format."""
    if is_turned(picture):
        image = shown(picture, aspect, order.limits.max_pixels, scale)
        height, width = (side // 2 * 2 for side in image.shape[:2])
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
    else:
        square = square_size(picture.width, picture.height, aspect, order.limits.max_pixels)
        width, height = (max(2, round(side * scale) // 2 * 2) for side in square)
    scaling = Interpolation.FAST_BILINEAR if order.is_quick else Interpolation.BICUBIC
    return picture.reformat(width, height, "yuv420p", interpolation=scaling, dst_color_range=ColorRange.MPEG)


class _Boxes:
    """Where the person is in each frame, as the frames come in order."""

    def __init__(self, order: ClipOrder) -> None:
        self._first_seen_s = order.first_seen_s
        self._last_s: float | None = None
        self._has_begun = False
        self._boxes = {number: np.array(box) for number, *box in order.boxes}
        self._number = min(self._boxes, default=0) - 1  # of the last frame

    def next(self, time_s: float) -> np.ndarray | None:
        """The box in the frame at `time_s`, `[4]` in pixels of the upright frame; None where there is none."""
        interval_s = min(time_s - self._last_s, _LONGEST_INTERVAL_S) if self._last_s is not None else 0.0
        self._last_s = time_s
        sooner_s = max(_SOONER_S, interval_s / 2)  # clocks of live cameras are adjusted by parts of it
        if self._first_seen_s is None or (not self._has_begun and time_s < self._first_seen_s - sooner_s):
            return None
        self._has_begun = True
        self._number += 1
        return self._boxes.get(self._number)


def _timed(
    container: InputContainer, opened: Callable[[], InputContainer], order: ClipOrder
) -> Iterator[tuple[av.VideoFrame, float]]:
    """Pictures with their time, from `order.begin_s` or somewhat sooner on."""
    pictures = _pictures(container, order)
    first = next(pictures, None)
    if first is None:
        return
    zero_s = _time_of(container, first)
    stream = container.streams.video[0]
    if zero_s is None:  # a bare stream of pictures: they are counted
        fps = float(stream.average_rate or stream.guessed_rate or _FALLBACK_FPS)
        yield first, 0.0
        for number, picture in enumerate(pictures, start=1):
            yield picture, number / fps
        return
    goal_s = order.begin_s if order.first_seen_s is None else min(order.begin_s, order.first_seen_s)
    for sooner_s in _SOONER_GOALS_S if goal_s > _WORTH_SEEKING_S else ():
        with suppress(av.FFmpegError, OSError):  # bare streams cannot be sought in
            container.seek(round((zero_s + goal_s - sooner_s) / float(stream.time_base or 1)), stream=stream)
        timed = _from_zero(container, order, zero_s, _MOST_UNDECODABLE)
        start = next(timed, None)
        if start is not None and start[1] <= goal_s + _SOONER_S:
            yield start
            yield from timed
            return
    yield from _from_zero(opened(), order, zero_s)


def _from_zero(
    container: InputContainer, order: ClipOrder, zero_s: float, most_undecodable: int | None = None
) -> Iterator[tuple[av.VideoFrame, float]]:
    """The pictures that have a time, with their time since `zero_s`."""
    for picture in _pictures(container, order, most_undecodable):
        time_s = _time_of(container, picture)
        if time_s is not None:
            yield picture, time_s - zero_s


def _time_of(container: InputContainer, picture: av.VideoFrame) -> float | None:
    """As `serving.video.files` dates pictures: when they are shown; in AVI, when they are decoded."""
    ticks = picture.dts if container.format.name == "avi" or picture.pts is None else picture.pts
    return None if ticks is None or not picture.time_base else float(ticks * picture.time_base)


def _pictures(
    container: InputContainer, order: ClipOrder, most_undecodable: int | None = None
) -> Iterator[av.VideoFrame]:
    """The pictures that come; none after `most_undecodable` packets without one."""
    packets, undecodable = container.demux(container.streams.video[0]), 0
    while most_undecodable is None or undecodable < most_undecodable:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError, OSError):
            return
        undecodable += 1
        with suppress(av.FFmpegError):  # decoding may recover at the next key frame
            for picture in decode(packet, order.name, order.limits):
                undecodable = 0
                yield picture


def _serve() -> None:
    """Answer orders until the service closes the socket, which is standard input."""
    os.dup2(0, _CONNECTION)
    nothing = os.open(os.devnull, os.O_RDWR)
    for used in (0, 1):  # what a library prints is no answer
        os.dup2(nothing, used)
    os.closerange(_CONNECTION + 1, _CONNECTION + 100)
    connection = socket.socket(fileno=_CONNECTION)
    make_nothing()
    resource.setrlimit(resource.RLIMIT_NOFILE, (_CONNECTION + 2, _CONNECTION + 2))  # the video, and no other file
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    connection.sendall(READY)
    while True:
        head, descriptors, _, _ = socket.recv_fds(connection, ORDER.size, 1)
        if not descriptors:
            return
        order = ClipOrder.model_validate_json(_receive(connection, ORDER.unpack(head)[0]))
        signal.setitimer(signal.ITIMER_PROF, order.cpu_s)  # counts processor time; its signal ends the process
        content = FileBytes.of_descriptor(descriptors[0])
        try:
            for part in make_clip(partial(_opened, content, order), order):
                connection.sendall(ANSWER.pack(0, len(part)) + part)
            connection.sendall(ANSWER.pack(0, 0))
        except (InputError, MemoryError, av.FFmpegError, OSError) as error:
            refusal = (str(error) or type(error).__name__).encode(errors="backslashreplace")[:MOST_REFUSAL_BYTES]
            connection.sendall(ANSWER.pack(len(refusal), 0) + refusal)
        finally:
            content.close()
        signal.setitimer(signal.ITIMER_PROF, 0)


def _opened(content: FileBytes, order: ClipOrder) -> InputContainer:
    content.seek(0)
    return open_container(content, order.name, order.limits)


def make_nothing() -> None:
    """Make a clip of one black picture, so that every library is loaded before files can no longer be opened."""
    source = BytesIO()
    with av.open(source, "w", format="mp4") as written:
        stream = written.add_stream("libx264", rate=1, options=_ENCODING)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for coded in (av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24"), None):
            written.mux(stream.encode(coded))
    for _ in make_clip(lambda: av.open(BytesIO(source.getvalue()), "r"), ClipOrder(name="nothing", begin_s=0, end_s=1)):
        pass


def _receive(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        received += connection.recv(length - len(received)) or sys.exit("the service has ended")
    return received


if __name__ == "__main__":
    _serve()
