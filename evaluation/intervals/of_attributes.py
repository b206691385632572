"""Samples of attributes: people are drawn, with all their crops."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from domain.attributes import AttributeSchema
from evaluation.attributes import Labels, Probabilities, most_probable
from evaluation.intervals.bootstrap import Figures, Sample, Weights, divided, ratios, units_of

UNIT = "people"


def attribute_sample(
    probabilities: Probabilities,
    labels: Labels,
    schema: AttributeSchema,
    people: Int64[np.ndarray, " image"],
) -> Sample:
    """The scores of `evaluation.attributes` but the calibration error, of which draws say nothing: they enlarge it.

    Also the accuracy and F1 of each group, `accuracy/<group>`, and of each label that is not `absent` how often it is
    missed and how often invented: `missed/<group>/<label>`, `invented/<group>/<label>`.

    Args:
        probabilities: labels of all groups.
        labels: index of the label in each group, -1 unknown.
        schema: the groups.
        people: identity of each image.
    """
    predicted = most_probable(probabilities, labels, schema)
    identities, person = np.unique(people, return_inverse=True)
    counts = _Counts(predicted, labels, schema, person, len(identities))
    parts, wholes = counts.shares()
    shares, means = ratios(parts, wholes), ratios(*counts.instance_means())

    def figures(weights: Weights) -> Figures:
        instance = dict(means(weights))
        precision, recall = (instance[f"instance_{name}"] for name in ("precision", "recall"))
        instance["instance_f1"] = _or_zero(2 * precision * recall, precision + recall)
        return (
            instance
            | {"label_mean_accuracy": counts.label_mean_accuracy(weights)}
            | counts.group_f1(weights)
            | dict(shares(weights))
        )

    return Sample(UNIT, len(identities), len(labels), figures, units_of(wholes))


class _Counts:
    """For each person, the crops that have, are given, or have and are given each label of each group."""

    def __init__(
        self, predicted: Labels, labels: Labels, schema: AttributeSchema, person: Int64[np.ndarray, " image"], num: int
    ) -> None:
        self._group_of, self._names, self._is_binary = [], [], []
        true, answered, known = [], [], []
        for i, group in enumerate(schema.groups):
            for value, label in enumerate(group.labels):
                self._group_of.append(group.name)
                self._names.append(f"{group.name}/{label.name}")
                self._is_binary.append(not label.absent)
                known.append(labels[:, i] >= 0)
                true.append(labels[:, i] == value)
                answered.append((predicted[:, i] == value) & (labels[:, i] >= 0))
        crops = tuple(np.stack(each, axis=1) for each in (true, answered, known))
        self._binary = np.array(self._is_binary)
        self._crops, self._person, self._num = crops, person, num
        self.true, self.answered, self.known, self.both = (self._summed(each) for each in (*crops, crops[0] & crops[1]))

    def instance_means(self) -> tuple[dict[str, Float64[np.ndarray, " person"]], ...]:
        """Sums over the crops of each person of the instance-based shares, and the number of crops that count."""
        true, answered = (each[:, self._binary] for each in self._crops[:2])
        both, either = (true & answered).sum(axis=1), (true | answered).sum(axis=1)
        counted = self._summed((either > 0)[:, None].astype(np.float64))[:, 0]
        wholes = {"accuracy": either, "precision": answered.sum(axis=1), "recall": true.sum(axis=1)}
        above = {
            f"instance_{name}": self._summed((both / np.maximum(whole, 1))[:, None])[:, 0]
            for name, whole in wholes.items()
        }
        return above, dict.fromkeys(above, counted)

    def shares(self) -> tuple[dict[str, Float64[np.ndarray, " person"]], ...]:
        """Numerators and denominators: the accuracy of each group; how often a label is missed, and invented."""
        above, below = {}, {}
        for group in dict.fromkeys(self._group_of):
            columns = np.array([name == group for name in self._group_of])
            above[f"accuracy/{group}"] = self.both[:, columns].sum(axis=1)
            below[f"accuracy/{group}"] = self.known[:, columns][:, 0]
        for column in np.flatnonzero(self._binary):
            name = self._names[column]
            above[f"missed/{name}"] = (self.true - self.both)[:, column]
            below[f"missed/{name}"] = self.true[:, column]
            above[f"invented/{name}"] = (self.answered - self.both)[:, column]
            below[f"invented/{name}"] = (self.known - self.true)[:, column]
        return above, below

    def label_mean_accuracy(self, weights: Weights) -> Float64[np.ndarray, " repeat"]:
        """Mean over the labels that some but not all crops of a draw have; NaN for a draw without such a label."""
        true, answered, known, both = (weights @ each[:, self._binary] for each in self._all())
        found, refused = divided(both, true), divided(known - true - answered + both, known - true)
        rates = (found + refused) / 2
        num = (~np.isnan(rates)).sum(axis=1)
        return divided(np.nansum(rates, axis=1), num.astype(np.float64))

    def group_f1(self, weights: Weights) -> dict[str, Float64[np.ndarray, " repeat"]]:
        """Mean over the labels that occur in truth or answer of each group."""
        true, answered, _, both = (weights @ each for each in self._all())
        f1 = divided(2 * both, true + answered)
        groups = {}
        for group in dict.fromkeys(self._group_of):
            of_group = f1[:, [name == group for name in self._group_of]]
            num = (~np.isnan(of_group)).sum(axis=1)
            groups[f"f1/{group}"] = divided(np.nansum(of_group, axis=1), num.astype(np.float64))
        return groups

    def _all(self) -> tuple[Float64[np.ndarray, "person label"], ...]:
        return self.true, self.answered, self.known, self.both

    def _summed(
        self, crops: Float64[np.ndarray, "image _"] | Bool[np.ndarray, "image _"]
    ) -> Float64[np.ndarray, "person _"]:
        """Sums over the crops of each person."""
        return np.stack(
            [np.bincount(self._person, column.astype(np.float64), minlength=self._num) for column in crops.T], axis=1
        )


def _or_zero(
    above: Float64[np.ndarray, " repeat"], below: Float64[np.ndarray, " repeat"]
) -> Float64[np.ndarray, " repeat"]:
    """`above / below`, 0 where that is 0 / 0, as the score is defined."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
