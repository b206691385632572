"""Defects found in a district's data, their report, and the refusal of data with a fatal defect."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import InputError
from domain.names import is_hidden

_MOST_SHOWN, _LONGEST = 20, 500  # findings on the screen, and letters of one; the report has all
_MOST_ALIKE = 10  # findings of one kind; more become one


@dataclass(frozen=True)
class Shown:
    """A picture of a finding, and the box in it that the finding is about."""

    file: Path
    box: tuple[float, float, float, float] | None = None  # centre, width and height as fractions of the picture
    name: str = ""  # the user's file, where `file` is the district's


@dataclass(frozen=True)
class Finding:
    """A defect of the data."""

    is_fatal: bool
    place: str  # file and line
    message: str
    pictures: tuple[Shown, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        short = self.message if len(self.message) <= _LONGEST else f"{self.message[:_LONGEST]} …"
        return f"{'fatal' if self.is_fatal else 'warning'}: {self.place}: {short}"


def fatal(file: Path, error: InputError) -> Finding:
    """The fatal finding that `error`, which names `file` and perhaps a line, tells."""
    text = str(error)
    if text.startswith(f"{file}, line "):
        place, _, message = text.partition(": ")
        return Finding(True, place, message)
    return Finding(True, str(file), text.removeprefix(f"{file}").removeprefix(":").removeprefix(" "))


def require_sound(findings: Iterable[Finding], report: Path | None = None) -> None:
    """Accept `findings` without a fatal defect.

    Args:
        findings: defects.
        report: file that lists all of them, which the error names.

    Raises:
        InputError: if a finding is fatal; names the first 20.
    """
    fatal = [finding for finding in findings if finding.is_fatal]
    if fatal:
        where = f", all listed in {report}" if report is not None else ""
        lines = "\n".join(shown_first(fatal))
        raise InputError(f"the data must pass its checks, got {len(fatal)} fatal defects{where}:\n{lines}")


def shown_first(findings: Sequence[Finding]) -> list[str]:
    """A line for each of the first findings, and one that says how many more there are."""
    more = len(findings) - _MOST_SHOWN
    return [str(finding) for finding in findings[:_MOST_SHOWN]] + ([f"and {more} more"] if more > 0 else [])


def gathered(findings: Sequence[Finding], place: Path, message: str) -> Iterator[Finding]:
    """`findings` of one kind; more than ten become one at `place`, whose `message` follows their number."""
    if len(findings) <= _MOST_ALIKE:
        yield from findings
        return
    places = listed([finding.place for finding in findings])
    pictures = tuple(picture for finding in findings for picture in finding.pictures)
    is_fatal = any(finding.is_fatal for finding in findings)
    yield Finding(is_fatal, str(place), f"{len(findings)} {message}: {places}", pictures)


def listed(names: Sequence[str]) -> str:
    """All `names`, for a message, which the screen shortens.

    Example:
        >>> listed(["a.jpg", "b.jpg"])
        'a.jpg, b.jpg'
    """
    return ", ".join(names)


def contents(folder: Path) -> str:
    """What lies in `folder`, for a message that something else is missing."""
    names = sorted(path.name for path in folder.iterdir() if not is_hidden(path.name)) if folder.is_dir() else []
    return f"there is {listed(names)}" if names else "there is nothing"
