"""Laws of detection scores and of the overlap they rest on."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.boxes import Detections, pairwise_iou
from evaluation.detection import precision_recall_curve


@st.composite
def boxes(draw: st.DrawFn, least: int = 1) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    corner = rng.uniform(0, 50, (draw(st.integers(least, 8)), 2))
    return np.concatenate([corner, corner + rng.uniform(1, 40, corner.shape)], axis=1).astype(np.float32)


@settings(deadline=None)
@given(boxes(), boxes())
def test_overlap_is_symmetric_and_one_on_itself(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_array_equal(pairwise_iou(one, other), pairwise_iou(other, one).T)
    np.testing.assert_allclose(pairwise_iou(one, one).diagonal(), 1, rtol=1e-6)


@settings(deadline=None)
@given(boxes(), boxes(least=0), st.integers(0, 2**32))
def test_only_the_order_of_scores_matters(people: np.ndarray, found: np.ndarray, seed: int) -> None:
    scores = np.random.default_rng(seed).permutation(len(found)).astype(np.float32)
    classes = np.zeros(len(found), np.int64)
    one = precision_recall_curve([Detections(found, scores, classes)], [people])
    other = precision_recall_curve([Detections(found, scores / 100 - 3, classes)], [people])
    np.testing.assert_array_equal(one.precision, other.precision)
    np.testing.assert_array_equal(one.recall, other.recall)


@settings(deadline=None)
@given(boxes(), boxes(), st.floats(0.3, 0.9))
def test_precision_and_recall_are_fractions_and_recall_never_falls(
    people: np.ndarray, found: np.ndarray, iou_threshold: float
) -> None:
    scores = np.linspace(1, 0, len(found), dtype=np.float32)
    curve = precision_recall_curve([Detections(found, scores, np.zeros(len(found), np.int64))], [people], iou_threshold)
    assert ((curve.precision >= 0) & (curve.precision <= 1)).all()
    assert (np.diff(curve.recall) >= 0).all()
    assert curve.recall[-1] <= 1
    assert 0 <= curve.average_precision <= 1
