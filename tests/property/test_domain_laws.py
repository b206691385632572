"""Laws of boxes, pictures and embeddings for all inputs."""

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchvision.ops import batched_nms, box_convert, box_iou, distance_box_iou

from domain.boxes import cxcywh_to_xyxy, pairwise_iou, suppress_overlaps, xyxy_to_cxcywh
from domain.embeddings import cosine_distances, unit_length
from domain.images import letterbox, stretch

corners = arrays(np.float32, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 40))


@st.composite
def boxes(draw: st.DrawFn) -> np.ndarray:
    low = draw(corners)
    size = draw(arrays(np.float32, low.shape, elements=st.integers(1, 20)))
    return np.concatenate([low, low + size], axis=1)


@given(boxes(), boxes())
def test_iou_is_symmetric_and_equals_torchvision(one: np.ndarray, other: np.ndarray) -> None:
    iou = pairwise_iou(one, other)
    assert np.allclose(iou, pairwise_iou(other, one).T)
    assert np.allclose(iou, box_iou(torch.from_numpy(one), torch.from_numpy(other)).numpy(), atol=1e-6)


@given(boxes())
def test_iou_of_a_box_with_itself_is_one(some: np.ndarray) -> None:
    assert np.allclose(np.diag(pairwise_iou(some, some)), 1)


@given(boxes())
def test_centres_and_sizes_equal_torchvision_and_lead_back(some: np.ndarray) -> None:
    centres = xyxy_to_cxcywh(some)
    assert np.array_equal(centres, box_convert(torch.from_numpy(some), "xyxy", "cxcywh").numpy())
    assert np.array_equal(cxcywh_to_xyxy(centres), some)


@given(boxes(), st.integers(0, 5), st.sampled_from([0.3, 0.45, 0.7]))
def test_suppression_equals_torchvision(some: np.ndarray, seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(len(some)).astype(np.float32)
    classes = rng.integers(0, 2, len(some))
    assume(not np.isclose(pairwise_iou(some, some), threshold, atol=1e-5).any())  # where rounding decides
    expected = batched_nms(torch.from_numpy(some), torch.from_numpy(scores), torch.from_numpy(classes), threshold)
    assert suppress_overlaps(some, scores, classes, threshold).tolist() == expected.tolist()


@given(boxes(), st.integers(0, 5), st.sampled_from([0.3, 0.45, 0.7]))
def test_suppression_by_distance_equals_torchvisions_distance_iou(
    some: np.ndarray, seed: int, threshold: float
) -> None:
    scores = np.random.default_rng(seed).permutation(len(some)).astype(np.float32)
    overlaps = distance_box_iou(torch.from_numpy(some).double(), torch.from_numpy(some).double()).numpy()
    assume(not np.isclose(overlaps, threshold, atol=1e-4).any())
    expected: list[int] = []
    for candidate in np.argsort(-scores):
        if not (overlaps[candidate, expected] > threshold).any():
            expected.append(int(candidate))
    classes = np.zeros(len(some), np.int64)
    assert suppress_overlaps(some, scores, classes, threshold, nms="diou").tolist() == expected


def test_suppression_by_distance_keeps_a_box_whose_centre_is_elsewhere() -> None:
    some = np.array([[0, 0, 10, 10], [0, 0, 10, 6]], np.float32)
    scores, classes = np.array([0.9, 0.8]), np.zeros(2, np.int64)
    assert suppress_overlaps(some, scores, classes, 0.59).tolist() == [0]
    assert suppress_overlaps(some, scores, classes, 0.59, nms="diou").tolist() == [0, 1]


def test_suppression_would_be_noticed_with_another_threshold() -> None:
    some = np.array([[0, 0, 10, 10], [0, 0, 10, 6]], np.float32)
    scores, classes = np.array([0.9, 0.8]), np.zeros(2, np.int64)
    assert (
        suppress_overlaps(some, scores, classes, 0.5).tolist() != suppress_overlaps(some, scores, classes, 0.7).tolist()
    )


@given(st.integers(8, 90), st.integers(8, 90), st.sampled_from([letterbox, stretch]))
def test_a_box_comes_back_from_the_network_input(height: int, width: int, resize: object) -> None:
    resized = resize(np.zeros((height, width, 3), np.uint8), 64, 48)  # type: ignore[operator]
    box = np.array([[1, 2, width - 1, height - 2]], np.float32)
    inside = box * np.array(resized.scale_xy * 2) + np.array(resized.pad_xy_px * 2)
    assert np.allclose(resized.boxes_to_original(inside), box, atol=1e-3)


@given(arrays(np.float32, (4, 8), elements=st.floats(-5, 5, width=32)))
def test_unit_vectors_are_within_two_of_each_other(vectors: np.ndarray) -> None:
    units = unit_length(vectors)
    lengths = np.linalg.norm(units, axis=1)
    assert (np.isclose(lengths, 1, atol=1e-4) | (np.linalg.norm(vectors, axis=1) < 1e-6)).all()
    distances = cosine_distances(units, units)
    assert (distances > -1e-5).all()
    assert (distances < 2 + 1e-5).all()
