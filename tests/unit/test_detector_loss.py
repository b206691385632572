"""YOLOv4's loss: what it refuses, and that its gradient is sound."""

import pytest
import torch

from domain.errors import InputError
from training.detector.loss import YoloLoss, assign_anchors, complete_iou
from training.detector.network import DarknetNetwork, YoloHead, build_yolov4


def tiny_heads(**options: str | float) -> list[YoloHead]:
    with torch.device("meta"):
        return DarknetNetwork(build_yolov4("yolov4-tiny").definition.with_yolo_options(**options)).yolo_heads


@pytest.mark.parametrize(
    ("option", "value"),
    [("iou_loss", "mse"), ("objectness_smooth", "1"), ("focal_loss", "1"), ("label_smooth_eps", "0.1")],
)
def test_a_loss_that_is_not_yolov4s_is_refused(option: str, value: str) -> None:
    with pytest.raises(InputError, match=rf"line \d+, \[yolo\]: training needs {option}=.*, got {value}"):
        YoloLoss(tiny_heads(**{option: value}))


def test_complete_iou_of_equal_boxes_is_one_and_of_far_ones_negative() -> None:
    box = torch.tensor([[10.0, 10.0, 4.0, 8.0]])
    torch.testing.assert_close(complete_iou(box, box), torch.ones(1))
    assert complete_iou(box, box + torch.tensor([50.0, 0, 0, 0])) < 0


def test_a_person_belongs_to_its_best_anchor_and_to_those_above_the_threshold() -> None:
    coarse, fine = tiny_heads()
    sizes = torch.tensor([[37.0, 58.0], [344.0, 319.0]])
    assert assign_anchors(sizes, fine, 1.0).tolist() == [[False, True, False], [False, False, False]]
    assert assign_anchors(sizes, coarse, 1.0).tolist() == [[False, False, False], [False, False, True]]
    assert assign_anchors(sizes, fine, 0.2)[0].tolist() == [True, True, True]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_are_finite_in_half_precision_even_for_huge_values(dtype: torch.dtype) -> None:
    heads = tiny_heads()
    raw = [
        (torch.randn(2, 18, 96 // head.stride, 96 // head.stride) * 100).to(dtype).requires_grad_() for head in heads
    ]
    targets = torch.tensor([[0, 0, 0.5, 0.5, 0.2, 0.4], [1, 0, 0.1, 0.9, 0.01, 0.01], [1, 0, 1.0, 1.0, 0.9, 0.9]])
    loss = YoloLoss(heads)(raw, targets).total
    loss.backward()
    assert torch.isfinite(loss)
    assert all(tensor.grad is not None and torch.isfinite(tensor.grad).all() for tensor in raw)


def test_descending_the_loss_finds_the_person() -> None:
    heads = tiny_heads()
    raw = [torch.zeros(1, 18, 64 // head.stride, 64 // head.stride, requires_grad=True) for head in heads]
    target = torch.tensor([[0, 0, 0.4, 0.6, 0.3, 0.5]])
    criterion = YoloLoss(heads)
    first = criterion(raw, target).total.item()
    optimizer = torch.optim.Adam(raw, lr=0.3)
    for _ in range(100):
        optimizer.zero_grad()
        criterion(raw, target).total.backward()
        optimizer.step()
    assert criterion(raw, target).total.item() < first / 50
