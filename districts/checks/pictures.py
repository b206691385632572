"""Findings about the pictures of a folder: defects, and traits such as darkness."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from districts.checks.readings import TURNED, Readings
from districts.findings import Finding, Shown, listed
from districts.layout import is_picture_name
from domain.names import is_hidden

_DAMAGED = "must be a whole picture, got one that is cut off or damaged"


@dataclass
class PictureChecks:
    """Checks the pictures of a folder one by one, and gathers what is found.

    A damaged picture is fatal where it `is_evaluated`; in training it is a warning.
    """

    folder: Path
    readings: Readings
    is_evaluated: bool
    findings: list[Finding] = field(default_factory=list)
    _traits: dict[str, list[Path]] = field(default_factory=dict)  # what is worth a word -> pictures

    def look_at(self, file: Path, place: str | None = None) -> tuple[int, int] | None:
        """Height and width of the picture in `file`, named by `place`; None if it cannot be read."""
        named = "" if place is None else f"{file} "
        place, reading = place or str(file), self.readings.of(file)
        if reading.error:
            self.findings.append(Finding(True, place, f"{named}{reading.error}"))
            return None
        if reading.complaint:
            message = f"{named}{_DAMAGED} ({reading.complaint})"
            self.findings.append(Finding(self.is_evaluated, place, message, (Shown(file),)))
        for trait in reading.traits:
            self._traits.setdefault(trait, []).append(file)
        height, width = reading.height_px, reading.width_px
        is_on_its_side = TURNED in reading.traits and reading.is_upright != (height > width)
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
