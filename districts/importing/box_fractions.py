"""Boxes as fractions of their picture: what of them lies within it, and the crop that they show."""

from collections import Counter

import numpy as np

from districts.importing.annotated import Fractions

_OUTSIDE = 0.005  # of the picture's size: less is rounding


def clipped(xyxy: Fractions) -> Fractions | None:
    """The part of a box within the picture; None if there is none.

    Example:
        >>> clipped((-0.5, 0.0, 0.5, 1.0000001)), clipped((1.0, 0.0, 1.5, 1.0))
        ((0.0, 0.0, 0.5, 1.0), None)
    """
    left, top, right, bottom = (min(max(value, 0.0), 1.0) for value in xyxy)
    return (left, top, right, bottom) if left < right and top < bottom else None


def is_outside(xyxy: Fractions) -> bool:
    """Whether a box reaches out of the picture by more than rounding."""
    return min(xyxy) < -_OUTSIDE or max(xyxy) > 1 + _OUTSIDE


class BoxCounts(Counter[str]):
    """What became of the boxes of a source."""

    def take(self, xyxy: Fractions) -> Fractions | None:
        """The box within the picture, counted; None if it has no area there."""
        inside = clipped(xyxy)
        self["taken" if inside else "empty"] += 1
        self["clipped"] += inside is not None and is_outside(xyxy)
        return inside

    def notes(self) -> list[str]:
        """Sentences on boxes that were changed or left out."""
        said = []
        if self["clipped"]:
            said.append(f"{self['clipped']} boxes reach out of their picture; cut to it")
        if self["empty"]:
            said.append(f"{self['empty']} boxes have no area within their picture; left out")
        return said


def cut(picture: np.ndarray, xyxy: Fractions) -> np.ndarray:
    """The part of `picture` (`uint8 [height, width, 3]`) in a box within it; at least one pixel."""
    height, width = picture.shape[:2]
    left, top = min(int(xyxy[0] * width), width - 1), min(int(xyxy[1] * height), height - 1)
    right, bottom = max(left + 1, round(xyxy[2] * width)), max(top + 1, round(xyxy[3] * height))
    return picture[top:bottom, left:right]
