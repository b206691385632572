"""Defects found in a district's data, their report, and the refusal of data with a fatal defect."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.errors import InputError
from domain.names import is_hidden

REPORT = "data_report.md"
_MOST_SHOWN, _LONGEST = 20, 500  # findings on the screen, and letters of one; the report has all


@dataclass(frozen=True)
class Finding:
    """A defect of the data."""

    is_fatal: bool
    place: str  # file and line
    message: str

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


def report_of(findings: Sequence[Finding], name: str, about: str, root: Path) -> str:
    """The Markdown report of all `findings` in the district `name`; places below `root` are relative to it.

    Args:
        findings: defects.
        name: the district's.
        about: a sentence on the data that were checked.
        root: folder that `about` names.
    """
    fatal = [finding for finding in findings if finding.is_fatal]
    lines = [f"# Data report of {name}", "", about, ""]
    lines += [f"{len(fatal)} fatal defects, {len(findings) - len(fatal)} warnings.", ""]
    for title, chosen in (("Fatal", fatal), ("Warnings", [f for f in findings if not f.is_fatal])):
        if chosen:
            lines += [f"## {title}", "", "| place | defect |", "|---|---|"]
            lines += [f"| {_cell(f.place.removeprefix(f'{root}/'))} | {_cell(f.message)} |" for f in chosen]
            lines.append("")
    return "\n".join(lines)


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


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
