"""Defects found in a district's data, their report, and the refusal of data with a fatal defect."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from domain.errors import InputError

_REPORT = "data_report.md"
MAX_NAMED = 20  # files named in one message


@dataclass(frozen=True)
class Finding:
    """A defect of the data."""

    is_fatal: bool
    place: str  # file and line
    message: str

    def __str__(self) -> str:
        return f"{'fatal' if self.is_fatal else 'warning'}: {self.place}: {self.message}"


def write_report(folder: Path, findings: list[Finding]) -> Path:
    """Write `findings` to data_report.md in `folder` and return the file's path."""
    fatal = [finding for finding in findings if finding.is_fatal]
    lines = [f"# Data report of {folder.name if not folder.name.startswith('.') else 'the district'}", ""]
    lines += [f"{len(fatal)} fatal defects, {len(findings) - len(fatal)} warnings.", ""]
    for title, chosen in (("Fatal", fatal), ("Warnings", [f for f in findings if not f.is_fatal])):
        if chosen:
            lines += [f"## {title}", "", "| place | defect |", "|---|---|"]
            lines += [f"| {_relative(f.place, folder)} | {f.message.replace('|', '/')} |" for f in chosen]
            lines.append("")
    file = folder / _REPORT
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def require_sound(findings: Iterable[Finding]) -> None:
    """Accept `findings` without a fatal defect.

    Raises:
        InputError: if a finding is fatal; names the first 20.
    """
    fatal = [str(finding) for finding in findings if finding.is_fatal]
    if fatal:
        raise InputError(
            f"the data must pass its checks, got {len(fatal)} fatal defects:\n" + "\n".join(fatal[:MAX_NAMED])
        )


def _relative(place: str, folder: Path) -> str:
    return place.removeprefix(f"{folder}/")
