"""What a report is made of: sections of text, tables and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.reporting.comparisons import Comparison

Metrics = Mapping[str, Any]  # of one file below metrics/


@dataclass(frozen=True)
class Evaluated:
    """An evaluated model: its metrics and all else that its evaluation left."""

    metrics: Metrics
    plots: Path  # folder
    details: Mapping[str, Any] = field(default_factory=dict)
    comparison: Comparison = field(default_factory=Comparison)


@dataclass(frozen=True)
class Table:
    """Text cells, the first column a name."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A plot to show."""

    file: Path
    caption: str

    @property
    def name(self) -> str:
        """File name of the copy beside the report, unique among all plots."""
        return f"{self.file.parent.name}-{self.file.name}"


@dataclass(frozen=True)
class Section:
    """One part of the report; without metrics it says which stage has not run."""

    title: str
    stage: str
    is_run: bool
    text: str = ""
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


def pictures(folder: Path, captions: Mapping[str, str]) -> tuple[Picture, ...]:
    """Plots of `folder` for the names in `captions`, PNG or JPEG; a name without a picture is left out."""
    return tuple(
        Picture(file, caption)
        for name, caption in captions.items()
        for file in sorted(folder.glob(f"{name}.*"))
        if file.suffix in {".png", ".jpg"}
    )
