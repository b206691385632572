"""Covers everybody but one person in a picture.

A cover has one colour: a blur, however strong, leaves the colours of the clothes, by which re-ID knows people.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from domain.boxes import pairwise_iou
from domain.images import Picture

Box = Float[np.ndarray, " 4"]  # left, top, right, bottom, pixels
GREY = 128
_WIDER, _LEAST_WIDER_PX = 0.08, 2.0  # of a box at each side: hair, bags, and what the box was off by
_SAME = 0.6  # intersection over union from which on a box is another one round the same person
_IN_FRONT = 0.02  # of the height by which the lower edge of who stands in front is lower


def cover_others(picture: Picture, person: Box, tracked: Sequence[Box], detected: Sequence[Box]) -> Picture:
    """A copy of `picture` with a grey cover on everybody but the person.

    Where a box overlaps that of the person, the person stays in view, but not behind somebody who is tracked and stands
    in front, and beside others who are tracked only where the middle of the person's box is the nearer one. Boxes that
    are another one round the person cover nothing.

    Args:
        picture: a full frame.
        person: box of who stays in view.
        tracked: boxes of other tracks.
        detected: boxes of a detector, which may be wrong.

    Example:
        >>> white = np.full((10, 30, 3), 255, np.uint8)
        >>> covered = cover_others(white, np.array([2.0, 0, 8, 10]), [np.array([16.0, 0, 22, 10])], [])
        >>> covered[5, ::3, 0].tolist()
        [255, 255, 255, 255, 255, 128, 128, 128, 255, 255]
    """
    covered, own = picture.copy(), _inside(person, picture)
    tracked, detected = ([box for box in boxes if overlap(box, person) < _SAME] for boxes in (tracked, detected))
    for other in (*tracked, *detected):
        covered[_inside(_wider(other), picture)] = GREY
    covered[own] = picture[own]
    for other in tracked:
        rows, columns = _inside(_wider(other), picture)
        is_in_front = float(other[3] - person[3]) > _IN_FRONT * picture.shape[0]
        covered[rows, columns if is_in_front else _nearer(other, person, columns)] = GREY
    return covered


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    return float(pairwise_iou(one[None], other[None])[0, 0])


def _wider(box: Box) -> Box:
    aside = np.maximum(_WIDER * (box[2:] - box[:2]), _LEAST_WIDER_PX)
    return np.concatenate([box[:2] - aside, box[2:] + aside])


def _nearer(other: Box, person: Box, columns: slice) -> slice:
    """The part of `columns` to which the middle of the other box is nearer than that of the person's."""
    middle, own = (float(box[0] + box[2]) / 2 for box in (other, person))
    border = round((middle + own) / 2)
    if middle < own:
        return slice(columns.start, min(columns.stop, border))
    return slice(max(columns.start, border), columns.stop)


def _inside(box: Box, picture: Picture) -> tuple[slice, slice]:
    height, width = picture.shape[:2]
    left, top = np.floor(np.clip(box[:2], 0, (width, height))).astype(int).tolist()
    right, bottom = np.ceil(np.clip(box[2:], 0, (width, height))).astype(int).tolist()
    return slice(top, bottom), slice(left, right)
