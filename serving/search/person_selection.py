"""Which person of a photo is meant.

A detector has learnt from people in a scene. In a photo that one person fills, such as a crop of a video, it may find
a part of them or nobody; with a margin around the photo it finds them whole.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from domain.boxes import Detections, pairwise_iou
from domain.errors import InputError
from domain.images import LETTERBOX_GREY, crop_boxes, stretch
from serving.perception.perception import Perception
from serving.search.metrics import STAGE_SECONDS

_Pixel = Annotated[float, Field(allow_inf_nan=False)]
Box = tuple[_Pixel, _Pixel, _Pixel, _Pixel]  # left, top, right, bottom, pixels
_SAME_PERSON_IOU = 0.3  # a box drawn by hand overlaps the detector's at least so much if it means the same person
_LEAST_SIDE_PX = 8  # less shows nobody
_PERSON_SHAPED = (
    1.5  # height to width, from which on one person may fill a photo; crops of people are mostly twice as high
)
_FILLING = 0.5  # whose box covers so much of such a photo fills it
_FRAMED_HEIGHT_PX, _MARGIN_PX = 256, 256  # of such a photo as the detector sees it, and around it


@STAGE_SECONDS.labels("detect").time()
def person_in(perception: Perception, image: np.ndarray, pointed: Box | None = None) -> Box | None:
    """Box of the person who is meant in `image`, `uint8 [height, width, 3]` RGB; None where it is all of the picture.

    Without `pointed`, of the people that the detector finds, the one whose box is largest and most certain (area ×
    score); None where it finds nobody, or one who fills a photo that is shaped like a person. With it the person whose
    box overlaps it most, else the smallest around it, such as around a point; where there is none, the box itself.

    Raises:
        InputError: if `pointed` is no box in the picture, or too small to show a person, and nobody is around it.
    """
    height, width = image.shape[:2]
    may_fill = height >= _PERSON_SHAPED * width
    found = _within_margin(perception, image) if may_fill else perception.detect([image])[0]
    boxes = found.boxes_xyxy
    if pointed is not None:
        _require_in_picture(pointed, image)
        overlaps = pairwise_iou(np.array([pointed], np.float32), boxes)[0]
        if len(boxes) and overlaps.max() >= _SAME_PERSON_IOU:
            return _box(boxes[overlaps.argmax()])
        left, top, right, bottom = pointed
        around = boxes[(boxes[:, :2] <= [left, top]).all(axis=1) & (boxes[:, 2:] >= [right, bottom]).all(axis=1)]
        if len(around):
            return _box(min(around, key=lambda box: np.prod(box[2:] - box[:2])))
        if min(right - left, bottom - top) < _LEAST_SIDE_PX:
            raise InputError(f"people_xyxy must point at a person, nobody is found around {list(pointed)}; draw a box")
        return pointed
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    worth = np.where(found.scores >= perception.strong_score, areas * found.scores, 0.0)
    if not worth.any():
        return None
    meant = worth.argmax()
    fills = may_fill and areas[meant] >= _FILLING * height * width
    return None if fills else _box(boxes[meant])


def crop_of(image: np.ndarray, box: Box | None) -> np.ndarray:
    """The part of `image` in `box`; all of it where there is none."""
    return image if box is None else crop_boxes(image, np.array([box]))[0]


def _within_margin(perception: Perception, image: np.ndarray) -> Detections:
    """People in `image`, in its pixels, as the detector finds them with a margin around it."""
    small = stretch(image, _FRAMED_HEIGHT_PX, max(1, round(image.shape[1] * _FRAMED_HEIGHT_PX / image.shape[0])))
    framed = np.pad(
        small.image, ((_MARGIN_PX, _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX), (0, 0)), constant_values=LETTERBOX_GREY
    )
    found = perception.detect([framed])[0]
    return replace(found, boxes_xyxy=small.boxes_to_original(found.boxes_xyxy - _MARGIN_PX))


def _box(box_xyxy: np.ndarray) -> Box:
    left, top, right, bottom = box_xyxy.round(1).tolist()
    return left, top, right, bottom


def _require_in_picture(box: Box, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    left, top, right, bottom = box
    if not (left < right and top < bottom and left < width and top < height and right > 0 and bottom > 0):
        raise InputError(
            f"people_xyxy must hold boxes [left, top, right, bottom] in a picture of {width} × {height} pixels, "
            f"got {list(box)}"
        )
