"""Selects the person to search for in a photo.

The detector is trained on scenes. In a photo that one person fills, such as a crop of a video, it may detect a part of
the person or nothing; with a margin around the photo it detects the whole person.
"""

from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from domain.boxes import Detections, pairwise_iou
from domain.errors import InputError
from domain.images import LETTERBOX_GREY, crop_boxes, stretch
from serving.perception.perception import Perception
from serving.search.metrics import STAGE_SECONDS

_Pixel = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Box = tuple[_Pixel, _Pixel, _Pixel, _Pixel]  # left, top, right, bottom, pixels
_SAME_PERSON_IOU = 0.3  # minimum IoU of a hand-drawn box with a detection of the same person
_MIN_SIDE_PX = 8  # smaller boxes show no person
_PERSON_ASPECT = 1.5  # minimum height / width of a photo that one person may fill; most crops of people have about 2
_FILLING = 0.5  # minimum share of such a photo that the box of a person who fills it covers
_FRAMED_HEIGHT_PX, _MARGIN_PX = 256, 256  # height of such a photo and its margin, as the detector gets them


class PeopleInPhoto(NamedTuple):
    """The person to search for in a photo, and everybody who was detected in it."""

    selected: Box | None  # None: the whole photo
    detected: list[Box]  # surely people, the likeliest to be meant first


def select_person(perception: Perception, image: np.ndarray, drawn: Box | None = None) -> Box | None:
    """Box of the person to search for in `image`, see `people_in_photo`."""
    return people_in_photo(perception, image, drawn).selected


@STAGE_SECONDS.labels("detect").time()
def people_in_photo(perception: Perception, image: np.ndarray, drawn: Box | None = None) -> PeopleInPhoto:
    """The person to search for in `image`, `uint8 [height, width, 3]` RGB, and the people in it.

    Without a drawn box: the detection with the largest area × score; None without any, or if this person fills an image
    of a person's shape.
    With a drawn box: the detection with the highest IoU, if it is high enough; else the smallest detection around the
    drawn box, which may be a point; else the drawn box itself.

    Args:
        perception: its detector finds the people.
        image: the photo.
        drawn: box around the person, or on the person, drawn by the user; None if the user drew none.

    Raises:
        InputError: if `drawn` is not in the image, or is too small to show a person and no detection is around it.
    """
    height, width = image.shape[:2]
    may_fill = height >= _PERSON_ASPECT * width
    people = _detect_with_margin(perception, image) if may_fill else perception.detect([image])[0]
    areas = np.prod(people.boxes_xyxy[:, 2:] - people.boxes_xyxy[:, :2], axis=1)
    rank = np.where(people.scores >= perception.strong_score, areas * people.scores, 0.0)
    order = np.argsort(-rank, kind="stable")[: np.count_nonzero(rank)]
    detected = [_box(people.boxes_xyxy[index]) for index in order]
    if drawn is not None:
        return PeopleInPhoto(_drawn_person(people.boxes_xyxy, image, drawn), detected)
    fills = may_fill and bool(detected) and areas[order[0]] >= _FILLING * height * width
    return PeopleInPhoto(None if fills or not detected else detected[0], detected)


def _drawn_person(boxes: np.ndarray, image: np.ndarray, drawn: Box) -> Box:
    """The detection that `drawn` means; the drawn box itself if it means none."""
    _require_in_picture(drawn, image)
    overlaps = pairwise_iou(np.array([drawn], np.float32), boxes)[0]
    if len(boxes) and overlaps.max() >= _SAME_PERSON_IOU:
        return _box(boxes[overlaps.argmax()])
    left, top, right, bottom = drawn
    around = boxes[(boxes[:, :2] <= [left, top]).all(axis=1) & (boxes[:, 2:] >= [right, bottom]).all(axis=1)]
    if len(around):
        return _box(min(around, key=lambda box: np.prod(box[2:] - box[:2])))
    if min(right - left, bottom - top) < _MIN_SIDE_PX:
        raise InputError(
            f"people_xyxy must point at a person, got {list(drawn)} without a person there; draw a box around the "
            "person",
            code="nobody_there",
        )
    return drawn


def crop_of(image: np.ndarray, box: Box | None) -> np.ndarray:
    """The part of `image` inside `box`; without a box, all of it."""
    return image if box is None else crop_boxes(image, np.array([box]))[0]


def scaled(box: Box, scale: tuple[float, float]) -> Box:
    """`box` in pixels of the picture scaled by `scale`, across and down.

    Example:
        >>> scaled((10.0, 20.0, 30.0, 41.5), (0.5, 2.0))
        (5.0, 40.0, 15.0, 83.0)
    """
    if scale == (1, 1):
        return box
    across, down = scale
    left, top, right, bottom = box
    return round(left * across, 1), round(top * down, 1), round(right * across, 1), round(bottom * down, 1)


def _detect_with_margin(perception: Perception, image: np.ndarray) -> Detections:
    """Detections of people in `image` with a margin around it; boxes in pixels of `image`."""
    small = stretch(image, _FRAMED_HEIGHT_PX, max(1, round(image.shape[1] * _FRAMED_HEIGHT_PX / image.shape[0])))
    framed = np.pad(
        small.image, ((_MARGIN_PX, _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX), (0, 0)), constant_values=LETTERBOX_GREY
    )
    people = perception.detect([framed])[0]
    return replace(people, boxes_xyxy=small.boxes_to_original(people.boxes_xyxy - _MARGIN_PX))


def _box(box_xyxy: np.ndarray) -> Box:
    left, top, right, bottom = box_xyxy.round(1).tolist()
    return left, top, right, bottom


def _require_in_picture(box: Box, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    left, top, right, bottom = box
    if not (left < right and top < bottom and left < width and top < height and right > 0 and bottom > 0):
        raise InputError(
            f"people_xyxy must contain boxes [left, top, right, bottom] in an image of {width} × {height} pixels, "
            f"got {list(box)}",
            code="box_outside",
        )
