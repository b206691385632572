"""How much each figure changes between two models that were scored on the same test data."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from evaluation.intervals.bootstrap import Estimate, Sample, difference, resample
from evaluation.slices import Slicing

_Chosen = Bool[np.ndarray, " item"]


@dataclass(frozen=True)
class Change:
    """A figure of both models, and by how much that of the challenger is greater."""

    challenger: float
    champion: float
    change: Estimate  # paired over the same draws of the same units
    num_units: int  # that the figure rests on

    @property
    def rises(self) -> bool:
        """Whether the whole interval of the change is above 0."""
        return self.change.low is not None and self.change.low > 0

    @property
    def falls(self) -> bool:
        """Whether the whole interval of the change is below 0."""
        return self.change.high is not None and self.change.high < 0

    def plain(self) -> dict[str, float | int | None]:
        """Plain values."""
        return {
            "challenger": self.challenger,
            "champion": self.champion,
            "change": self.change.value,
            "low": self.change.low,
            "high": self.change.high,
            "num_units": self.num_units,
        }


@dataclass(frozen=True)
class PartChange:
    """The changes in a part of the test data, such as of one camera."""

    by: str  # what the data are divided by
    part: str
    num_items: int
    figures: dict[str, Change]

    def plain(self) -> dict[str, Any]:
        """Plain values."""
        figures = {name: each.plain() for name, each in self.figures.items()}
        return {"by": self.by, "part": self.part, "num_items": self.num_items, "figures": figures}


def changes(challenger: Sample, champion: Sample, repeats: int) -> dict[str, Change]:
    """The changes of the figures that both samples have, of the same units; figures that are undefined are left out."""
    ours, theirs = resample(challenger, repeats), resample(champion, repeats)
    return {
        name: Change(
            value,
            theirs.values[name],
            difference(ours, theirs, name),
            min(ours.counted[name], theirs.counted[name]),
        )
        for name, value in ours.values.items()
        if name in theirs.values and not math.isnan(value - theirs.values[name])
    }


def part_changes(
    slicings: Sequence[Slicing],
    samples_of: Callable[[_Chosen], tuple[Sample, Sample]],
    names: Sequence[str],
    repeats: int,
) -> list[PartChange]:
    """The changes of the figures `names` in each part of each slicing.

    Args:
        slicings: of the same items.
        samples_of: the samples of challenger and champion for chosen items.
        names: of figures.
        repeats: draws for the intervals.
    """
    parts = []
    for slicing in slicings:
        for part, chosen in slicing.groups.items():
            samples = samples_of(chosen)
            found = changes(*samples, repeats) if samples[0].num_units else {}
            kept = {name: found[name] for name in names if name in found}
            parts.append(PartChange(slicing.by, part, int(chosen.sum()), kept))
    return parts
