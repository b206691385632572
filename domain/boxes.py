"""Boxes as `xyxy` in pixels: left, top, right, bottom."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Int64, Real

from domain.compiled import compiled
from domain.model_card import Nms


@dataclass(frozen=True)
class Detections:
    """Detections in one picture, best score first."""

    boxes_xyxy: Float32[np.ndarray, "box 4"]  # pixels of the original picture
    scores: Float32[np.ndarray, " box"]  # 0..1
    classes: Int64[np.ndarray, " box"]  # index into the card's class_names

    def __len__(self) -> int:
        return len(self.scores)


def pairwise_iou(
    boxes_xyxy: Real[np.ndarray, "box 4"], others_xyxy: Real[np.ndarray, "other 4"]
) -> Float32[np.ndarray, "box other"]:
    """Intersection over union of each box with each of `others`, in 0..1; 0 if both are empty.

    Example:
        >>> pairwise_iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [5, 5, 6, 6]])).round(3)
        array([[0.333, 0.   ]], dtype=float32)
    """
    boxes, others = np.asarray(boxes_xyxy, np.float32), np.asarray(others_xyxy, np.float32)
    corner_low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    corner_high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap = np.clip(corner_high - corner_low, 0, None).prod(axis=2)
    areas, other_areas = _areas(boxes), _areas(others)
    union = areas[:, None] + other_areas[None] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def xyxy_to_cxcywh(boxes_xyxy: Float[np.ndarray, "box 4"]) -> Float[np.ndarray, "box 4"]:
    """Boxes as centre x, centre y, width, height."""
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def cxcywh_to_xyxy(boxes_cxcywh: Float[np.ndarray, "box 4"]) -> Float[np.ndarray, "box 4"]:
    """Boxes as left, top, right, bottom."""
    centre, half = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def suppress_overlaps(
    boxes_xyxy: Real[np.ndarray, "box 4"],
    scores: Real[np.ndarray, " box"],
    classes: Int[np.ndarray, " box"],
    iou_threshold: float,
    nms: Nms = "iou",
) -> Int64[np.ndarray, " survivor"]:
    """Indices of the boxes that survive non-maximum suppression, best score first.

    Ties keep input order. `iou` equals torchvision's `batched_nms`. `diou` subtracts the distance of the centres from
    the overlap, so that people behind each other survive more often (Zheng et al. 2020, "Distance-IoU loss", DIoU-NMS).

    Args:
        boxes_xyxy: pixels.
        scores: better boxes have higher scores.
        classes: boxes of different classes never suppress each other.
        iou_threshold: a box is removed if its overlap with a better box of its class is above this.
        nms: measure of overlap.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    boxes = np.ascontiguousarray(np.asarray(boxes_xyxy, np.float32)[order])
    survivors = _suppress(
        boxes, np.ascontiguousarray(np.asarray(classes, np.int64)[order]), float(iou_threshold), nms == "diou"
    )
    return order[survivors]


def _areas(boxes_xyxy: Float32[np.ndarray, "box 4"]) -> Float32[np.ndarray, " box"]:
    return np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None).prod(axis=1)


@compiled(inline="always")
def _centre_distance(box: Float32[np.ndarray, "4"], other: Float32[np.ndarray, "4"]) -> float:
    """Squared distance of the centres over the squared diagonal of the smallest box around both, 0..1."""
    across = (box[0] + box[2] - other[0] - other[2]) / 2
    down = (box[1] + box[3] - other[1] - other[3]) / 2
    width = max(box[2], other[2]) - min(box[0], other[0])
    height = max(box[3], other[3]) - min(box[1], other[1])
    return float((across**2 + down**2) / (width**2 + height**2))


@compiled()
def _suppress(
    boxes: Float32[np.ndarray, "box 4"], classes: Int64[np.ndarray, " box"], iou_threshold: float, by_distance: bool
) -> Int64[np.ndarray, " survivor"]:
    keep = np.ones(len(boxes), np.bool_)
    for i in range(len(boxes)):
        if not keep[i]:
            continue
        area_i = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
        for j in range(i + 1, len(boxes)):
            if not keep[j] or classes[i] != classes[j]:
                continue
            width = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            height = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            if width <= 0 or height <= 0:
                continue
            overlap = width * height
            area_j = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
            union = area_i + area_j - overlap
            if by_distance:
                overlap -= union * _centre_distance(boxes[i], boxes[j])
            if overlap > iou_threshold * union:
                keep[j] = False
    return np.flatnonzero(keep)
