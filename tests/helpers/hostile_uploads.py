"""Uploads that nobody sends by mistake: bodies of POST /v1/search, made from a seed."""

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from tests.helpers.deployments import FOR_CASE

BOUNDARY = "hostile"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
_KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


@dataclass(frozen=True)
class Upload:
    """One request."""

    kind: str
    body: bytes
    content_type: str = MULTIPART
    may_be_readable: bool = False  # a decoder may make out a picture, so 200 is an answer too


def hostile_uploads(seed: int, each: int) -> Iterator[Upload]:
    """`each` of every kind that has something to vary, and one of every other."""
    random = np.random.default_rng(seed)
    yield from _wrong_types()
    yield from _bombs()
    yield from _broken_multipart()
    yield from _strange_names()
    yield from _strange_exif(random)
    for _ in range(each):
        for kind in _KINDS:
            whole = picture_file(random, kind)
            known = kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
            cut = whole[: random.integers(0, len(whole) - 1)]
            yield Upload(f"truncated {kind}", form(cut), may_be_readable=known)
            yield Upload(f"flipped {kind}", form(_flipped(random, whole)), may_be_readable=known)
            yield Upload(f"huge {kind}", form(_huge(random, whole, kind)))
        yield Upload("random bytes", form(random.bytes(random.integers(1, 5000))))
        yield Upload("random multipart", random.bytes(random.integers(1, 5000)))
        yield Upload(
            "multipart with bytes changed", _flipped(random, form(picture_file(random, "PNG"))), MULTIPART, True
        )
        yield Upload("multipart cut", form(picture_file(random, "PNG"))[: random.integers(1, 200)])
        yield Upload("picture before a tail", form(whole_and_tail(random)), may_be_readable=True)


def slow_uploads() -> Iterator[Upload]:
    """Small files that keep a decoder busy for seconds or minutes."""
    side = 4990  # the settings allow 25 million pixels
    yield Upload("20,000 scans", form(jpeg_of_scans(side, side, 20_000)))
    many = jpeg_of_scans(side, side, 50)
    others = part(b'name="photo"; filename="x.jpg"', many) * 3
    yield Upload("four photos of 50 scans", form(many, more=others), may_be_readable=True)
    yield Upload("packed BMP", form(_packed_bmp(side)), may_be_readable=True)
    yield Upload("16-bit PNG", form(_deep_png(side)), may_be_readable=True)


def form(photo: bytes, filename: bytes = b"photo.jpg", more: bytes = b"") -> bytes:
    """A form with a photo, what every search must say, and parts that are already encoded."""
    return _said() + more + part(b'name="photo"; filename="' + filename + b'"', photo) + f"--{BOUNDARY}--\r\n".encode()


def _said() -> bytes:
    return b"".join(part(f'name="{name}"'.encode(), text.encode()) for name, text in FOR_CASE.items())


def part(disposition: bytes, content: bytes, headers: bytes = b"") -> bytes:
    """One part of a form."""
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; ".encode() + disposition
    return head + b"\r\n" + headers + b"\r\n" + content + b"\r\n"


def picture_file(random: np.random.Generator, kind: str = "PNG", **options: object) -> bytes:
    """A small noisy picture."""
    file = BytesIO()
    Image.fromarray(random.integers(0, 256, (48, 24, 3), np.uint8)).save(file, kind, **options)
    return file.getvalue()


def whole_and_tail(random: np.random.Generator) -> bytes:
    """A picture that is an archive, a page or a document as well."""
    tails = (_archive(), b"<script>alert(1)</script>", b"%PDF-1.7\n%%EOF", b"\0" * 1000)
    return picture_file(random, random.choice(_KINDS[:4])) + tails[random.integers(len(tails))]


def jpeg_of_scans(width: int, height: int, num_scans: int) -> bytes:
    """A grey progressive JPEG whose last scan is repeated until there are that many; each costs time and few bytes."""
    file = BytesIO()
    Image.new("L", (width, height), 128).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    scans = [found.start() for found in re.finditer(b"\xff\xda", whole)]
    last = whole[scans[-1] : -2]
    return whole[:-2] + last * (num_scans - len(scans)) + whole[-2:]


def _packed_bmp(side: int) -> bytes:
    """A BMP in runs of one pixel, which Pillow unpacks in Python."""
    row = b"\x01\x07" * side + b"\0\0"
    pixels, palette = row * side, bytes(1024)
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(pixels), 2835, 2835, 256, 0)
    pixels = pixels[:3_000_000]
    return struct.pack("<2sIHHI", b"BM", 54 + 1024 + len(pixels), 0, 0, 54 + 1024) + header + palette + pixels


def _deep_png(side: int) -> bytes:
    file = BytesIO()
    Image.new("I;16", (side, side), 40_000).save(file, "PNG")
    return file.getvalue()


def _flipped(random: np.random.Generator, whole: bytes) -> bytes:
    content = np.frombuffer(whole, np.uint8).copy()
    places = random.integers(0, len(content), random.integers(1, 12))
    content[places] ^= (1 << random.integers(0, 8, len(places))).astype(np.uint8)
    return content.tobytes()


