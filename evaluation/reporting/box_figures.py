"""Pictures of single boxes: a part of the picture around each, with the box drawn into it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from domain.images import read_image, write_image

_SIDE_PX, _CAPTION_PX, _GAP_PX, _A_ROW = 200, 18, 6, 6
_AROUND = 1.0  # of the box's longer side, on each side
_COLOUR, _WHITE, _TEXT = (197, 48, 48), 255, (45, 55, 72)


@dataclass(frozen=True)
class BoxedPicture:
    """A box in a picture."""

    image: Path
    box_xyxy: Float32[np.ndarray, "4"]  # pixels of the picture
    caption: str  # below; few characters, ASCII


def plot_boxes(pictures: Sequence[BoxedPicture], file: Path) -> None:
    """Write the boxes in rows of six."""
    cells = [_cell(each) for each in pictures]
    empty = np.full_like(cells[0], _WHITE)
    cells += [empty] * (-len(cells) % min(_A_ROW, len(cells)))
    a_row = min(_A_ROW, len(cells))
    rows = [np.concatenate(cells[first : first + a_row], axis=1) for first in range(0, len(cells), a_row)]
    write_image(file, np.concatenate(rows))


def _cell(boxed: BoxedPicture) -> UInt8[np.ndarray, "height width 3"]:
    image = read_image(boxed.image)
    left, top, right, bottom = (float(value) for value in boxed.box_xyxy)
    half = max(right - left, bottom - top, 1) * (0.5 + _AROUND)
    scale = _SIDE_PX / (2 * half)
    origin = (left + right) / 2 - half, (top + bottom) / 2 - half
    place = np.array([[scale, 0, -origin[0] * scale], [0, scale, -origin[1] * scale]])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    part = cv2.warpAffine(image, place, (_SIDE_PX, _SIDE_PX), flags=method, borderValue=(_WHITE,) * 3)
    low, high = (
        tuple(round((value - start) * scale) for value, start in zip(corner, origin, strict=True))
        for corner in ((left, top), (right, bottom))
    )
    cv2.rectangle(part, low, high, _COLOUR, 2)
    cell = cv2.copyMakeBorder(part, 0, _CAPTION_PX, 0, _GAP_PX, cv2.BORDER_CONSTANT, value=(_WHITE,) * 3)
    cv2.putText(cell, boxed.caption, (2, _SIDE_PX + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _TEXT, 1, cv2.LINE_AA)
    return cell
