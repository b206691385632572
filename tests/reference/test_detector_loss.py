"""The vectorised loss against a literal one, written loop by loop after Darknet's `forward_yolo_layer`."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from training.detector.losses import YoloLoss
from training.detector.network import DarknetNetwork, YoloHead, build_yolov4

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
Box = tuple[float, float, float, float]
Place = tuple[int, int, int]  # anchor, row, column


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def half_square(probability: float, wanted: float) -> float:
    return (probability - wanted) ** 2 / 2


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


class Picture:
    """One picture's part of one head, cell by cell."""

    def __init__(self, tensor: Tensor, head: YoloHead) -> None:
        self.head = head
        self.rows, self.columns = tensor.shape[1:]
        self.cells = tensor.reshape(len(head.anchors_px), head.num_outputs, self.rows, self.columns).tolist()

    def predicted(self, anchor: int, row: int, column: int) -> Box:
        head, scale, (width, height) = self.head, self.head.scale_x_y, self.head.anchors_px[anchor]
        tx, ty, tw, th = (self.cells[anchor][value][row][column] for value in range(4))
        if head.new_coords:
            centre, growth = (tx, ty), ((tw * 2) ** 2, (th * 2) ** 2)
        else:
            centre, growth = (sigmoid(tx), sigmoid(ty)), (math.exp(tw), math.exp(th))
        x = (column + centre[0] * scale - (scale - 1) / 2) * head.stride
        y = (row + centre[1] * scale - (scale - 1) / 2) * head.stride
        return x, y, growth[0] * width, growth[1] * height

    def confidence(self, anchor: int, value: int, row: int, column: int) -> float:
        raw = self.cells[anchor][value][row][column]
        return raw if self.head.new_coords else sigmoid(raw)

    def places(self, truth: Box) -> list[Place]:
        """Anchors and cell that answer for a person."""
        ious = [box_iou((0, 0, truth[2], truth[3]), (0, 0, *anchor)) for anchor in self.head.all_anchors_px]
        best = ious.index(max(ious))
        above = self.head.section.number("iou_thresh", 1.0)
        row = min(int(truth[1] / self.head.stride), self.rows - 1)
        column = min(int(truth[0] / self.head.stride), self.columns - 1)
        mine = [index for index in self.head.mask if index == best or ious[index] > above]
        return [(self.head.mask.index(index), row, column) for index in mine]


def literal_picture(picture: Picture, truths: list[tuple[Box, int]]) -> tuple[float, float, float]:
    """Box, objectness and class part of one picture."""
    head, number = picture.head, picture.head.section.number
    box_loss = objectness_loss = class_loss = 0.0
    assigned: dict[Place, set[int]] = {}
    for truth, label in truths:
        for place in picture.places(truth):
            box_loss += number("iou_normalizer") * (1 - box_ciou(picture.predicted(*place), truth))
            assigned.setdefault(place, set()).add(label)
    loss = half_square if head.new_coords else cross_entropy
    for place in itertools.product(range(len(head.anchors_px)), range(picture.rows), range(picture.columns)):
        anchor, row, column = place
        classes = [picture.confidence(anchor, 5 + label, row, column) for label in range(head.num_classes)]
        objectness = picture.confidence(anchor, 4, row, column)
        near = max((box_iou(picture.predicted(*place), truth) for truth, _ in truths), default=0.0)
        if place in assigned:
            objectness_loss += number("obj_normalizer", 1.0) * loss(objectness, 1.0)
            for label, probability in enumerate(classes):
                class_loss += number("cls_normalizer") * loss(probability, float(label in assigned[place]))
        elif not (near > number("ignore_thresh") and max(classes) > 0.25):
            objectness_loss += number("obj_normalizer", 1.0) * loss(objectness, 0.0)
    return box_loss, objectness_loss, class_loss


def literal_loss(raw: list[Tensor], heads: list[YoloHead], targets: Tensor) -> list[float]:
    """Box, objectness and class part, each the mean over the pictures."""
    parts = []
    for tensor, head in zip(raw, heads, strict=True):
        size = tensor.shape[3] * head.stride, tensor.shape[2] * head.stride
        for image in range(len(tensor)):
            truths = [
                ((t[2] * size[0], t[3] * size[1], t[4] * size[0], t[5] * size[1]), int(t[1]))
                for t in targets.tolist()
                if int(t[0]) == image
            ]
            parts.append(literal_picture(Picture(tensor[image], head), truths))
    return [sum(part) / len(raw[0]) for part in zip(*parts, strict=True)]


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