def _huge(random: np.random.Generator, whole: bytes, kind: str) -> bytes:
    """The picture, whose header claims far more pixels than there are."""
    side = int(random.integers(20_001, 60_000))
    content = bytearray(whole)
    if kind == "PNG":
        content[16:24] = struct.pack(">II", side, side)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    elif kind == "BMP":
        content[18:26] = struct.pack("<ii", side, side)
    elif kind == "GIF":
        content[6:10] = struct.pack("<HH", side, side)
    elif kind == "JPEG":
        start = content.index(b"\xff\xc0")
        content[start + 5 : start + 9] = struct.pack(">HH", side, side)
    elif kind == "WEBP":  # the extended header counts from one, in three bytes
        size = struct.pack("<I", side)[:3]
        content[12:12] = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + size
        content[4:8] = struct.pack("<I", len(content) - 8)
    else:
        content[8:] = bytes(len(content) - 8)
    return bytes(content)


def _archive() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../etc/cron.d/x", "* * * * * root true")
    return file.getvalue()


def _wrong_types() -> Iterator[Upload]:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script href="file:///etc/passwd"/></svg>'
    contents = {
        "empty": b"",
        "text": b"I am a text file",
        "archive": _archive(),
        "document": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF",
        "page": b"<!doctype html><script>alert(1)</script>",
        "SVG": svg.encode(),
        "SVG of entities": b'<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><svg>&b;</svg>',
        "SVG in UTF-16": svg.encode("utf-16"),
        "MP4": struct.pack(">I", 32) + b"ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(2000),
        "program": b"\x7fELF\2\1\1" + bytes(2000),
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) run\n",
        "GIF that is a script": b"GIF89a/*" + bytes(100) + b"*/=1;alert(1)",
        "JPEG mark alone": b"\xff\xd8\xff",
        "PNG mark alone": b"\x89PNG\r\n\x1a\n",
        "address": b"http://127.0.0.1:9/x.jpg",
    }
    for name, content in contents.items():
        yield Upload(name, form(content))
    yield Upload(
        "a field instead of a file", _said() + part(b'name="photo"', b"file:///etc/passwd") + f"--{BOUNDARY}--".encode()
    )


def _bombs() -> Iterator[Upload]:
    def saved(kind: str, image: Image.Image, **options: object) -> bytes:
        file = BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    wide, frames = Image.new("1", (30_000, 30_000)), [Image.new("P", (2000, 2000), index) for index in range(30)]
    noisy = [Image.effect_noise((64, 64), 50 + index).convert("RGB") for index in range(60)]
    yield Upload("PNG of 900 million pixels", form(saved("PNG", wide)))
    yield Upload("TIFF of 900 million pixels", form(saved("TIFF", wide, compression="group4")))
    yield Upload("GIF of 30 frames", form(saved("GIF", frames[0], save_all=True, append_images=frames[1:])))
    yield Upload(
        "WebP of 60 frames", form(saved("WEBP", noisy[0], save_all=True, append_images=noisy[1:])), MULTIPART, True
    )
    yield Upload(
        "PNG of 60 frames", form(saved("PNG", noisy[0], save_all=True, append_images=noisy[1:])), MULTIPART, True
    )
    yield Upload("PNG whose text unpacks to 500 MB", form(_png_with_text(500_000_000)), MULTIPART, True)
    yield Upload("PNG as large as allowed", form(saved("PNG", Image.new("L", (4990, 4990)))), MULTIPART, True)


