"""Videos with times and shapes as other people's recorders write them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_TICKS = {".ts": 90_000, ".mkv": 1000}
_PES_OF_VIDEO = b"\0\0\1\xe0"
_PACKET = 188


def write_stamped(
    file: Path,
    times_s: Sequence[float],
    *,
    declared_fps: float = 10,
    size: tuple[int, int] = (96, 64),
    aspect: Fraction | None = None,
    reorders: bool = False,
    picture: Callable[[int], np.ndarray] | None = None,
) -> Path:
    """A video whose frames have these times; `declared_fps` is what its header says.

    With `reorders`, frames are stored in another order than they are shown, as with B-frames.
    """
    width, height = size
    ticks = declared_fps if file.suffix == ".avi" else _TICKS.get(file.suffix, 10_000)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(declared_fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = 1 / Fraction(ticks)
        stream.options = {"bf": "2" if reorders else "0", "g": "10", "preset": "veryfast" if reorders else "ultrafast"}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for number, time_s in enumerate(times_s):
            image = np.full((height, width, 3), number * 4 % 256, np.uint8) if picture is None else picture(number)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time_s * ticks), 1 / Fraction(ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def remux(source: Path, target: Path, time_of: Callable[[float], float] = lambda time_s: time_s) -> Path:
    """The same pictures in another container, at `time_of` their times in s, which rises."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            tick = packet.time_base
            packet.pts, packet.dts = (round(time_of(float(at * tick)) / tick) for at in (packet.pts, packet.dts))
            packet.stream = stream
            written.mux(packet)
    return target


def restamp(file: Path, time_of: Callable[[int, float], float]) -> None:
    """Gives the frames of an MPEG-TS other times: those of `time_of(number from 0, time in s)`, whatever they are."""
    content, number = bytearray(file.read_bytes()), 0
    for start in range(0, len(content), _PACKET):
        place = content.find(_PES_OF_VIDEO, start, start + _PACKET)
        if place < 0:
            continue
        if content[place + 7] >> 6:  # it has a time
            field = slice(place + 9, place + 14)
            ticks = round(time_of(number, _ticks_of(content[field]) / 90_000) * 90_000) % 2**33
            content[field] = _field_of(ticks, content[place + 9] & 0xF0)
            if content[place + 7] >> 6 == 3:  # and one of decoding
                content[place + 14 : place + 19] = _field_of(ticks, content[place + 14] & 0xF0)
        number += 1
    file.write_bytes(content)


def _ticks_of(field: bytes) -> int:
    return (field[0] >> 1 & 7) << 30 | field[1] << 22 | field[2] >> 1 << 15 | field[3] << 7 | field[4] >> 1


def _field_of(ticks: int, marker: int) -> bytes:
    high, low = ticks >> 15 & 127, ticks & 127
    return bytes(
        [marker | (ticks >> 30 & 7) << 1 | 1, ticks >> 22 & 255, high << 1 | 1, ticks >> 7 & 255, low << 1 | 1]
    )


def turn(file: Path, matrix: tuple[int, int, int, int]) -> None:
    """Writes `a, b, c, d` of a display matrix, as whole numbers, into the track header of an mp4."""
    content = bytearray(file.read_bytes())
    place = content.index(b"tkhd") + 44
    values = (matrix[0], matrix[1], 0, matrix[2], matrix[3], 0)
    content[place : place + 24] = b"".join((value << 16).to_bytes(4, "big", signed=True) for value in values)
    file.write_bytes(content)
