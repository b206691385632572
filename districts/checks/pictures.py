"""What is wrong, or worth a word, with the pictures of a folder: each is decoded once, and its decoder listened to."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
from PIL import Image

from districts.findings import Finding, Shown, listed
from districts.layout import is_picture_name
from domain.errors import InputError
from domain.images import read_image, require_picture
from domain.names import is_hidden

_ORIENTATION = 0x0112  # EXIF
_REDUCED = (
    (2400, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (1200, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (600, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)  # longest side from which a JPEG is decoded smaller
_LEAST_REDUCED_PX = 64  # shortest side
_MOST_SAID = 300  # bytes of a decoder's complaint
_DAMAGED = "must be a whole picture, got one that is cut off or damaged"
_TURNED = "are turned as their EXIF says; boxes must be of the turned picture"
_TRANSPARENT = "have a transparent background, which is read as the colour that lies behind"
_CMYK = "are CMYK and are read as RGB; look at their colours"
_Value = TypeVar("_Value")


@dataclass
class PictureChecks:
    """Checks the pictures of a folder one by one, and gathers what is found.

    A damaged picture is fatal where it `is_evaluated`; in training it is a warning.
    """

    folder: Path
    is_evaluated: bool
    findings: list[Finding] = field(default_factory=list)
    _traits: dict[str, list[Path]] = field(default_factory=dict)  # what is worth a word -> pictures

    def look_at(self, file: Path, place: str | None = None) -> tuple[int, int] | None:
        """Height and width of the picture in `file`, named by `place`; None if it cannot be read."""
        named = "" if place is None else f"{file} "
        place = place or str(file)
        try:
            width, height, traits = _header(file)
            (rows, columns), complaint = with_stderr(lambda: _decode(file, width, height))
        except InputError as error:
            said = str(error).removeprefix(f"{file} ")
            self.findings.append(Finding(True, place, f"{named}{said}"))
            return None
        if complaint:
            message = f"{named}{_DAMAGED} ({complaint})"
            self.findings.append(Finding(self.is_evaluated, place, message, (Shown(file),)))
        for trait in traits:
            self._traits.setdefault(trait, []).append(file)
        is_on_its_side = _TURNED in traits and (rows > columns) != (height > width)
        return (width, height) if is_on_its_side else (height, width)

    def summary(self) -> Iterator[Finding]:
        """Findings of single pictures, then of all pictures that have something in common."""
        yield from self.findings
        for trait, files in self._traits.items():
            yield of_pictures(self.folder, trait, files)


def of_pictures(folder: Path, trait: str, files: Sequence[Path]) -> Finding:
    """The warning that `files` in `folder` have `trait` in common."""
    names = listed([file.name for file in files])
    shown = tuple(Shown(file) for file in files)
    return Finding(False, str(folder), f"{len(files)} pictures {trait}: {names}", shown)


def unread(folder: Path, *, also: Iterable[str] = ()) -> Iterator[Finding]:
    """Files and folders in a folder of pictures that are not taken for pictures; files that end with `also` are."""
    names = [
        path.name + ("/" if path.is_dir() else "")
        for path in sorted(folder.iterdir())
        if not is_hidden(path.name) and (path.is_dir() or not is_picture_name(path.name))
    ]
    if others := [name for name in names if not name.lower().endswith(tuple(also) or ("\0",))]:
        message = f"{len(others)} entries are no pictures that are read (JPEG, PNG, BMP, WebP): {listed(others)}"
        yield Finding(False, str(folder), message)


def equal_but_for_case(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names that are one on Windows and macOS."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            yield other, name


def reduced_grey(width: int, height: int) -> int:
    """How OpenCV decodes a picture of this size in grey: a large JPEG smaller, which takes a third of the time."""
    modes = (mode for size, mode in _REDUCED if max(width, height) >= size and min(width, height) >= _LEAST_REDUCED_PX)
    return next(modes, cv2.IMREAD_GRAYSCALE)


def _decode(file: Path, width: int, height: int) -> tuple[int, int]:
    """Height and width, perhaps reduced, of the turned picture; all of its bytes are read."""
    image = cv2.imread(str(file), reduced_grey(width, height))
    height, width = (read_image(file) if image is None else image).shape[:2]  # read_image says what is wrong
    return height, width


def _header(file: Path) -> tuple[int, int, list[str]]:
    """Width, height and what is worth a word by the header of `file`; raises as `require_picture` does."""
    with warnings.catch_warnings(action="ignore"):  # damaged EXIF, which turns nothing
        return *require_picture(file), _traits_of_header(file)


def _traits_of_header(file: Path) -> list[str]:
    with Image.open(file) as picture:
        traits = [_TRANSPARENT] if "A" in picture.mode or "transparency" in picture.info else []
        traits += [_CMYK] if picture.mode == "CMYK" else []
        # Pillow would decode the whole of a PNG without EXIF to look for it behind the pixels.
        has_exif = picture.format != "PNG" or "exif" in picture.info
        traits += [_TURNED] if has_exif and picture.getexif().get(_ORIENTATION, 1) in range(2, 9) else []
    return traits


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
