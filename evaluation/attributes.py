"""How well people are described: instance-based and label-based scores as PA-100K and RAP papers report them.

Each group is decided by its most probable label. The instance-based scores look at binary labels: "this image shows a
backpack". A label that says `none` is a class of its group but not a binary label. Groups whose label an image does
not know are left out of that image.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from domain.attributes import AttributeSchema
from domain.errors import InputError, require_shape
from evaluation.reliability import score_reliability

_CALIBRATION_BINS = 15


@dataclass(frozen=True)
class GroupScores:
    """Scores of one group over the images that know its label; fractions in 0..1."""

    accuracy: float
    f1: float  # mean over the labels that occur in truth or prediction
    calibration_error: float
    num_images: int
    confusion: np.ndarray  # int64 [true label, predicted label]


@dataclass(frozen=True)
class AttributeScores:
    """Scores over all groups; fractions in 0..1.

    With T the positive labels an image has and P those predicted for it, each instance-based score is a mean over
    images, 0 where its denominator is empty; images without any positive label, true or predicted, are left out.
    """

    instance_accuracy: float  # |T and P| / |T or P|
    instance_precision: float  # |T and P| / |P|
    instance_recall: float  # |T and P| / |T|
    instance_f1: float  # harmonic mean of the two means above
    label_mean_accuracy: float  # mean over labels of (true positive rate + true negative rate) / 2
    calibration_error: float  # mean over groups of the expected calibration error
    num_labels: int  # binary labels in that mean
    num_labels_skipped: int  # that no image has, or every image has
    num_images: int  # in the instance-based scores
    groups: dict[str, GroupScores]  # of groups that at least one image knows

    def as_metrics(self) -> dict[str, Any]:
        """For `metrics/attributes.json`: plain numbers and lists."""
        metrics = asdict(self)
        for scores in metrics["groups"].values():
            scores["confusion"] = scores["confusion"].tolist()
        return metrics


def score_attributes(probabilities: np.ndarray, labels: np.ndarray, schema: AttributeSchema) -> AttributeScores:
    """Scores of predicted probabilities against known labels.

    Sources: Li et al. 2016 (RAP) for the instance-based scores and the label mean accuracy; Guo et al. 2017 for the
    expected calibration error: how far confidence and accuracy are apart, over 15 bins of the decided label's
    probability.

    Args:
        probabilities: float `[image, labels of all groups]`, groups in the order of the schema.
        labels: int64 `[image, group]`, index of the label in its group, -1 unknown.
        schema: groups and their labels.

    Raises:
        InputError: if sizes do not fit the schema or no image has a known label.
    """
    predicted = _decide(probabilities, labels, schema)
    known = labels >= 0
    if not known.any():
        raise InputError(f"at least one image must have a known label, got none among {len(labels)} images")
    true_labels, predicted_labels, counted = (
        np.concatenate(columns, axis=1) for columns in zip(*_binary_columns(labels, predicted, schema), strict=True)
    )
    has, says = true_labels & counted, predicted_labels & counted
    label_scores = _label_accuracies(has, says, counted)
    instance = _instance_scores(has, says)
    groups = {
        group.name: _score_group(part[known[:, i]], predicted[known[:, i], i], labels[known[:, i], i])
        for i, (group, part) in enumerate(zip(schema.groups, _parts(probabilities, schema), strict=True))
        if known[:, i].any()
    }
    return AttributeScores(
        **instance,
        label_mean_accuracy=float(np.nanmean(label_scores)) if not np.isnan(label_scores).all() else 0.0,
        num_labels=int((~np.isnan(label_scores)).sum()),
        num_labels_skipped=int(np.isnan(label_scores).sum()),
        calibration_error=float(np.mean([group.calibration_error for group in groups.values()])),
        groups=groups,
    )


def constant_answer(train_labels: np.ndarray, schema: AttributeSchema, num_images: int) -> np.ndarray:
    """What a model must beat: probability 1 for each group's most frequent label in training, for every image.

    Args:
        train_labels: int64 `[image, group]`, -1 unknown.
        schema: groups and their labels.
        num_images: to answer for.

    Returns:
        float32 `[num_images, labels of all groups]`.
    """
    parts = []
    for i, group in enumerate(schema.groups):
        known = train_labels[train_labels[:, i] >= 0, i]
        most = np.bincount(known, minlength=len(group.labels)).argmax()
        parts.append(np.eye(len(group.labels), dtype=np.float32)[most])
    return np.tile(np.concatenate(parts), (num_images, 1))


def restrict_to(
    probabilities: np.ndarray, labels: np.ndarray, schema: AttributeSchema, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, AttributeSchema]:
    """Probabilities, labels and schema of the groups in `names` alone, in the order of `names`.

    Raises:
        InputError: if the schema has no such group.
    """
    groups = [schema.group(name) for name in names]
    ends = np.cumsum([0, *(len(group.labels) for group in schema.groups)])
    places = [schema.group_names.index(name) for name in names]
    columns = np.concatenate([np.arange(ends[place], ends[place + 1]) for place in places])
    return (
        probabilities[:, columns],
        labels[:, places],
        AttributeSchema(name=schema.name, groups=tuple(groups)),
    )


def _decide(probabilities: np.ndarray, labels: np.ndarray, schema: AttributeSchema) -> np.ndarray:
    """The most probable label of each group, int64 `[image, group]`."""
    sizes = [len(group.labels) for group in schema.groups]
    require_shape("probabilities", probabilities, (None, sum(sizes)))
    require_shape("labels", labels, (len(probabilities), len(sizes)))
    return np.stack([part.argmax(axis=1) for part in _parts(probabilities, schema)], axis=1)


def _parts(probabilities: np.ndarray, schema: AttributeSchema) -> list[np.ndarray]:
    """Of each group, `[image, label]`."""
    return np.split(probabilities, np.cumsum([len(group.labels) for group in schema.groups])[:-1], axis=1)


def _binary_columns(
    labels: np.ndarray, predicted: np.ndarray, schema: AttributeSchema
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each group, as bool `[image, binary label]`: has it, is said to have it, is known."""
    columns = []
    for i, group in enumerate(schema.groups):
        values = np.array([value for value, label in enumerate(group.labels) if not label.absent])
        known = np.repeat(labels[:, i : i + 1] >= 0, len(values), axis=1)
        columns.append((labels[:, i : i + 1] == values, predicted[:, i : i + 1] == values, known))
    return columns


