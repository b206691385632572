"""Files that call themselves videos and are something else, or ask for more than any video needs."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_IN_OPEN = 0x20


def encoded(
    file: Path, size: tuple[int, int] = (64, 48), frames: int = 5, codec: str = "libx264", **options: str
) -> bytes:
    """A grey video in the container of the file's suffix."""
    with av.open(str(file), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), 40 * number % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.read_bytes()


def playlists(other: Path) -> dict[str, bytes]:
    """Texts that make FFmpeg open `other`, fetch from the network or listen to it."""
    name, path = other.name, str(other)
    sdp = "v=0\no=- 0 0 IN IP4 {0}\ns=x\nc=IN IP4 {0}\nt=0 0\nm=video 3298 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    texts = {
        "concat": f"ffconcat version 1.0\nfile {name}\n",
        "concat with a path": f"ffconcat version 1.0\noption safe 0\nfile '{path}'\n",
        "a session of one machine": sdp.format("127.0.0.1"),
        "a session of many machines": sdp.format("239.1.2.3"),
        "a list of segments": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
        "a list of addresses": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n",
        "a manifest": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' profiles='urn:mpeg:dash'>"
        f"<Period><AdaptationSet><Representation><BaseURL>file://{path}</BaseURL></Representation></AdaptationSet>"
        "</Period></MPD>",
        "subtitles": "1\n00:00:00,000 --> 00:00:02,000\nwords\n",
        "a reference": f"[Reference]\nRef1=file://{path}\n",
        "metadata": ";FFMETADATA1\ntitle=x\n",
        "an image": "P6 4 4 255\n" + "x" * 48,
    }
    return {kind: text.encode() for kind, text in texts.items()}


def referring(mp4: bytes, path: str) -> bytes:
    """`mp4`, whose samples are said to lie in the file at `path`."""
    address = f"file://{path}".encode() + b"\0"
    old = _box(b"dref", bytes(4) + struct.pack(">I", 1) + _box(b"url ", b"\0\0\0\1"))
    new = _box(b"dref", bytes(4) + struct.pack(">I", 1) + _box(b"url ", b"\0\0\0\0" + address))
    assert old in mp4
    grown = mp4.replace(old, new)
    for kind in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = grown.index(kind) - 4
        [size] = struct.unpack(">I", grown[at : at + 4])
        grown = grown[:at] + struct.pack(">I", size + len(new) - len(old)) + grown[at + 4 :]
    return grown


def declaring(file: Path, samples: int) -> bytes:
    """An mp4 of some kilobytes that declares `samples` frames, of each of which FFmpeg keeps a record."""
    content = bytearray(encoded(file, movflags="frag_keyframe+empty_moov+default_base_moof"))
    at = content.index(b"trun")
    [offset] = struct.unpack_from(">i", content, at + 12)
    struct.pack_into(">IIi", content, at + 4, 1, samples, offset)  # all of them as the defaults say: no table follows
    file.write_bytes(content)
    return bytes(content)


def with_scans(file: Path, scans: int) -> None:
    """A video of JPEGs, each with its scan `scans` times."""
    jpeg = encoded(file.with_suffix(".mjpeg"), frames=1, codec="mjpeg")
    begin, end = jpeg.index(b"\xff\xda"), jpeg.rindex(b"\xff\xd9")
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(3):
            packet = av.Packet(jpeg[:begin] + (scans if number else 1) * jpeg[begin:end] + jpeg[end:])
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = Fraction(1, 10)
            container.mux(packet)


@contextmanager
def opened_names(folder: Path) -> Iterator[set[str]]:
    """Names of the files in `folder` that any process opens in this block; complete after it."""
    libc, names = ctypes.CDLL(None, use_errno=True), set[str]()
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watch >= 0
    assert libc.inotify_add_watch(watch, str(folder).encode(), _IN_OPEN) >= 0
    try:
        yield names
        with suppress(BlockingIOError):
            while events := os.read(watch, 65536):
                while events:
                    length = struct.unpack("iIII", events[:16])[3]
                    names.add(events[16 : 16 + length].rstrip(b"\0").decode())
                    events = events[16 + length :]
    finally:
        os.close(watch)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content
