"""Program of a process that decodes photos for `serving.search.photo`, one after the other, and nothing else.

It is started by its path and imports Pillow alone, so it starts quickly and stays small. Its standard input and output
are one socket to the service. It begins with `READY`. A request is `REQUEST` and the file; an answer is `ANSWER`, then
either the pixels, three bytes each, or why the file is refused, in UTF-8: the reason's code, a space, a sentence.
"""

import ctypes
import os
import re
import resource
import signal
import struct
import sys
import time
import zlib
from io import BytesIO
from typing import BinaryIO

from PIL import (
    BmpImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

READY = b"+"
REQUEST = struct.Struct("<QQd")  # bytes of the file, maximum number of pixels, maximum processor time in seconds
# Width and height of the picture that follows and of the photo, bytes of the refusal that follows instead (0: none),
# processor time in seconds.
ANSWER = struct.Struct("<IIIIId")
MOST_REFUSAL_BYTES = 1000

# Formats of cameras, telephones and scanners; each further decoder is one more to trust.
_PLUGINS = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin, BmpImagePlugin, TiffImagePlugin)
_ON_DEMAND = (MpoImagePlugin,)  # Pillow imports it for some JPEG files: at the start rather than then
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
# Its decoder needs threads, which this process must not start.
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_HEIF = (
    "the photo must be a JPEG, got HEIC, as iPhones store it; on the iPhone choose Settings > Camera > Formats > Most "
    "Compatible, or export the photo as JPEG. 사진은 JPEG이어야 합니다. iPhone의 HEIC 사진은 읽을 수 없으니 JPEG으로 "
    "내보내거나, iPhone에서 설정 > 카메라 > 포맷 > 높은 호환성을 선택하십시오."
)
_REDUCTIONS = (2, 4)  # by which a JPEG can be decoded smaller, without its whole size in memory
_MOST_PROGRESSIVE = 2  # times the maximum number of pixels: a progressive JPEG is in memory as a whole all the same
_ORIENTATION, _LYING = 0x0112, range(5, 9)  # EXIF's tag, and its values that swap width and height
_MOST_OF_16_BITS = 2**16 - 1
_MIN_SIDE_PX = 8
_MAX_ASPECT = 20
_MOST_SCANS = 50  # encoders write a dozen; each costs up to a nanosecond a pixel, and libjpeg cannot be interrupted
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")  # of a segment: followed by its length
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, struct.error, zlib.error)
_STRIP_BYTES = 2**20  # pixels are sent in strips, because a copy of the whole picture would double its memory
_PR_SET_PDEATHSIG = 1  # of Linux's prctl


