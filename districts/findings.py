"""What is wrong in a district's data, its report, and the stop before anything is trained on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from domain.errors import InputError

_REPORT = "data_report.md"
NAMED = 20  # of many files


@dataclass(frozen=True)
class Finding:
    """Something wrong in the data."""

    is_fatal: bool
    place: str  # file and line
    message: str

    def __str__(self) -> str:
        """Kind, place and message in one line."""
        return f"{'fatal' if self.is_fatal else 'warning'}: {self.place}: {self.message}"


def write_report(folder: Path, findings: list[Finding]) -> Path:
    """Write `findings` as data_report.md into `folder`; returns the file."""
    fatal = [finding for finding in findings if finding.is_fatal]
    lines = [f"# Data report of {folder.name if not folder.name.startswith('.') else 'the district'}", ""]
    lines += [f"{len(fatal)} fatal defects, {len(findings) - len(fatal)} warnings.", ""]
    for title, chosen in (("Fatal", fatal), ("Warnings", [f for f in findings if not f.is_fatal])):
        if chosen:
            lines += [f"## {title}", "", "| where | what |", "|---|---|"]
            lines += [f"| {_relative(f.place, folder)} | {f.message.replace('|', '/')} |" for f in chosen]
            lines.append("")
    file = folder / _REPORT
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def require_sound(findings: Iterable[Finding]) -> None:
    """Stop where one of `findings` is fatal.

    Raises:
        InputError: which names the fatal ones, or the first of many.
    """
    fatal = [str(finding) for finding in findings if finding.is_fatal]
    if fatal:
        raise InputError(f"the data must pass its checks, got {len(fatal)} fatal defects:\n" + "\n".join(fatal[:NAMED]))


def _relative(place: str, folder: Path) -> str:
    return place.removeprefix(f"{folder}/")
