"""The vectorised loss against a literal one, written loop by loop after Darknet's `forward_yolo_layer`."""

import math

import pytest
import torch
from torch import Tensor

from training.detector.loss import YoloLoss
from training.detector.network import DarknetNetwork, YoloHead, build_yolov4

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
Box = tuple[float, float, float, float]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def box_iou(a: Box, b: Box) -> float:
    width = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
    height = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
    overlap = max(width, 0) * max(height, 0)
    return overlap / (a[2] * a[3] + b[2] * b[3] - overlap)


def box_ciou(a: Box, b: Box) -> float:
    iou = box_iou(a, b)
    width = max(a[0] + a[2] / 2, b[0] + b[2] / 2) - min(a[0] - a[2] / 2, b[0] - b[2] / 2)
    height = max(a[1] + a[3] / 2, b[1] + b[3] / 2) - min(a[1] - a[3] / 2, b[1] - b[3] / 2)
    distance = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    v = 4 / math.pi**2 * (math.atan(a[2] / a[3]) - math.atan(b[2] / b[3])) ** 2
    alpha = v / (1 - iou + v) if v > 0 else 0
    return iou - distance / (width**2 + height**2) - alpha * v


def cross_entropy(probability: float, wanted: float) -> float:
    return -(wanted * math.log(probability) + (1 - wanted) * math.log(1 - probability))


def literal_loss(raw: list[Tensor], heads: list[YoloHead], targets: Tensor) -> tuple[float, float, float]:
    """Box, objectness and class part, each the mean over the pictures."""
    box_loss = objectness_loss = class_loss = 0.0
    for tensor, head in zip(raw, heads, strict=True):
        number = head.section.number
        batch, _, rows, columns = tensor.shape
        size = columns * head.stride, rows * head.stride
        for image in range(batch):
            cells = tensor[image].reshape(len(head.anchors_px), head.num_outputs, rows, columns).tolist()
            truths = [
                ((t[2] * size[0], t[3] * size[1], t[4] * size[0], t[5] * size[1]), int(t[1]))
                for t in targets.tolist()
                if int(t[0]) == image
            ]

            def predicted(anchor: int, row: int, column: int, cells=cells, head=head) -> Box:
                scale, (width, height) = head.scale_x_y, head.anchors_px[anchor]
                tx, ty, tw, th = (cells[anchor][value][row][column] for value in range(4))
                if head.new_coords:
                    centre, growth = (tx, ty), ((tw * 2) ** 2, (th * 2) ** 2)
                else:
                    centre, growth = (sigmoid(tx), sigmoid(ty)), (math.exp(tw), math.exp(th))
                x = (column + centre[0] * scale - (scale - 1) / 2) * head.stride
                y = (row + centre[1] * scale - (scale - 1) / 2) * head.stride
                return x, y, growth[0] * width, growth[1] * height

            def confidence(anchor: int, value: int, row: int, column: int, cells=cells, head=head) -> float:
                raw_value = cells[anchor][value][row][column]
                return raw_value if head.new_coords else sigmoid(raw_value)

            assigned: dict[tuple[int, int, int], set[int]] = {}
            for truth, label in truths:
                ious = [box_iou((0, 0, truth[2], truth[3]), (0, 0, *anchor)) for anchor in head.all_anchors_px]
                best = max(range(len(ious)), key=lambda index: (ious[index], -index))
                for index, iou in enumerate(ious):
                    if index not in head.mask or not (index == best or iou > number("iou_thresh", 1.0)):
                        continue
                    anchor = head.mask.index(index)
                    row = min(int(truth[1] / head.stride), rows - 1)
                    column = min(int(truth[0] / head.stride), columns - 1)
                    box_loss += number("iou_normalizer") * (1 - box_ciou(predicted(anchor, row, column), truth))
                    assigned.setdefault((anchor, row, column), set()).add(label)

            for anchor in range(len(head.anchors_px)):
                for row in range(rows):
                    for column in range(columns):
                        place = anchor, row, column
                        classes = [confidence(anchor, 5 + c, row, column) for c in range(head.num_classes)]
                        objectness = confidence(anchor, 4, row, column)
                        near = max((box_iou(predicted(*place), truth) for truth, _ in truths), default=0.0)
                        ignored = near > number("ignore_thresh") and max(classes) > 0.25
                        loss = (lambda p, t: (p - t) ** 2 / 2) if head.new_coords else cross_entropy
                        if place in assigned:
                            objectness_loss += number("obj_normalizer", 1.0) * loss(objectness, 1.0)
                            for label, probability in enumerate(classes):
                                wanted = float(label in assigned[place])
                                class_loss += number("cls_normalizer") * loss(probability, wanted)
                        elif not ignored:
                            objectness_loss += number("obj_normalizer", 1.0) * loss(objectness, 0.0)
    batch = raw[0].shape[0]
    return box_loss / batch, objectness_loss / batch, class_loss / batch


