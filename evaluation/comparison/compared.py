"""What a comparison of two models of one task found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.comparison.changes import Change, PartChange
from evaluation.comparison.sides import Side
from evaluation.reporting.parts import Picture
from evaluation.settings import EvaluationSettings


@dataclass(frozen=True)
class Test:
    """What two models are compared on, and how."""

    __test__ = False  # no test of pytest

    district: str
    data: Path  # folder of the district
    groups: Sequence[str]  # of attributes, by which people are told apart for fairness, such as gender and age
    settings: EvaluationSettings
    plots: Path  # empty folder


@dataclass(frozen=True)
class Compared:
    """The changes from the champion to the challenger."""

    challenger: Side
    champion: Side
    test: str  # digest of the test data
    unit: str  # what is independent, in the plural
    num_units: int
    figures: dict[str, Change]
    parts: list[PartChange]  # cameras, light, heights, times
    people: list[PartChange]  # the groups of people by which fairness is judged
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = field(default=())  # what is not compared, and why; sentences
