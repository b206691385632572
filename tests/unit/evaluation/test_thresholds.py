"""What other thresholds would give, by hand."""

import numpy as np
import pytest

from domain.boxes import Detections
from evaluation.detection import precision_recall_curve
from evaluation.thresholds import answers_above, distance_thresholds, most_probable_answers, score_thresholds

PEOPLE = np.array([[0, 0, 10, 20], [100, 0, 110, 20]], np.float32)
# scores .9 right, .8 wrong, .7 right
BOXES = Detections(
    np.array([[0, 0, 10, 20], [300, 0, 310, 20], [100, 0, 110, 20]], np.float32),
    np.array([0.9, 0.8, 0.7], np.float32),
    np.zeros(3, np.int64),
)


def test_score_thresholds_by_hand() -> None:
    curve = precision_recall_curve([BOXES, BOXES], [PEOPLE, PEOPLE])
    rows = {row["name"]: row for row in score_thresholds(curve, 0.85, num_pictures=2)}
    used, best, sure = rows["in use"], rows["best F1"], rows["precision of 95 %, most recall"]
    assert (used["recall"], used["precision"], used["wrong_per_picture"]) == (0.5, 1, 0)
    assert (best["recall"], best["wrong_per_picture"]) == (1, pytest.approx(1))
    assert best["threshold"] == pytest.approx(0.7)
    assert sure["threshold"] == pytest.approx(0.9)
    assert rows["recall of 90 %"]["threshold"] == pytest.approx(0.7)


def test_a_threshold_above_all_scores_finds_nobody() -> None:
    curve = precision_recall_curve([BOXES], [PEOPLE])
    used = next(row for row in score_thresholds(curve, 0.99, num_pictures=1) if row["name"] == "in use")
    assert (used["recall"], used["f1"]) == (0, 0)
    assert "precision" not in used


def test_answers_of_at_least_a_probability_by_hand() -> None:
    rows = {row["threshold"]: row for row in answers_above(np.array([0.95, 0.75, 0.4]), np.array([True, False, True]))}
    assert rows[0.0] == {"threshold": 0.0, "given": 1.0, "num_given": 3, "right": 2 / 3, "kept": 1.0}
    assert rows[0.7] == {"threshold": 0.7, "given": 2 / 3, "num_given": 2, "right": 1 / 2, "kept": 1 / 2}
    assert rows[0.95]["kept"] == 0.5


def test_unknown_labels_are_no_answers() -> None:
    parts = [np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.6, 0.4], [0.6, 0.4]])]
    probabilities, right = most_probable_answers(parts, np.array([[0, -1], [0, 1]]))
    assert probabilities.tolist() == [0.9, 0.8, 0.6]
    assert right.tolist() == [True, False, False]


def test_match_distances_by_hand() -> None:
    same, different = np.array([0.1, 0.2], np.float32), np.linspace(0.15, 1.15, 101).astype(np.float32)
    used = next(row for row in distance_thresholds(same, different, 0.155) if row["name"] == "in use")
    assert (used["same"], used["different"]) == (0.5, pytest.approx(1 / 101))
    assert distance_thresholds(same[:0], different, 0.1) == []
