"""Attribute scores: instance-based and label-based, as papers on PA-100K and RAP report them.

The most probable label of each group is the predicted label. The instance-based scores count binary labels, such as
"this image shows a backpack". A label that says `none` is a class of its group but not a binary label. A group whose
label is unknown for an image is left out of that image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from domain.attributes import AttributeSchema
from domain.errors import InputError, require_shape
from evaluation.reliability import score_reliability

_CALIBRATION_BINS = 15

Probabilities = Float[np.ndarray, "image label"]  # labels of all groups, groups in the order of the schema
Labels = Int64[np.ndarray, "image attribute"]  # index of the label in each group, -1 unknown


@dataclass(frozen=True)
class GroupScores:
    """Scores of one group over the images whose label is known; fractions in 0..1."""

    accuracy: float
    f1: float  # mean over the labels that occur in truth or prediction
    calibration_error: float
    num_images: int
    confusion: Int64[np.ndarray, "true predicted"]  # number of images


@dataclass(frozen=True)
class AttributeScores:
    """Scores over all groups; fractions in 0..1.

    With T the true and P the predicted positive labels of an image, each instance-based score is a mean over images,
    0 where the denominator is empty; an image without any positive label, true or predicted, is left out.
    """

    instance_accuracy: float  # |T and P| / |T or P|
    instance_precision: float  # |T and P| / |P|
    instance_recall: float  # |T and P| / |T|
    instance_f1: float  # harmonic mean of the two means above
    label_mean_accuracy: float  # mean over labels of (true positive rate + true negative rate) / 2
    calibration_error: float  # mean over groups of the expected calibration error
    num_labels: int  # binary labels in that mean
    num_labels_skipped: int  # binary labels of no image or of every image
    num_images: int  # in the instance-based scores
    groups: dict[str, GroupScores]  # groups whose label is known for at least one image


def score_attributes(probabilities: Probabilities, labels: Labels, schema: AttributeSchema) -> AttributeScores:
    """Scores of predicted probabilities against known labels.

    Sources: Li et al. 2016 (RAP) for the instance-based scores and the label mean accuracy; Guo et al. 2017 for the
    expected calibration error, over 15 bins of the predicted label's probability.

    Raises:
        InputError: if the shapes do not fit the schema, or no image has a known label.
    """
    predicted = most_probable(probabilities, labels, schema)
    known = labels >= 0
    if not known.any():
        raise InputError(f"at least one image must have a known label, got none among {len(labels)} images")
    true_labels, predicted_labels, counted = (
        np.concatenate(columns, axis=1) for columns in zip(*_binary_columns(labels, predicted, schema), strict=True)
    )
    true_positive, predicted_positive = true_labels & counted, predicted_labels & counted
    label_scores = _label_accuracies(true_positive, predicted_positive, counted)
    instance = _instance_scores(true_positive, predicted_positive)
    groups = {
        group.name: _score_group(part[known[:, i]], predicted[known[:, i], i], labels[known[:, i], i])
        for i, (group, part) in enumerate(zip(schema.groups, group_parts(probabilities, schema), strict=True))
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


def constant_answer(
    train_labels: Labels, schema: AttributeSchema, num_images: int
) -> Float32[np.ndarray, "{num_images} label"]:
    """Baseline: probability 1 for the most frequent training label of each group, for each of `num_images` images."""
    parts = []
    for i, group in enumerate(schema.groups):
        known = train_labels[train_labels[:, i] >= 0, i]
        most = np.bincount(known, minlength=len(group.labels)).argmax()
        parts.append(np.eye(len(group.labels), dtype=np.float32)[most])
    return np.tile(np.concatenate(parts), (num_images, 1))


def restrict_to(
    probabilities: Probabilities, labels: Labels, schema: AttributeSchema, names: Sequence[str]
) -> tuple[Float[np.ndarray, "image restricted"], Int64[np.ndarray, "image name"], AttributeSchema]:
    """Probabilities, labels and schema of the groups `names`, in the order of `names`.

    Raises:
        InputError: if the schema lacks a group.
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


def most_probable(probabilities: Probabilities, labels: Labels, schema: AttributeSchema) -> Labels:
    """The most probable label of each group, after a check of both shapes."""
    sizes = [len(group.labels) for group in schema.groups]
    require_shape("probabilities", probabilities, (None, sum(sizes)))
    require_shape("labels", labels, (len(probabilities), len(sizes)))
    return np.stack([part.argmax(axis=1) for part in group_parts(probabilities, schema)], axis=1)


def group_parts(probabilities: Probabilities, schema: AttributeSchema) -> list[Float[np.ndarray, "image _"]]:
    """The probabilities of each group."""
    return np.split(probabilities, np.cumsum([len(group.labels) for group in schema.groups])[:-1], axis=1)


def _binary_columns(
    labels: Labels, predicted: Labels, schema: AttributeSchema
) -> list[tuple[Bool[np.ndarray, "image _"], Bool[np.ndarray, "image _"], Bool[np.ndarray, "image _"]]]:
    """For each group and each of its binary labels: whether an image has it, is predicted to have it, is known."""
    columns = []
    for i, group in enumerate(schema.groups):
        values = np.array([value for value, label in enumerate(group.labels) if not label.absent])
        known = np.repeat(labels[:, i : i + 1] >= 0, len(values), axis=1)
        columns.append((labels[:, i : i + 1] == values, predicted[:, i : i + 1] == values, known))
    return columns


def _instance_scores(
    true: Bool[np.ndarray, "image label"], predicted: Bool[np.ndarray, "image label"]
) -> dict[str, Any]:
    either = (true | predicted).sum(axis=1)
    scored = either > 0
    both = (true & predicted).sum(axis=1)[scored]
    num_images = int(scored.sum())

    def mean_share(denominator: Int64[np.ndarray, " image"]) -> float:
        return float((both / np.maximum(denominator[scored], 1)).mean()) if num_images else 0.0

    precision, recall = mean_share(predicted.sum(axis=1)), mean_share(true.sum(axis=1))
    return {
        "instance_accuracy": mean_share(either),
        "instance_precision": precision,
        "instance_recall": recall,
        "instance_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "num_images": num_images,
    }


def _label_accuracies(
    true: Bool[np.ndarray, "image label"],
    predicted: Bool[np.ndarray, "image label"],
    counted: Bool[np.ndarray, "image label"],
) -> Float64[np.ndarray, " label"]:
    """(TPR + TNR) / 2 of each binary label; NaN where the known images are all positive or all negative."""
    positives, negatives = true.sum(axis=0), (counted & ~true).sum(axis=0)
    true_positives, true_negatives = (true & predicted).sum(axis=0), (counted & ~true & ~predicted).sum(axis=0)
    rates = true_positives / np.maximum(positives, 1) + true_negatives / np.maximum(negatives, 1)
    return np.where((positives > 0) & (negatives > 0), rates / 2, np.nan)


def _score_group(
    probabilities: Float[np.ndarray, "image label"],
    predicted: Int64[np.ndarray, " image"],
    labels: Int64[np.ndarray, " image"],
) -> GroupScores:
    num_labels = probabilities.shape[1]
    confusion = np.bincount(labels * num_labels + predicted, minlength=num_labels**2).reshape(num_labels, num_labels)
    correct, occurring = confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1)
    f1 = 2 * correct[occurring > 0] / occurring[occurring > 0]
    reliability = score_reliability(probabilities.max(axis=1), predicted == labels, _CALIBRATION_BINS)
    accuracy = float(correct.sum() / len(labels))
    return GroupScores(accuracy, float(f1.mean()), reliability.calibration_error, len(labels), confusion)