def _png_with_text(length: int) -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(length // 1_000_000)) + packer.flush()
    data = b"Comment\0\0" + packed
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    whole = picture_file(np.random.default_rng(0))
    return whole[:33] + chunk + whole[33:]


def _broken_multipart() -> Iterator[Upload]:
    photo, end = picture_file(np.random.default_rng(0)), f"--{BOUNDARY}--\r\n".encode()
    whole = form(photo)
    deep = "[" * 50_000
    yield Upload("nothing", b"")
    yield Upload("no boundary", whole, "multipart/form-data")
    yield Upload("empty boundary", whole, "multipart/form-data; boundary=")
    yield Upload("another boundary", whole, "multipart/form-data; boundary=other")
    yield Upload("long boundary", whole, f"multipart/form-data; boundary={'b' * 5000}")
    yield Upload("boundary that is no text", whole, "multipart/form-data; boundary=\xff\xfe")
    yield Upload("no end", whole[: -len(end)], MULTIPART, True)
    yield Upload("line feeds alone", whole.replace(b"\r\n", b"\n"))
    yield Upload("no disposition", f"--{BOUNDARY}\r\n\r\n".encode() + photo + b"\r\n" + end)
    yield Upload("no name", part(b'filename="x.png"', photo) + end)
    yield Upload("header without a colon", _said() + part(b'name="photo"; filename="x"', photo, b"Nonsense\r\n") + end)
    yield Upload(
        "long header", _said() + part(b'name="photo"; filename="x"', photo, b"X: " + b"x" * 100_000 + b"\r\n") + end
    )
    yield Upload(
        "many headers", _said() + part(b'name="photo"; filename="x"', photo, b"X: x\r\n" * 5000) + end, MULTIPART, True
    )
    nested = b"Content-Type: multipart/mixed; boundary=inner\r\n"
    yield Upload(
        "nested", _said() + part(b'name="photo"; filename="x"', b"--inner\r\n\r\nx\r\n--inner--", nested) + end
    )
    packed = b"Content-Transfer-Encoding: base64\r\n"
    yield Upload("base64", _said() + part(b'name="photo"; filename="x"', b"aGVsbG8=", packed) + end)
    yield Upload("photo twice", form(photo, more=part(b'name="photo"; filename="1"', photo)), may_be_readable=True)
    yield Upload("field twice", form(photo, more=part(b'name="top_k"', b"1") * 2))
    yield Upload("2,000 fields", form(photo, more=part(b'name="top_k"', b"1") * 2000))
    yield Upload("2,000 files", _said() + part(b'name="photo"; filename="x"', b"") * 2000 + end)
    yield Upload("strange field", form(photo, more=part(b'name="\xff\xfe"', b"1")))
    yield Upload("strange field with NUL", form(photo, more=part(b'name="top_k\0"', b"1")))
    for field in (b"top_k", b"attributes", b"cameras", b"since", b"until"):
        name = b'name="' + field + b'"'
        yield Upload(f"{field.decode()} that is no text", form(photo, more=part(name, b"\xff\xfe\x00")))
        yield Upload(f"{field.decode()} as a file", form(photo, more=part(name + b'; filename="x"', photo)))
        yield Upload(f"{field.decode()} of a megabyte", form(photo, more=part(name, b"9" * 1_000_000)))
        for charset in (b"unicode_escape", b"utf-7", b"idna", b"punycode", b"rot13", b"nonsense", b"hex"):
            spoken = b"Content-Type: text/plain; charset=" + charset + b"\r\n"
            yield Upload(
                f"{field.decode()} in {charset.decode()}", form(photo, more=part(name, b"\\ud800+AAA-\xff", spoken))
            )
            charset_field = part(b'name="_charset_"', charset)
            yield Upload(f"_charset_ {charset.decode()}", form(photo, more=charset_field + part(name, b"\\ud800\xff")))
    yield Upload("deep attributes", form(photo, more=part(b'name="attributes"', deep.encode())))
    yield Upload("attributes with half a pair", form(photo, more=part(b'name="attributes"', b'{"\\ud800": "\\udfff"}')))
    yield Upload("deep JSON", deep.encode(), "application/json")
    yield Upload("JSON", json.dumps({"photo": "x"}).encode(), "application/json")
    yield Upload("text", b"photo=x", "text/plain")
    yield Upload(
        "many urlencoded fields", b"&".join(b"top_k=1" for _ in range(20_000)), "application/x-www-form-urlencoded"
    )
    yield Upload("no type", whole, "")
    yield Upload("two types", whole, f"{MULTIPART}, text/plain")


def _strange_names() -> Iterator[Upload]:
    names = [
        *(b"../" * depth + b"x.jpg" for depth in (1, 2, 8)),
        b"/etc/passwd",
        b"..\\..\\x.jpg",
        b"C:\\x.jpg",
        b"x\0.jpg",
        b"\0",
        b"%2e%2e%2fx.jpg",
        b"x" * 4000 + b".jpg",
        b"\xff\xfe.jpg",
        b"\xe2\x80\xae gpj.exe",
        b"'; DROP TABLE tracklets; --.jpg",
        b"$(touch x).jpg",
        b"|touch x",
        b"CON",
        b".",
        b"..",
        b" ",
    ]
    photo = picture_file(np.random.default_rng(0))
    for name in names:
        yield Upload(f"named {name[:20]!r}", form(b"I am a text file", name))
        yield Upload(f"picture named {name[:20]!r}", form(photo, name), may_be_readable=True)


def _strange_exif(random: np.random.Generator) -> Iterator[Upload]:
    makers: dict[str, Callable[[], bytes]] = {
        "noise": lambda: b"Exif\0\0" + random.bytes(2000),
        "a block of 60 kB": lambda: b"Exif\0\0MM\0*\0\0\0\x08" + random.bytes(60_000),
        "a directory that is its own next": lambda: b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\x08",
        "a million entries": lambda: b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(60_000),
        "an entry of 4 GB": lambda: b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\xff\xff\xff\xff\0\0\0\x08\0\0\0\0",
        "orientation text": lambda: b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0",
        "nothing": lambda: b"Exif\0\0",
    }
    for name, make in makers.items():
        yield Upload(f"EXIF of {name}", form(picture_file(random, "JPEG", exif=make())), may_be_readable=True)
    for orientation in (0, 9, 65_535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield Upload(f"EXIF orientation {orientation}", form(picture_file(random, "JPEG", exif=exif)), MULTIPART, True)
