"""Attribute scores of a few images, recomputed by hand."""

import numpy as np
import pytest

from domain.attributes import AttributeSchema, Group, Label
from domain.errors import InputError
from domain.schemas import read_schema
from evaluation.attributes import constant_answer, restrict_to, score_attributes


def group(name: str, *labels: str) -> Group:
    return Group(
        name=name,
        english=name,
        korean=name,
        labels=tuple(Label(name=label, korean=label, absent=label == "none") for label in labels),
    )


SCHEMA = AttributeSchema(name="small", groups=(group("view", "front", "back"), group("bag", "backpack", "none")))


def certain(labels: list[list[int]]) -> np.ndarray:
    """Probabilities `[image, 4]` that decide for these labels of the two groups."""
    return np.concatenate([np.eye(2)[[row[i] for row in labels]] for i in range(2)], axis=1)


def test_a_perfect_prediction_scores_one_everywhere() -> None:
    labels = [[0, 0], [1, 1], [0, 1], [1, 0]]
    scores = score_attributes(certain(labels), np.array(labels), SCHEMA)
    assert scores.instance_accuracy == scores.instance_f1 == scores.label_mean_accuracy == 1
    assert {name: (each.accuracy, each.f1) for name, each in scores.groups.items()} == {"view": (1, 1), "bag": (1, 1)}


def test_absence_is_a_class_but_not_a_positive_label() -> None:
    """Truth {front}, predicted {front, backpack}: half of what is said holds, all that holds is said."""
    scores = score_attributes(certain([[0, 0]]), np.array([[0, 1]]), SCHEMA)
    assert (scores.instance_accuracy, scores.instance_precision, scores.instance_recall) == (0.5, 0.5, 1.0)
    assert scores.instance_f1 == pytest.approx(2 / 3)
    assert scores.groups["bag"].accuracy == 0


def test_unknown_groups_are_left_out_of_their_image() -> None:
    scores = score_attributes(certain([[0, 0], [1, 0]]), np.array([[0, -1], [1, 0]]), SCHEMA)
    assert scores.instance_precision == 1
    assert scores.groups["bag"].num_images == 1


def test_an_image_without_positive_labels_is_left_out() -> None:
    scores = score_attributes(certain([[0, 1], [0, 0]]), np.array([[-1, 1], [0, 0]]), SCHEMA)
    assert scores.num_images == 1
    assert scores.instance_accuracy == 1


def test_label_mean_accuracy_skips_and_counts_labels_without_both_kinds() -> None:
    """Front is always there and back never; of the two backpacks one is found, the two others are rightly not said."""
    scores = score_attributes(
        certain([[0, 0], [0, 1], [0, 1], [0, 1]]), np.array([[0, 0], [0, 0], [0, 1], [0, 1]]), SCHEMA
    )
    assert scores.label_mean_accuracy == pytest.approx((1 / 2 + 1) / 2)
    assert (scores.num_labels, scores.num_labels_skipped) == (1, 2)


def test_confusion_has_truth_in_rows() -> None:
    scores = score_attributes(certain([[1, 0], [1, 0]]), np.array([[0, 0], [1, 0]]), SCHEMA)
    np.testing.assert_array_equal(scores.groups["view"].confusion, [[0, 1], [0, 1]])


def test_a_group_nobody_knows_has_no_scores() -> None:
    assert list(score_attributes(certain([[0, 0]]), np.array([[0, -1]]), SCHEMA).groups) == ["view"]


def test_the_study_s_labels_can_be_taken_out_of_the_whole_schema() -> None:
    whole, study = read_schema("suseong"), read_schema("suseong_no_colour")
    rng = np.random.default_rng(0)
    labels = np.stack([rng.integers(-1, len(each.labels), 30) for each in whole.groups], axis=1)
    probabilities = rng.random((30, sum(len(each.labels) for each in whole.groups)))
    fewer, known, schema = restrict_to(probabilities, labels, whole, study.group_names)
    assert schema.num_binary_labels == 28
    assert fewer.shape == (30, sum(len(each.labels) for each in study.groups))
    all_scores, study_scores = score_attributes(probabilities, labels, whole), score_attributes(fewer, known, schema)
    assert study_scores.groups["bag"].accuracy == all_scores.groups["bag"].accuracy


def test_probabilities_that_do_not_fit_the_schema_are_refused() -> None:
    with pytest.raises(InputError, match=r"probabilities must have shape \(any, 4\), got \(1, 3\)"):
        score_attributes(np.zeros((1, 3)), np.zeros((1, 2), np.int64), SCHEMA)


def test_images_of_which_nothing_is_known_are_refused() -> None:
    with pytest.raises(InputError, match="at least one image must have a known label, got none among 2 images"):
        score_attributes(certain([[0, 0], [0, 0]]), np.full((2, 2), -1), SCHEMA)


def test_a_group_the_schema_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="of the schema small must be one of view, bag, got 'hat'"):
        restrict_to(certain([[0, 0]]), np.zeros((1, 2), np.int64), SCHEMA, ["hat"])


def test_the_constant_answer_is_each_groups_most_frequent_label_in_training() -> None:
    train = np.array([[1, -1], [1, 1], [0, 0], [-1, 1]])
    assert constant_answer(train, SCHEMA, 3).tolist() == [[0, 1, 0, 1]] * 3
