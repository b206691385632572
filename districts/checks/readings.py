"""Reads each picture of a district once: its header, what its decoder says, its checksum, and how it looks."""

import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import cv2
from PIL import Image

from districts.checks.looks import Look, look_of
from domain.cores import available_cores
from domain.errors import InputError
from domain.files import sha256_of
from domain.images import open_header, read_image

_ORIENTATION = 0x0112  # EXIF
_REDUCED = (
    (2400, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (1200, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (600, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)  # longest side from which a JPEG is decoded smaller
_LEAST_REDUCED_PX = 64  # shortest side
_MOST_SAID = 300  # bytes of a decoder's complaint
_PER_PROCESS = 1000  # pictures; for fewer, starting a process takes longer than it saves
_CHUNK = 50  # pictures that a process takes at once
TURNED = "are turned as their EXIF says; boxes must be of the turned picture"
_TRANSPARENT = "have a transparent background, which is read as the colour that lies behind"
_CMYK = "are CMYK and are read as RGB; look at their colours"
_File = tuple[int, int]
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Reading:
    """What reading a picture showed."""

    digest: str | None  # SHA-256 of the file; None if it cannot be read
    error: str = ""  # why it is no picture; else the rest is known
    width_px: int = 0  # of the header
    height_px: int = 0
    is_upright: bool = False  # once turned as its EXIF says
    traits: tuple[str, ...] = ()  # what is worth a word
    complaint: str = ""  # of its decoder
    look: Look | None = None  # None if OpenCV cannot read it in grey


class Readings:
    """Readings of pictures. Hard links are one file, and a file is read once."""

    def __init__(self) -> None:
        self._known: dict[_File, Reading] = {}

    def read(self, files: Iterable[Path]) -> "Readings":
        """Read `files` ahead, many of them in a process for each core; returns this object."""
        new = {key: file for file in files if (key := _key(file)) is not None and key not in self._known}
        if (num_processes := min(available_cores(), len(new) // _PER_PROCESS)) > 1:
            with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
                self._known |= zip(new, pool.map(_read, new.values(), chunksize=_CHUNK), strict=True)
        else:
            self._known |= {key: _read(file) for key, file in new.items()}
        return self

    def of(self, file: Path) -> Reading:
        """The reading of `file`, which is read now if it was not before."""
        key = _key(file)
        if key is None:
            return _read(file)
        if key not in self._known:
            self._known[key] = _read(file)
        return self._known[key]

    def looks(self, files: Iterable[Path]) -> dict[Path, Look]:
        """How each of `files` looks, without those that cannot be read."""
        return {file: look for file in files if (look := self.of(file).look) is not None}

    def digests(self, files: Iterable[Path]) -> dict[Path, str]:
        """Checksum of each of `files`, without those that cannot be read."""
        return {file: digest for file in files if (digest := self.of(file).digest) is not None}


def _key(file: Path) -> _File | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _read(file: Path) -> Reading:
    digest = _digest(file)
    try:
        # Pillow warns of damaged EXIF, which turns nothing.
        with warnings.catch_warnings(action="ignore"), open_header(file) as picture:
            (width, height), traits = picture.size, _traits(picture)
        (is_upright, look), complaint = with_stderr(lambda: _decode(file, width, height))
    except InputError as error:
        return Reading(digest, str(error).removeprefix(f"{file} "))
    return Reading(digest, "", width, height, is_upright, traits, complaint, look)


def _digest(file: Path) -> str | None:
    try:
        return sha256_of(file) if file.is_file() else None
    except OSError:
        return None


def _decode(file: Path, width: int, height: int) -> tuple[bool, Look | None]:
    """Whether the turned picture is upright, and how it looks; all bytes of it are read."""
    grey = cv2.imread(str(file), reduced_grey(width, height))
    rows, columns = (read_image(file) if grey is None else grey).shape[:2]  # read_image says what is wrong
    return rows > columns, None if grey is None else look_of(grey, width, height)


def reduced_grey(width: int, height: int) -> int:
    """How OpenCV decodes a picture of this size in grey: a large JPEG smaller, which takes a third of the time."""
    modes = (mode for size, mode in _REDUCED if max(width, height) >= size and min(width, height) >= _LEAST_REDUCED_PX)
    return next(modes, cv2.IMREAD_GRAYSCALE)


def _traits(picture: Image.Image) -> tuple[str, ...]:
    traits = [_TRANSPARENT] if "A" in picture.mode or "transparency" in picture.info else []
    traits += [_CMYK] if picture.mode == "CMYK" else []
    # Pillow would decode the whole of a PNG without EXIF to look for it behind the pixels.
    has_exif = picture.format != "PNG" or "exif" in picture.info
    traits += [TURNED] if has_exif and picture.getexif().get(_ORIENTATION, 1) in range(2, 9) else []
    return tuple(traits)


def with_stderr(decode: Callable[[], _Value]) -> tuple[_Value, str]:
    """The result of `decode`, and what C libraries said meanwhile: a picture that is cut off is otherwise no error.

    Raises:
        InputError: as `decode` does, with what was said.
    """
    heard, own = os.memfd_create("stderr"), os.dup(2)
    os.dup2(heard, 2)
    try:
        with warnings.catch_warnings(action="ignore"):  # of Pillow, about damaged EXIF
            value = decode()
    except InputError as error:
        raise InputError(f"{error}{_said(heard, ' (', ')')}") from error
    finally:
        os.dup2(own, 2)
        os.close(own)
        said = _said(heard)
        os.close(heard)
    return value, said


def _said(heard: int, before: str = "", after: str = "") -> str:
    text = os.pread(heard, _MOST_SAID, 0).decode(errors="replace").strip()
    return f"{before}{text.splitlines()[0]}{after}" if text else ""
