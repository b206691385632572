"""How the look of a person and the words for it come to one distance and one probability."""

import math
from collections.abc import Mapping

LEAST_PROBABILITY = 0.01  # one wrong group must not rule a person out


def attribute_evidence(described: Mapping[str, Mapping[str, float]], asked: Mapping[str, str]) -> float:
    """How much better than chance `described` fits `asked`: mean over groups of ln(p / (1 / labels)), in nats.

    Above 0 speaks for the person, below against. A group that nobody looked at says nothing and is left out of the
    mean; without any group the evidence is 0. The mean, not the sum: errors of the groups of one crop go together.

    Args:
        described: group -> label -> probability, of a tracklet.
        asked: group -> label.

    Example:
        >>> round(attribute_evidence({"bag": {"none": 0.5, "backpack": 0.5}}, {"bag": "backpack"}), 3)
        0.0
        >>> round(attribute_evidence({"bag": {"none": 0.1, "backpack": 0.9}}, {"bag": "backpack"}), 3)
        0.588
    """
    known = [(described[group], label) for group, label in asked.items() if group in described]
    if not known:
        return 0.0
    logs = [math.log(max(labels.get(label, 0.0), LEAST_PROBABILITY) * len(labels)) for labels, label in known]
    return sum(logs) / len(logs)


def description_likelihood(described: Mapping[str, Mapping[str, float]], asked: Mapping[str, str]) -> float:
    """Geometric mean of the probabilities of the labels `asked` for, in 0..1; a group that is missing counts as least.

    Example:
        >>> described = {"bag": {"none": 0.36}, "age": {"child": 0.25}}
        >>> round(description_likelihood(described, {"bag": "none", "age": "child"}), 3)
        0.3
    """
    if not asked:
        return 0.0
    logs = [
        math.log(max(described.get(group, {}).get(label, 0.0), LEAST_PROBABILITY)) for group, label in asked.items()
    ]
    return math.exp(sum(logs) / len(logs))


def match_probability(distance: float, match_distance: float, softness: float) -> float:
    """Probability in 0..1 that a cosine distance is of the same person: a logistic curve, 0.5 at `match_distance`.

    It is not calibrated yet: the card's `match_distance` parts same from different pairs of the validation set best,
    but `softness` (distance over which the odds change by e) is a setting, and how many people pass is not known.

    Example:
        >>> match_probability(0.3, match_distance=0.3, softness=0.05)
        0.5
    """
    return 1 / (1 + math.exp(min((distance - match_distance) / softness, 700.0)))
