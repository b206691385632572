"""Pictures of ranked crops: each query beside its answers, in green (correct) or red (wrong) frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from domain.images import read_image, write_image

_HEIGHT_PX, _WIDTH_PX, _FRAME_PX, _GAP_PX, _CAPTION_PX = 128, 64, 4, 6, 18
_A_ROW = 10
_RIGHT, _WRONG, _QUERY = (47, 133, 90), (197, 48, 48), (45, 55, 72)
_WHITE, _TEXT = 255, (45, 55, 72)


@dataclass(frozen=True)
class RankedCrop:
    """A crop that was ranked for a query."""

    image: Path
    right: bool
    caption: str = ""  # below the crop; few characters, ASCII


@dataclass(frozen=True)
class RankedRow:
    """A query and its answers, the best first."""

    query: Path
    answers: tuple[RankedCrop, ...]
    caption: str = ""


def plot_ranked_crops(rows: Sequence[RankedRow], file: Path) -> None:
    """Write one row for each query: its crop, a gap, and its answers in frames."""
    num_crops = max(len(row.answers) for row in rows)
    strips = [_strip(row, num_crops) for row in rows]
    write_image(file, np.concatenate(strips))


def plot_crops(crops: Sequence[RankedCrop], file: Path) -> None:
    """Write crops in rows of ten, without queries."""
    cells = [_cell(crop.image, _RIGHT if crop.right else _WRONG, crop.caption) for crop in crops]
    a_row = min(_A_ROW, len(cells))
    cells += [np.full_like(cells[0], _WHITE)] * (-len(cells) % a_row)
    rows = [np.concatenate(cells[first : first + a_row], axis=1) for first in range(0, len(cells), a_row)]
    write_image(file, np.concatenate(rows))


def _strip(row: RankedRow, num_crops: int) -> UInt8[np.ndarray, "height width 3"]:
    cells = [_cell(row.query, _QUERY, row.caption), np.full((_cell_height(), 2 * _GAP_PX, 3), _WHITE, np.uint8)]
    cells += [_cell(crop.image, _RIGHT if crop.right else _WRONG, crop.caption) for crop in row.answers]
    empty = np.full((_cell_height(), _WIDTH_PX + 2 * _FRAME_PX + _GAP_PX, 3), _WHITE, np.uint8)
    cells += [empty] * (num_crops - len(row.answers))
    return np.concatenate(cells, axis=1)


def _cell(image: Path, colour: tuple[int, int, int], caption: str) -> UInt8[np.ndarray, "height width 3"]:
    crop = cv2.resize(read_image(image), (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA)
    framed = cv2.copyMakeBorder(crop, _FRAME_PX, _FRAME_PX, _FRAME_PX, _FRAME_PX, cv2.BORDER_CONSTANT, value=colour)
    below = _CAPTION_PX + _GAP_PX
    cell = cv2.copyMakeBorder(framed, 0, below, 0, _GAP_PX, cv2.BORDER_CONSTANT, value=(_WHITE,) * 3)
    baseline = 2 * _FRAME_PX + _HEIGHT_PX + _CAPTION_PX - 5
    cv2.putText(cell, caption, (0, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.36, _TEXT, 1, cv2.LINE_AA)
    return cell


def _cell_height() -> int:
    return _HEIGHT_PX + 2 * _FRAME_PX + _CAPTION_PX + _GAP_PX
