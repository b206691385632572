"""Post-processing of a detector's output."""

import numpy as np
import pytest

from domain.detections import postprocess
from domain.errors import InputError
from domain.images import Resized, letterbox


@pytest.fixture
def resized() -> Resized:
    return letterbox(np.zeros((360, 640, 3), np.uint8), 320, 320)  # scale 0.5, 70 px of grey above and below


def test_boxes_come_back_in_pixels_of_the_original_best_first(resized: Resized) -> None:
    boxes = np.array([[10, 80, 30, 120], [100, 90, 130, 160]], np.float32)
    detections = postprocess(boxes, np.array([[0.6], [0.9]], np.float32), resized, 0.5, 0.5)
    assert detections.scores.tolist() == pytest.approx([0.9, 0.6])
    np.testing.assert_allclose(detections.boxes_xyxy, [[200, 40, 260, 180], [20, 20, 60, 100]])


def test_an_overlapping_box_goes_unless_it_is_of_another_class(resized: Resized) -> None:
    boxes = np.array([[10, 80, 30, 120], [11, 80, 31, 120]], np.float32)
    scores = np.array([[0.9, 0.1], [0.8, 0.7]], np.float32)
    detections = postprocess(boxes, scores, resized, 0.5, 0.5)
    assert detections.classes.tolist() == [0, 1]
    assert detections.scores.tolist() == pytest.approx([0.9, 0.7])


def test_a_score_exactly_at_the_threshold_counts(resized: Resized) -> None:
    box = np.array([[10, 80, 30, 120]], np.float32)
    assert len(postprocess(box, np.array([[0.5]], np.float32), resized, 0.5, 0.5)) == 1
    assert len(postprocess(box, np.array([[0.49]], np.float32), resized, 0.5, 0.5)) == 0


def test_nothing_found_is_empty_arrays_of_the_right_kind(resized: Resized) -> None:
    detections = postprocess(np.zeros((3, 4), np.float32), np.zeros((3, 1), np.float32), resized, 0.5, 0.5)
    assert detections.boxes_xyxy.shape == (0, 4)
    assert (detections.boxes_xyxy.dtype, detections.scores.dtype, detections.classes.dtype) == (
        np.float32,
        np.float32,
        np.int64,
    )


def test_only_the_best_are_kept(resized: Resized) -> None:
    left = np.arange(0, 200, 20, dtype=np.float32)
    boxes = np.stack([left, np.full(10, 100), left + 10, np.full(10, 120)], axis=1).astype(np.float32)
    scores = np.linspace(0.1, 0.9, 10, dtype=np.float32)[:, None]
    assert postprocess(boxes, scores, resized, 0.05, 0.5, max_detections=3).scores.tolist() == pytest.approx(
        scores[:-4:-1, 0].tolist()
    )


@pytest.mark.usefixtures("unchecked_arrays")
def test_arrays_of_the_wrong_shape_are_refused(resized: Resized) -> None:
    with pytest.raises(InputError, match=r"boxes must have shape \(any, 4\)"):
        postprocess(np.zeros((2, 5), np.float32), np.zeros((2, 1), np.float32), resized, 0.5, 0.5)
    with pytest.raises(InputError, match=r"scores must have shape \(2, any\)"):
        postprocess(np.zeros((2, 4), np.float32), np.zeros((3, 1), np.float32), resized, 0.5, 0.5)