class RefusedError(Exception):
    """The file is no usable photo; the message says why, and `code` names the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def decode(content: bytes, most_pixels: int) -> tuple[Image.Image, tuple[int, int]]:
    """The picture in `content` in RGB, upright as its EXIF orientation says, and the size that it has in the file.

    The size is checked before any pixel is decoded, so a small file that declares a huge picture costs nothing. A JPEG
    of more than `most_pixels` is decoded at half or a quarter of its size. Of an animation the first frame
    is taken; transparency is dropped; 16 bits a channel become 8.

    Raises:
        RefusedError: if the file is not a picture of a known format, damaged, too large, too small or too narrow.
    """
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
        raise RefusedError("photo_heic", _HEIF)
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as picture:
            width, height = picture.size
            if picture.format in ("JPEG", "MPO"):
                _check_scans(content)
                _reduce(picture, most_pixels)
            _check_size(picture.width, picture.height, most_pixels)
            picture.load()
            is_lying = picture.getexif().get(_ORIENTATION) in _LYING
            ImageOps.exif_transpose(picture, in_place=True)
            return _in_rgb(picture), (height, width) if is_lying else (width, height)
    except UnidentifiedImageError as error:
        kinds = ", ".join(_FORMATS)
        raise RefusedError(
            "photo_format", f"the photo must be a picture ({kinds}), got a file that is none of these"
        ) from error
    except Image.DecompressionBombError as error:
        raise RefusedError(
            "photo_pixels", f"the photo must have at most {most_pixels} pixels, got far more; send a smaller one"
        ) from error
    except _BROKEN as error:
        raise RefusedError(
            "photo_damaged", f"the photo must be undamaged, got one that cannot be decoded ({error}); send it again"
        ) from error
    except MemoryError as error:
        raise RefusedError(
            "photo_pixels", "the photo must be decoded in bounded memory, got one that needs more; send a JPEG"
        ) from error


def _reduce(picture: Image.Image, most_pixels: int) -> None:
    """Let a JPEG of more than `most_pixels` be decoded smaller, if that is enough."""
    width, height = picture.size
    fitting = [part for part in _REDUCTIONS if -(-width // part) * -(-height // part) <= most_pixels]
    if width * height <= most_pixels or not fitting:
        return
    if picture.info.get("progressive") and width * height > _MOST_PROGRESSIVE * most_pixels:
        raise RefusedError(
            "photo_pixels",
            f"the photo must have at most {_MOST_PROGRESSIVE * most_pixels} pixels as a progressive JPEG, got "
            f"{width} × {height}; send a smaller one, or a plain JPEG",
        )
    picture.draft(picture.mode, (width // fitting[0], height // fitting[0]))


def _in_rgb(picture: Image.Image) -> Image.Image:
    """`picture` with 8 bits a channel; of 16 bits the upper 8, as OpenCV does."""
    if picture.mode == "F" or (picture.mode == "I" and _highest(picture) > _MOST_OF_16_BITS):
        raise RefusedError(
            "photo_bits",
            "the photo must have 8 or 16 bits a channel, got "
            f"{'floating point' if picture.mode == 'F' else '32 bits'}; save it as PNG or JPEG",
        )
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        picture = picture.convert("I").point(lambda value: value * (1 / 256) + 0).convert("L")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _highest(picture: Image.Image) -> float:
    """Highest value of a picture with one channel."""
    highest = picture.getextrema()[1]
    assert not isinstance(highest, tuple)
    return highest


def main() -> None:
    """Answer requests until the service closes the socket. Arguments: the service's process, bytes of memory, nice."""
    service, most_bytes, nice = map(int, sys.argv[1:])
    _confine(service, most_bytes, nice)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(READY)
    answers.flush()
    while len(request := requests.read(REQUEST.size)) == REQUEST.size:
        length, most_pixels, cpu_s = REQUEST.unpack(request)
        content = requests.read(length)
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, cpu_s)  # counts processor time; its signal ends the process
        try:
            _send_picture(answers, *decode(content, most_pixels), began)
        except RefusedError as refusal:
            text = f"{refusal.code} {refusal}".encode(errors="backslashreplace")[:MOST_REFUSAL_BYTES]
            answers.write(ANSWER.pack(0, 0, 0, 0, len(text), time.process_time() - began) + text)
            answers.flush()
        signal.setitimer(signal.ITIMER_PROF, 0)


def _confine(service: int, most_bytes: int, nice: int) -> None:
    """End with the service, and take no more memory than that; write no file, start no process."""
    if sys.platform == "linux":  # other systems have neither
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    if os.getppid() != service:
        sys.exit("the service has ended")
    os.nice(nice)
    Image.MAX_IMAGE_PIXELS = None  # `decode` checks the size
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (0, 0))


def _send_picture(answers: BinaryIO, picture: Image.Image, size: tuple[int, int], began: float) -> None:
    width, height = picture.size
    answers.write(ANSWER.pack(width, height, *size, 0, time.process_time() - began))
    rows = max(1, _STRIP_BYTES // (3 * width))
    for top in range(0, height, rows):
        answers.write(picture.crop((0, top, width, min(top + rows, height))).tobytes())
    answers.flush()


def _check_size(width: int, height: int, most_pixels: int) -> None:
    size = f"{width} × {height}"
    if width * height > most_pixels:
        raise RefusedError(
            "photo_pixels", f"the photo must have at most {most_pixels} pixels, got {size}; send a smaller one"
        )
    if min(width, height) < _MIN_SIDE_PX:
        raise RefusedError("photo_small", f"the photo must be at least {_MIN_SIDE_PX} pixels wide and high, got {size}")
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise RefusedError("photo_narrow", f"the photo must be at most {_MAX_ASPECT} times as long as wide, got {size}")


def _check_scans(content: bytes) -> None:
    """Refuse a JPEG of many scans; markers in segments, such as a thumbnail's, and after its end do not count."""
    at, num_scans = 2, 0
    while found := _MARKER.search(content, at):
        kind = found[1][0]
        num_scans += kind == _START_OF_SCAN
        if num_scans > _MOST_SCANS:
            raise RefusedError(
                "photo_pixels",
                f"the photo must be a JPEG of at most {_MOST_SCANS} scans, got more; save it as a plain JPEG",
            )
        if kind == _END_OF_IMAGE:
            return
        at = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")


if __name__ == "__main__":
    main()
