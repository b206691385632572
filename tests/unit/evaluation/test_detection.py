"""Detection scores on a few boxes."""

from collections.abc import Sequence

import numpy as np
import pytest

from domain.boxes import Detections
from domain.errors import InputError
from evaluation.detection import precision_recall_curve, score_detections

pytestmark = pytest.mark.slow


def detections(boxes: Sequence[Sequence[float]], scores: list[float]) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.zeros(len(scores), np.int64)
    )


PERSON, OTHER, NOWHERE = [0.0, 0.0, 10.0, 20.0], [30.0, 0.0, 40.0, 20.0], [80.0, 80.0, 90.0, 99.0]


def test_the_curve_follows_falling_scores() -> None:
    curve = precision_recall_curve(
        [detections([PERSON, NOWHERE, OTHER], [0.9, 0.8, 0.7])], [np.array([PERSON, OTHER], np.float32)]
    )
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(curve.recall, [1 / 2, 1 / 2, 1])
    assert curve.scores[curve.best] == pytest.approx(0.7)
    assert curve.f1[curve.best] == pytest.approx(0.8)


def test_a_second_box_on_one_person_is_wrong() -> None:
    curve = precision_recall_curve([detections([PERSON, PERSON], [0.9, 0.8])], [np.array([PERSON], np.float32)])
    np.testing.assert_allclose(curve.precision, [1, 1 / 2])
    assert curve.average_precision == 1


@pytest.mark.parametrize(
    ("width", "expected"),
    [pytest.param(5, 1.0, id="exactly at threshold"), pytest.param(4.9, 0.0, id="just below")],
)
def test_a_box_must_overlap_by_half(width: float, expected: float) -> None:
    curve = precision_recall_curve([detections([[0, 0, width, 20]], [0.9])], [np.array([PERSON], np.float32)])
    assert curve.average_precision == expected


def test_perfect_boxes_score_one() -> None:
    scores = score_detections([detections([PERSON, OTHER], [0.9, 0.8])], [np.array([PERSON, OTHER])])
    assert (scores.ap50, scores.ap75, scores.ap50_95, scores.ar100) == (1, 1, 1, 1)


def test_without_boxes_nothing_is_found() -> None:
    nothing = [detections([], [])]
    assert score_detections(nothing, [np.array([PERSON])]).ap50 == 0
    curve = precision_recall_curve(nothing, [np.array([PERSON])])
    assert curve.average_precision == 0
    with pytest.raises(InputError, match="must have boxes to choose a threshold from, got none"):
        _ = curve.best


def test_a_picture_without_a_prediction_is_refused() -> None:
    with pytest.raises(InputError, match="each picture must have one prediction, got 0 for 1 pictures"):
        precision_recall_curve([], [np.array([PERSON])])


def test_pictures_without_people_are_refused() -> None:
    with pytest.raises(InputError, match="at least one picture must have a person, got none in 1"):
        score_detections([detections([PERSON], [0.9])], [np.zeros((0, 4))])