def heads_of(name: str, num_classes: int, **options: float) -> list[YoloHead]:
    with torch.device("meta"):
        definition = build_yolov4(name, num_classes).definition.with_yolo_options(**options)
        return DarknetNetwork(definition).yolo_heads


def random_heads(heads: list[YoloHead], batch: int, seed: int, spread: float = 0.7) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    raw = []
    for head in heads:
        shape = batch, len(head.mask) * head.num_outputs, 96 // head.stride, 160 // head.stride
        raw.append(torch.randn(shape, generator=generator, dtype=torch.float64) * spread)
    return raw


def random_targets(per_image: list[int], num_classes: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    image = torch.repeat_interleave(torch.arange(len(per_image)), torch.tensor(per_image))
    label = torch.randint(num_classes, image.shape, generator=generator)
    boxes = torch.rand((len(image), 4), generator=generator) * 0.9 + 0.05
    return torch.cat([image[:, None], label[:, None], boxes], 1)


def assert_agrees(heads: list[YoloHead], raw: list[Tensor], targets: Tensor) -> None:
    parts = YoloLoss(heads)(raw, targets)
    expected = literal_loss([tensor.float() for tensor in raw], heads, targets)
    for ours, theirs in zip((parts.box, parts.objectness, parts.classes), expected, strict=True):
        torch.testing.assert_close(ours, torch.tensor(theirs), **TOLERANCE)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "num_classes"), [("yolov4-tiny", 1), ("yolov4-tiny", 3), ("yolov4", 1)])
@pytest.mark.parametrize(
    "per_image",
    [
        pytest.param([3, 1], id="some people"),
        pytest.param([0, 5], id="a picture without people"),
        pytest.param([0, 0], id="no people"),
        pytest.param([25], id="a crowd"),
    ],
)
def test_the_loss_is_the_literal_one(per_image: list[int], name: str, num_classes: int, seed: int) -> None:
    heads = heads_of(name, num_classes)
    targets = random_targets(per_image, num_classes, seed)
    assert_agrees(heads, random_heads(heads, len(per_image), seed + 100), targets)


def test_many_people_in_one_cell() -> None:
    heads = heads_of("yolov4", 2, iou_thresh=0.1)
    same = torch.tensor(
        [[0, 0, 0.31, 0.42, 0.10, 0.30], [0, 1, 0.31, 0.42, 0.11, 0.30], [0, 0, 0.312, 0.42, 0.1, 0.31]]
    )
    assert_agrees(heads, random_heads(heads, 1, 0), same)


def test_boxes_at_the_border() -> None:
    heads = heads_of("yolov4-tiny", 1)
    border = torch.tensor([[0, 0, 1.0, 1.0, 0.2, 0.2], [0, 0, 0.0, 0.0, 0.1, 0.3], [0, 0, 0.999999, 0.5, 0.3, 0.9]])
    assert_agrees(heads, random_heads(heads, 1, 1), border)


def test_predictions_that_fit_are_ignored() -> None:
    heads = heads_of("yolov4-tiny", 1, ignore_thresh=0.2)  # many predictions are near enough
    assert_agrees(heads, random_heads(heads, 2, 2), random_targets([8, 8], 1, 2))


def test_new_coords() -> None:
    heads = heads_of("yolov4-tiny", 2, new_coords=1, scale_x_y=2.0)
    raw = [tensor.sigmoid() for tensor in random_heads(heads, 2, 3)]
    assert_agrees(heads, raw, random_targets([4, 2], 2, 3))


def test_the_comparison_would_notice_another_ignore_threshold() -> None:
    heads, others = heads_of("yolov4-tiny", 1, ignore_thresh=0.2), heads_of("yolov4-tiny", 1, ignore_thresh=0.6)
    raw, targets = random_heads(heads, 2, 2), random_targets([8, 8], 1, 2)
    ours = YoloLoss(others)(raw, targets).objectness
    assert abs(float(ours) - literal_loss(raw, heads, targets)[1]) > 1e-3


def test_the_comparison_would_notice_swapped_width_and_height() -> None:
    heads = heads_of("yolov4-tiny", 1)
    raw, targets = random_heads(heads, 1, 5), random_targets([4], 1, 5)
    swapped = targets[:, [0, 1, 2, 3, 5, 4]]
    assert abs(float(YoloLoss(heads)(raw, swapped).box) - literal_loss(raw, heads, targets)[0]) > 1e-3
