"""YOLOv4's loss as published: CIoU, objectness with ignore threshold, classes; several anchors may learn a person.

Source: Bochkovskiy, Wang, Liao 2020 (arXiv:2004.10934) and its code, Darknet's `yolo_layer.c`; CIoU: Zheng et al. 2020.
Here it is a function of the heads, and its gradient is exact; Darknet writes the gradients down directly and leaves the
derivative of the centre's logistic function out of them.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from domain.errors import InputError
from training.detector.network import YoloHead, decode_boxes, split_anchors

# Darknet ignores a prediction near a person only if the probability of some class is above this.
_SHOWS_A_CLASS = 0.25
_EPSILON = 1e-7


@dataclass(frozen=True)
class HeadWeights:
    """Options of a `[yolo]` section for its loss."""

    ignore_thresh: float
    iou_thresh: float
    box: float
    objectness: float
    classes: float


@dataclass(frozen=True)
class LossParts:
    """Parts of the loss, each a scalar: the mean over the pictures of the batch of the sum over a picture."""

    box: Tensor
    objectness: Tensor
    classes: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum, which training minimises."""
        return self.box + self.objectness + self.classes


class YoloLoss:
    """The loss of a network with these heads, with the normalisers of its cfg.

    Args:
        heads: in the order of the network.

    Raises:
        InputError: if an option of a `[yolo]` selects another loss than YOLOv4's.
    """

    def __init__(self, heads: list[YoloHead]) -> None:
        self.heads = heads
        self.weights = [_read_weights(head) for head in heads]

    def __call__(self, raw: list[Tensor], targets: Tensor) -> LossParts:
        """Parts of the loss of one batch, computed in single precision.

        Args:
            raw: the network's `heads`, float `[batch, anchors * (5 + class), row, column]`.
            targets: float `[target, 6]`: index of the picture, class, and box cxcywh as fractions of the input.
        """
        zero = raw[0].new_zeros((), dtype=torch.float32)
        box, objectness, classes = zero, zero, zero
        for tensor, head, weights in zip(raw, self.heads, self.weights, strict=True):
            values = split_anchors(tensor.float(), head)
            parts = _head_loss(values, targets.float(), head, weights)
            box, objectness, classes = box + parts.box, objectness + parts.objectness, classes + parts.classes
        batch = raw[0].shape[0]
        return LossParts(box / batch, objectness / batch, classes / batch)


def complete_iou(boxes_cxcywh: Tensor, others_cxcywh: Tensor) -> Tensor:
    """CIoU of each box with the other in its row, `[box]`: IoU less distance of centres and difference of aspects."""
    low, high = _edges(boxes_cxcywh)
    other_low, other_high = _edges(others_cxcywh)
    iou = _iou(low, high, other_low, other_high)
    hull = torch.maximum(high, other_high) - torch.minimum(low, other_low)
    distance = (boxes_cxcywh[..., :2] - others_cxcywh[..., :2]).square().sum(-1)
    aspects = [torch.atan(box[..., 2] / box[..., 3].clamp(min=_EPSILON)) for box in (boxes_cxcywh, others_cxcywh)]
    difference = 4 / math.pi**2 * (aspects[0] - aspects[1]).square()
    with torch.no_grad():  # the trade-off is a constant in the published gradient
        trade_off = difference / (1 - iou + difference + _EPSILON)
    return iou - distance / (hull.square().sum(-1) + _EPSILON) - trade_off * difference


def assign_anchors(sizes_px: Tensor, head: YoloHead, iou_thresh: float) -> Tensor:
    """True where an anchor of the head is to predict a target, bool `[target, anchor]`.

    Each target is predicted by the best of all heads' anchors by IoU of sizes, and by each further anchor whose IoU is
    above `iou_thresh` (1: none).

    Args:
        sizes_px: width and height of each target, `[target, 2]`, input pixels.
        head: the head.
        iou_thresh: as in the cfg.
    """
    anchors = sizes_px.new_tensor(head.all_anchors_px)
    overlap = torch.minimum(sizes_px[:, None], anchors).prod(-1)
    iou = overlap / (sizes_px.prod(-1)[:, None] + anchors.prod(-1) - overlap + _EPSILON)
    best = F.one_hot(iou.argmax(1), len(anchors)).bool()
    return (best | (iou > iou_thresh))[:, list(head.mask)]


