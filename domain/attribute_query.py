"""What the store may be asked of people's attributes, and by which numbers it judges them."""

from collections.abc import Mapping
from dataclasses import dataclass

LEAST_PROBABILITY = 0.01  # one wrong group must not rule a person out
SURE_PROBABILITY = 0.5  # a group of which no label reaches this is not known


@dataclass(frozen=True)
class Wanted:
    """Which labels of a group fit the person."""

    allowed: tuple[str, ...]
    labels: tuple[str, ...]  # all of the group
    or_unknown: bool = False

    @property
    def chance(self) -> float:
        """Probability in 0..1 that a guess among the labels fits."""
        return len(self.allowed) / len(self.labels)


Description = Mapping[str, Wanted]  # by group
