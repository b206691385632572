"""The question about the person whose answer would narrow a search most."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from domain.attributes import AttributeSchema

_OF_THE_MOMENT = {"view"}  # groups that say how a camera saw the person: no witness can answer
_LEAST_BITS = 0.05  # below, the answer would tell the candidates hardly apart

Attributes = Mapping[str, Mapping[str, float]]  # group -> label -> probability


class NextQuestion(NamedTuple):
    """An attribute group to ask about, and the information that its answer is expected to give."""

    group: str
    bits: float


def next_question(
    candidates: Sequence[tuple[float, Attributes]], schema: AttributeSchema, asked: Collection[str]
) -> NextQuestion | None:
    """The group of `schema` with the highest information gain about which candidate is the person; None if none tells.

    The gain is the entropy of the label over all candidates less the mean entropy within each: certain labels that
    differ between candidates tell most, doubtful ones little.

    Args:
        candidates: weight in 0..1, such as the match probability, and attributes of each.
        schema: groups to choose from; those of the scene and the view are left out.
        asked: groups whose labels are known.

    Example:
        >>> from domain.schemas import read_schema
        >>> bag = [{"bag": {"backpack": 1.0}}, {"bag": {"none": 1.0}}]
        >>> next_question([(0.5, one) for one in bag], read_schema("suseong"), asked=[])
        NextQuestion(group='bag', bits=1.0)
    """
    gains = [
        NextQuestion(group.name, _gain(candidates, group.name))
        for group in schema.groups
        if group.of == "person" and group.name not in _OF_THE_MOMENT and group.name not in asked
    ]
    best = max(gains, key=lambda each: each.bits, default=None)
    return best if best is not None and best.bits >= _LEAST_BITS else None


def _gain(candidates: Sequence[tuple[float, Attributes]], group: str) -> float:
    """Information in bits that the label of the group gives about the candidate."""
    known = [(weight, described[group]) for weight, described in candidates if described.get(group) and weight > 0]
    total = sum(weight for weight, _ in known)
    if not total:
        return 0.0
    mean: dict[str, float] = {}
    for weight, labels in known:
        for label, probability in labels.items():
            mean[label] = mean.get(label, 0.0) + weight / total * probability
    return _entropy(mean) - sum(weight / total * _entropy(labels) for weight, labels in known)


def _entropy(labels: Mapping[str, float]) -> float:
    return -sum(probability * math.log2(probability) for probability in labels.values() if probability > 0)