def _instance_scores(has: np.ndarray, says: np.ndarray) -> dict[str, Any]:
    either = (has | says).sum(axis=1)
    scored = either > 0
    both = (has & says).sum(axis=1)[scored]
    num_images = int(scored.sum())

    def mean_share(denominator: np.ndarray) -> float:
        return float((both / np.maximum(denominator[scored], 1)).mean()) if num_images else 0.0

    precision, recall = mean_share(says.sum(axis=1)), mean_share(has.sum(axis=1))
    return {
        "instance_accuracy": mean_share(either),
        "instance_precision": precision,
        "instance_recall": recall,
        "instance_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "num_images": num_images,
    }


def _label_accuracies(has: np.ndarray, says: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(TPR + TNR) / 2 of each binary label, NaN where the known images are all alike."""
    positives, negatives = has.sum(axis=0), (counted & ~has).sum(axis=0)
    right, rightly_not = (has & says).sum(axis=0), (counted & ~has & ~says).sum(axis=0)
    both_kinds = (positives > 0) & (negatives > 0)
    rates = right / np.maximum(positives, 1) + rightly_not / np.maximum(negatives, 1)
    return np.where(both_kinds, rates / 2, np.nan)


def _score_group(probabilities: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> GroupScores:
    num_labels = probabilities.shape[1]
    confusion = np.bincount(labels * num_labels + predicted, minlength=num_labels**2).reshape(num_labels, num_labels)
    right, occurring = confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1)
    f1 = 2 * right[occurring > 0] / occurring[occurring > 0]
    reliability = score_reliability(probabilities.max(axis=1), predicted == labels, _CALIBRATION_BINS)
    accuracy = float(right.sum() / len(labels))
    return GroupScores(accuracy, float(f1.mean()), reliability.calibration_error, len(labels), confusion)