def _head_loss(values: Tensor, targets: Tensor, head: YoloHead, weights: HeadWeights) -> LossParts:
    rows, columns = values.shape[2:4]
    scale = values.new_tensor([columns, rows]) * head.stride
    image, label = targets[:, 0].long(), targets[:, 1].long()
    truths = torch.cat([targets[:, 2:4] * scale, targets[:, 4:6] * scale], 1)  # cxcywh, input pixels
    boxes = decode_boxes(values, head)

    target, anchor = assign_anchors(truths[:, 2:], head, weights.iou_thresh).nonzero(as_tuple=True)
    cell = (truths[target, :2] / head.stride).long()
    column, row = cell[:, 0].clamp(0, columns - 1), cell[:, 1].clamp(0, rows - 1)
    place = image[target], anchor, row, column
    box_loss = (1 - complete_iou(boxes[place], truths[target])).sum()

    assigned = torch.zeros(values.shape[:4], dtype=torch.bool, device=values.device)
    assigned[place] = True
    counted = assigned | ~_is_near_a_target(boxes, values, truths, image, head, weights.ignore_thresh)
    objectness = _elementwise(values[..., 4], assigned.float(), head)
    objectness_loss = torch.where(counted, objectness, objectness.new_zeros(())).sum()

    classes = values.new_zeros((*values.shape[:4], head.num_classes))
    classes[(*place, label[target])] = 1.0
    class_loss = _elementwise(values[..., 5:][assigned], classes[assigned], head).sum()
    return LossParts(weights.box * box_loss, weights.objectness * objectness_loss, weights.classes * class_loss)


@torch.no_grad()
def _is_near_a_target(
    boxes: Tensor, values: Tensor, truths: Tensor, image: Tensor, head: YoloHead, ignore_thresh: float
) -> Tensor:
    """True for predictions `[batch, anchor, row, column]` that overlap a person too much to be false alarms."""
    num_images = boxes.shape[0]
    flat = boxes.flatten(1, 3)
    order = torch.argsort(image, stable=True)
    counts = torch.bincount(image, minlength=num_images)
    most = int(counts.max()) if len(image) else 0
    if most == 0:
        return torch.zeros(boxes.shape[:4], dtype=torch.bool, device=boxes.device)
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(image), device=image.device) - starts[image[order]]
    padded = boxes.new_zeros((num_images, most, 4))  # empty boxes overlap nothing
    padded[image[order], rank] = truths[order]
    low, high = _edges(flat)
    best = boxes.new_zeros(flat.shape[:2])
    for index in range(most):  # over the people of one picture, so that memory stays that of one map
        truth_low, truth_high = _edges(padded[:, index, None])
        best = torch.maximum(best, _iou(low, high, truth_low, truth_high))
    confidence = values[..., 5:] if head.new_coords else values[..., 5:].sigmoid()
    return (best > ignore_thresh).view(boxes.shape[:4]) & (confidence > _SHOWS_A_CLASS).any(-1)


def _elementwise(raw: Tensor, target: Tensor, head: YoloHead) -> Tensor:
    """Binary cross-entropy; with `new_coords` half the squared error, whose gradient is the one Darknet uses there."""
    if head.new_coords:
        return (raw - target).square() / 2
    return F.binary_cross_entropy_with_logits(raw, target, reduction="none")


def _edges(boxes_cxcywh: Tensor) -> tuple[Tensor, Tensor]:
    half = boxes_cxcywh[..., 2:] / 2
    return boxes_cxcywh[..., :2] - half, boxes_cxcywh[..., :2] + half


def _iou(low: Tensor, high: Tensor, other_low: Tensor, other_high: Tensor) -> Tensor:
    overlap = (torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp(min=0).prod(-1)
    return overlap / ((high - low).prod(-1) + (other_high - other_low).prod(-1) - overlap + _EPSILON)


def _read_weights(head: YoloHead) -> HeadWeights:
    section = head.section
    for option, only, default in (
        ("iou_loss", "ciou", "mse"),
        ("objectness_smooth", "0", "0"),
        ("focal_loss", "0", "0"),
        ("label_smooth_eps", "0", "0"),
    ):
        value = section.text(option, default)
        if value != only and value not in {"0.0", "0."}:
            raise InputError(f"{section.place(option)}: training needs {option}={only}, got {value}")
    return HeadWeights(
        ignore_thresh=section.number("ignore_thresh", 0.5),
        iou_thresh=section.number("iou_thresh", 1.0),
        box=section.number("iou_normalizer", 0.75),
        objectness=section.number("obj_normalizer", 1.0),
        classes=section.number("cls_normalizer", 1.0),
    )
