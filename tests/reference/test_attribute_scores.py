"""Attribute scores against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)
from torchmetrics.functional.classification import multiclass_calibration_error

from domain.attributes import AttributeSchema
from domain.schemas import read_schema
from evaluation.attributes import score_attributes


def random_predictions(schema: AttributeSchema, seed: int, unknown: bool) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right about two times of three, and labels, some unknown."""
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.integers(0, len(group.labels), 200) for group in schema.groups], axis=1)
    parts = []
    for i, group in enumerate(schema.groups):
        parts.append(rng.random((200, len(group.labels))) + 0.5 * np.eye(len(group.labels))[labels[:, i]])
    if unknown:
        labels[rng.random(labels.shape) < 0.2] = -1
    return np.concatenate(parts, axis=1), labels


def decisions(probabilities: np.ndarray, schema: AttributeSchema) -> np.ndarray:
    ends = np.cumsum([len(group.labels) for group in schema.groups])[:-1]
    return np.stack([part.argmax(axis=1) for part in np.split(probabilities, ends, axis=1)], axis=1)


def one_hot(values: np.ndarray, schema: AttributeSchema) -> np.ndarray:
    """Bool `[image, binary label]`, a Python loop over labels."""
    columns = [
        values[:, i] == place
        for i, group in enumerate(schema.groups)
        for place, label in enumerate(group.labels)
        if not label.absent
    ]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["suseong", "suseong_no_colour", "pa100k"])
def test_instance_scores_equal_scikit_learn_sample_averages(name: str, seed: int) -> None:
    schema = read_schema(name)
    probabilities, labels = random_predictions(schema, seed, unknown=False)
    truth, says = one_hot(labels, schema), one_hot(decisions(probabilities, schema), schema)
    kept = (truth | says).any(axis=1)
    truth, says = truth[kept], says[kept]
    scores = score_attributes(probabilities, labels, schema)
    options = {"average": "samples", "zero_division": 0}
    assert scores.instance_accuracy == pytest.approx(jaccard_score(truth, says, **options))
    assert scores.instance_precision == pytest.approx(precision_score(truth, says, **options))
    assert scores.instance_recall == pytest.approx(recall_score(truth, says, **options))


@pytest.mark.parametrize("unknown", [False, True])
def test_label_mean_accuracy_equals_the_mean_balanced_accuracy(unknown: bool) -> None:
    schema = read_schema("suseong")
    probabilities, labels = random_predictions(schema, 0, unknown)
    decided = decisions(probabilities, schema)
    expected = [
        balanced_accuracy_score(labels[labels[:, i] >= 0, i] == place, decided[labels[:, i] >= 0, i] == place)
        for i, group in enumerate(schema.groups)
        for place, label in enumerate(group.labels)
        if not label.absent
    ]
    assert score_attributes(probabilities, labels, schema).label_mean_accuracy == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("unknown", [False, True])
def test_group_scores_equal_scikit_learn(unknown: bool) -> None:
    schema = read_schema("suseong_no_colour")
    probabilities, labels = random_predictions(schema, 1, unknown)
    decided = decisions(probabilities, schema)
    scores = score_attributes(probabilities, labels, schema)
    for i, group in enumerate(schema.groups):
        truth, says = labels[labels[:, i] >= 0, i], decided[labels[:, i] >= 0, i]
        assert scores.groups[group.name].accuracy == pytest.approx(accuracy_score(truth, says))
        assert scores.groups[group.name].f1 == pytest.approx(f1_score(truth, says, average="macro"))
        np.testing.assert_array_equal(
            scores.groups[group.name].confusion, confusion_matrix(truth, says, labels=range(len(group.labels)))
        )


@pytest.mark.parametrize("unknown", [False, True])
def test_calibration_error_equals_torchmetrics(unknown: bool) -> None:
    schema = read_schema("suseong")
    scores, labels = random_predictions(schema, 2, unknown)
    ends = np.cumsum([len(group.labels) for group in schema.groups])[:-1]
    parts = [np.exp(4 * part) / np.exp(4 * part).sum(1, keepdims=True) for part in np.split(scores, ends, axis=1)]
    groups = score_attributes(np.concatenate(parts, axis=1), labels, schema).groups
    for i, (group, part) in enumerate(zip(schema.groups, parts, strict=True)):
        known = labels[:, i] >= 0
        expected = multiclass_calibration_error(
            torch.from_numpy(part[known]), torch.from_numpy(labels[known, i]), len(group.labels), n_bins=15
        )
        assert groups[group.name].calibration_error == pytest.approx(float(expected), abs=1e-6)


def test_the_comparison_would_notice_labels_of_another_image() -> None:
    schema = read_schema("suseong")
    probabilities, labels = random_predictions(schema, 0, unknown=False)
    shifted = score_attributes(probabilities, np.roll(labels, 1, axis=0), schema)
    truth, says = one_hot(labels, schema), one_hot(decisions(probabilities, schema), schema)
    assert shifted.instance_accuracy != pytest.approx(jaccard_score(truth, says, average="samples"), abs=0.05)
