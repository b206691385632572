"""Query by attributes: the labels of each group that fit the person, and the constants by which a fit is judged."""

from collections.abc import Mapping
from dataclasses import dataclass

LEAST_PROBABILITY = 0.01  # lower bound of a group's fit: one wrong group must not rule a person out
SURE_PROBABILITY = 0.5  # a group is unknown when none of its labels reaches this probability


@dataclass(frozen=True)
class GroupQuery:
    """Labels of one group that fit the person."""

    allowed: tuple[str, ...]
    labels: tuple[str, ...]  # all labels of the group
    or_unknown: bool = False  # a person whose group is unknown fits no worse than by chance

    @property
    def chance(self) -> float:
        """Probability in 0..1 that a label drawn at random fits."""
        return len(self.allowed) / len(self.labels)


AttributeQuery = Mapping[str, GroupQuery]  # group -> query
