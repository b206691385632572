"""YOLOv4's loss: what it refuses, and that its gradient is sound."""

import numpy as np
import pytest
import torch

from domain.detections import postprocess
from domain.errors import InputError
from domain.images import letterbox
from evaluation.detection import score_detections
from training.detector.losses import YoloLoss, assign_anchors, complete_iou
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


@pytest.mark.slow
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


def draw_eight_pictures() -> tuple[np.ndarray, list[np.ndarray]]:
    """Noise `uint8 [8, 96, 160, 3]` with one to three bright upright boxes each, and these boxes, xyxy in pixels."""
    rng = np.random.default_rng(1)
    images, people = rng.integers(0, 80, (8, 96, 160, 3), dtype=np.uint8), []
    for index, image in enumerate(images):
        boxes = []
        for place in rng.permutation(5)[: 1 + index % 3]:
            width, height = rng.integers(10, 24), rng.integers(30, 70)
            left, top = 32 * place + rng.integers(0, 32 - width), rng.integers(0, 96 - height)
            image[top : top + height, left : left + width] = rng.integers(128, 256, 3)
            boxes.append((left, top, left + width, top + height))
        people.append(np.array(boxes, np.float32))
    return images, people


@pytest.mark.slow
def test_eight_pictures_are_learned_by_heart() -> None:
    torch.manual_seed(0)
    images, people = draw_eight_pictures()
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    size = np.array([160, 96])
    targets = [
        (index, 0, *((low + high) / 2 / size), *((high - low) / size))
        for index, boxes in enumerate(people)
        for low, high in zip(boxes[:, :2], boxes[:, 2:], strict=True)
    ]
    network = build_yolov4("yolov4-tiny").train()
    loss, optimizer = YoloLoss(network.yolo_heads), torch.optim.AdamW(network.parameters(), lr=0.001)
    for _ in range(120):
        loss(network.heads(batch), torch.tensor(targets, dtype=torch.float32)).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.inference_mode():
        boxes, scores = (output.numpy() for output in network.eval()(batch))
    found = [postprocess(boxes[i], scores[i], letterbox(image, 96, 160), 0.01, 0.5) for i, image in enumerate(images)]
    assert score_detections(found, people).ap50 == pytest.approx(1.0)
