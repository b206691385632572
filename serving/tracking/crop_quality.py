"""Quality of crops: how well a box shows its person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Real, UInt8

from domain.tracklets import FullFrame

_MEASURED_SIZE_PX = (32, 64)  # width, height; sharpness is measured at one size, independent of the distance
_HALF_SHARPNESS = 150.0  # variance of the Laplacian at which the factor is 0.5
_HALF_HEIGHT_PX = 64.0  # height of a box at which the factor is 0.5
_BORDER = 0.01  # fraction of the frame's size; a box nearer to the border counts as cut by it
_CUT_FACTOR = 0.5


@dataclass(frozen=True)
class CropFeatures:
    """Crops of one frame with their embeddings and qualities, in the order of `FramePlan.to_embed`."""

    embeddings: Float32[np.ndarray, "crop feature"]  # unit length
    qualities: Float64[np.ndarray, " crop"]  # 0..1
    crops: list[UInt8[np.ndarray, "_ _ 3"]]  # [height, width, 3] RGB, may be views of the frame
    full_frame: Callable[[], FullFrame] | None = None  # encodes the frame when it is first called; None keeps no frame
    # By other models' versions; they do not take part in the association.
    more_embeddings: Mapping[str, Float32[np.ndarray, "crop _"]] = field(default_factory=dict)


def crop_qualities(
    image: UInt8[np.ndarray, "height width 3"],
    boxes_xyxy: Real[np.ndarray, "box 4"],
    scores: Float[np.ndarray, " box"],
    selected: Int[np.ndarray, " crop"],
    crops: list[UInt8[np.ndarray, "_ _ 3"]],
) -> Float64[np.ndarray, " crop"]:
    """Quality of the selected boxes, in 0..1: score × size × sharpness × visible part × not cut.

    Args:
        image: the frame.
        boxes_xyxy: boxes of all people in the frame, because they hide each other.
        scores: 0..1.
        selected: indices of boxes.
        crops: the images of the selected boxes.
    """
    boxes = np.asarray(boxes_xyxy, np.float64)[selected]
    heights = boxes[:, 3] - boxes[:, 1]
    size = heights / (heights + _HALF_HEIGHT_PX)
    sharp = np.array([_sharpness(crop) for crop in crops], np.float64)
    visible = visible_fractions(boxes_xyxy)[selected]
    cut = np.where(_touches_border(boxes, image.shape[:2]), _CUT_FACTOR, 1.0)
    return np.asarray(scores, np.float64)[selected] * size * (sharp / (sharp + _HALF_SHARPNESS)) * visible * cut


def visible_fractions(boxes_xyxy: Real[np.ndarray, "box 4"]) -> Float64[np.ndarray, " box"]:
    """Fraction of each box that the most overlapping nearer box leaves visible, in 0..1.

    A person whose box ends lower in the picture is nearer.

    Example:
        >>> visible_fractions(np.array([[0, 0, 10, 20], [5, 0, 15, 30]]))
        array([0.5, 1. ])
    """
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    areas = np.clip(boxes[:, 2:] - boxes[:, :2], 1e-6, None).prod(axis=1)
    covered = np.where(nearer, overlap, 0).max(axis=1, initial=0) / areas
    return 1 - np.clip(covered, 0, 1)


def _sharpness(crop: UInt8[np.ndarray, "height width 3"]) -> float:
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(cv2.resize(grey, _MEASURED_SIZE_PX, interpolation=cv2.INTER_AREA), cv2.CV_32F).var())


def _touches_border(boxes: Float64[np.ndarray, "box 4"], size: tuple[int, ...]) -> Bool[np.ndarray, " box"]:
    height, width = size
    margin_x, margin_y = width * _BORDER, height * _BORDER
    low = (boxes[:, 0] <= margin_x) | (boxes[:, 1] <= margin_y)
    return low | (boxes[:, 2] >= width - margin_x) | (boxes[:, 3] >= height - margin_y)
