"""Laws of the detector's parts."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.detector.anchors import fit_anchors, size_iou
from training.detector.losses import YoloLoss
from training.detector.network import build_yolov4

with torch.device("meta"):
    HEADS = build_yolov4("yolov4-tiny").yolo_heads
sizes = arrays(float, st.tuples(st.integers(8, 40), st.just(2)), elements=st.floats(2, 300), unique=True)


@given(st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_people_changes_no_loss(num: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    raw = [torch.randn(2, 18, 64 // head.stride, 64 // head.stride, generator=generator) for head in HEADS]
    image = torch.randint(2, (num, 1), generator=generator)
    targets = torch.cat([image, torch.zeros(num, 1), torch.rand(num, 4, generator=generator) * 0.9 + 0.05], 1)
    shuffled = targets[torch.randperm(num, generator=generator)]
    ours, theirs = YoloLoss(HEADS)(raw, targets), YoloLoss(HEADS)(raw, shuffled)
    torch.testing.assert_close(ours.total, theirs.total)


@given(sizes, st.integers(1, 6), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_fitted_anchors_are_within_the_boxes_and_sorted(boxes: np.ndarray, num: int, seed: int) -> None:
    anchors = fit_anchors(boxes, num, seed)
    assert anchors.shape == (num, 2)
    assert (anchors >= boxes.min(axis=0)).all()
    assert (anchors <= boxes.max(axis=0)).all()
    assert (np.diff(anchors.prod(axis=1)) >= 0).all()


@given(sizes)
@settings(deadline=None)
def test_iou_of_sizes_is_symmetric_and_one_on_itself(boxes: np.ndarray) -> None:
    ious = size_iou(boxes, boxes)
    np.testing.assert_allclose(ious, ious.T)
    np.testing.assert_allclose(np.diag(ious), 1)
    assert (ious > 0).all()
