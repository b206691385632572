"""How a frame is shown: turned and mirrored as its video says, with square pixels.

Telephones and turned cameras store their frames lying down with a display matrix. Analogue cameras and their recorders
store 720 × 576 pixels for a picture of 4:3 or 16:9.
"""

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer, Type

_MATRIX = struct.Struct("=9i")  # rows a b u, c d v, x y w: a point (x, y) is shown at (a·x + c·y, b·x + d·y)
_LARGEST_ASPECT = 4  # of a pixel; beyond, the file is wrong about it


def shown(picture: av.VideoFrame, aspect: Fraction | None, most_pixels: int, scale: float = 1.0) -> np.ndarray:
    """`picture` as it is shown: uint8 `[height, width, 3]` RGB.

    Args:
        picture: a decoded frame, as it is stored.
        aspect: width of its pixels divided by their height; None if unknown.
        most_pixels: a picture that would get larger is scaled down instead of up.
        scale: by which its size is multiplied.
    """
    square = square_size(picture.width, picture.height, aspect, most_pixels)
    width, height = (max(1, round(side * scale)) for side in square)
    image = picture.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(_turned(image, _matrix_of(picture)))


def upright(picture: av.VideoFrame) -> np.ndarray:
    """`picture` turned and mirrored as its video says, in stored pixels: uint8 `[height, width, 3]` RGB."""
    return np.ascontiguousarray(_turned(picture.to_ndarray(format="rgb24"), _matrix_of(picture)))


def square_size(width: int, height: int, aspect: Fraction | None, most_pixels: int) -> tuple[int, int]:
    """Width and height with square pixels, if `aspect` is plausible; the shorter pixel side is scaled up.

    Example:
        >>> square_size(720, 576, Fraction(16, 15), 10**6), square_size(720, 480, Fraction(8, 9), 10**6)
        ((768, 576), (720, 540))
        >>> square_size(720, 576, Fraction(0), 10**6), square_size(720, 576, Fraction(900), 10**6)
        ((720, 576), (720, 576))
    """
    if not aspect or aspect == 1 or not Fraction(1, _LARGEST_ASPECT) <= aspect <= _LARGEST_ASPECT:
        return width, height
    scales_up = width * height * max(aspect, 1 / aspect) <= most_pixels
    if (aspect > 1) == scales_up:
        return max(1, round(width * aspect)), height
    return width, max(1, round(height / aspect))


def scale_of(picture: av.VideoFrame, aspect: Fraction | None, most_pixels: int) -> tuple[float, float]:
    """Pixels that `shown` makes of one stored pixel, across and down the upright picture."""
    width, height = square_size(picture.width, picture.height, aspect, most_pixels)
    across, down = width / picture.width, height / picture.height
    matrix = _matrix_of(picture)
    return (down, across) if matrix is not None and _is_lying(matrix) else (across, down)


def is_turned(picture: av.VideoFrame) -> bool:
    """Whether `shown` turns or mirrors it."""
    return _matrix_of(picture) is not None


def description(picture: av.VideoFrame, aspect: Fraction | None) -> str | None:
    """What `shown` changes of a frame, in words; None if nothing."""
    said = []
    matrix = _matrix_of(picture)
    if matrix is not None:
        mirrored = matrix[0] * matrix[3] - matrix[1] * matrix[2] < 0
        said.append(f"turned by {picture.rotation % 360}°{' and mirrored' if mirrored else ''}")
    if square_size(1000, 1000, aspect, 10**7) != (1000, 1000) and aspect is not None:
        said.append(f"pixels of {aspect.numerator}:{aspect.denominator} made square")
    return ", ".join(said) or None


def _matrix_of(picture: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """a, b, c, d of the display matrix; None if it changes nothing."""
    # With `picture.side_data` the picture would refer to itself, and stay in memory until Python looks for cycles.
    side_data = SideDataContainer(picture)  # type: ignore[call-arg]  # its stub lacks the argument
    data = cast(Mapping[Type, SideData], side_data).get(Type.DISPLAYMATRIX)
    if data is None or data.buffer_size < _MATRIX.size:
        return None
    a, b, _, c, d, *_ = _MATRIX.unpack(bytes(data)[: _MATRIX.size])
    is_upright = a > 0 and d > 0 and max(abs(b), abs(c)) <= min(a, d)
    return None if is_upright or not (a * d - b * c) else (a, b, c, d)


def _is_lying(matrix: tuple[int, int, int, int]) -> bool:
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)


def _turned(image: np.ndarray, matrix: tuple[int, int, int, int] | None) -> np.ndarray:
    """`image` by the quarter turn and the mirror that are nearest to `matrix`."""
    if matrix is None:
        return image
    a, b, c, d = matrix
    if _is_lying(matrix):  # rows become columns
        image = image.transpose(1, 0, 2)
        across, down = c, b
    else:
        across, down = a, d
    return image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
