"""Z-buffer: the nearest shape at each pixel. Compiled by numba.

Depth is measured along the view's `forward`. Drawing is at twice the picture's size, then averaged: smooth edges.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from districts.demo.solids import FAR, NEAR, hit

OVERSAMPLING = 2


class View(NamedTuple):
    """A pinhole camera in the world (x east, y north, z up, metres)."""

    eye: np.ndarray  # float64 [3]
    axes: np.ndarray  # float64 [3, 3]: rows right, down, forward
    focal_px: float  # at the drawn size, which is OVERSAMPLING times the picture's
    width: int  # drawn size
    height: int


class Canvas(NamedTuple):
    """Buffers of a drawing, each `[height, width]` at the drawn size."""

    depth: np.ndarray  # float32: distance along the view's forward
    nearest: np.ndarray  # int32: index of the nearest shape, -1 without a shape
    stamp: np.ndarray  # int32: the last thing drawn at the pixel, also where hidden


def blank_canvas(view: View) -> Canvas:
    """A canvas without any shape."""
    size = view.height, view.width
    return Canvas(np.full(size, FAR, np.float32), np.full(size, -1, np.int32), np.full(size, -1, np.int32))


def look(eye: np.ndarray, heading: float, pitch: float, field_of_view: float, size: tuple[int, int]) -> View:
    """View of a camera at `eye`; `heading` is counter-clockwise from east, `pitch` downwards, in radians.

    Args:
        field_of_view: horizontal, radians.
        size: width and height of the picture.
    """
    forward = np.array([math.cos(heading) * math.cos(pitch), math.sin(heading) * math.cos(pitch), -math.sin(pitch)])
    right = np.array([math.sin(heading), -math.cos(heading), 0.0])
    width, height = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
    focal_px = width / 2 / math.tan(field_of_view / 2)
    return View(
        np.asarray(eye, np.float64), np.stack([right, np.cross(forward, right), forward]), focal_px, width, height
    )


@njit(cache=True, fastmath=True)
def _screen_bounds(row: np.ndarray, view: View) -> tuple[float, float, float, float]:
    """Unclipped left, top, right, bottom of the shape's corners; the whole screen if a corner is behind the eye."""
    eye, axes, focal, width, height = view
    left, top, right, bottom = FAR, FAR, -FAR, -FAR
    reach = max(row[13], row[14])
    for corner in range(8):
        x, y, z = -1.0 + 2 * (corner & 1), -1.0 + 1 * (corner & 2), -1.0 + 0.5 * (corner & 4)
        if row[0] == 1:
            x, y, z = x * reach, y * reach, (z + 1) / 2
        px = row[1] + row[27] * x + row[28] * y + row[29] * z - eye[0]
        py = row[2] + row[30] * x + row[31] * y + row[32] * z - eye[1]
        pz = row[3] + row[33] * x + row[34] * y + row[35] * z - eye[2]
        depth = axes[2, 0] * px + axes[2, 1] * py + axes[2, 2] * pz
        if depth < NEAR or row[0] == 3:
            return 0.0, 0.0, float(width), float(height)
        u = width / 2 + focal * (axes[0, 0] * px + axes[0, 1] * py + axes[0, 2] * pz) / depth
        v = height / 2 + focal * (axes[1, 0] * px + axes[1, 1] * py + axes[1, 2] * pz) / depth
        left, top, right, bottom = min(left, u), min(top, v), max(right, u), max(bottom, v)
    return left, top, right, bottom


@njit(cache=True, fastmath=True)
def draw(shapes: np.ndarray, first: int, thing: int, view: View, canvas: Canvas, extent: np.ndarray) -> int:
    """Draw a thing, such as a person, into `canvas`; its shapes are numbered from `first`.

    Args:
        thing: stamp of its pixels; a new number for each thing drawn.
        extent: output, float64 [8]: left, top, right, bottom of the pixels it covers inside the picture, hidden ones
            included; then the bounds of its shapes, not clipped to the picture.

    Returns:
        Number of drawn pixels it covers, hidden ones included.
    """
    eye, axes, focal, width, height = view
    depth, index, stamp = canvas
    covered = 0
    extent[0:2], extent[2:4], extent[4:6], extent[6:8] = FAR, -FAR, FAR, -FAR
    for shape in range(len(shapes)):
        row = shapes[shape]
        left, top, right, bottom = _screen_bounds(row, view)
        extent[4], extent[5] = min(extent[4], left), min(extent[5], top)
        extent[6], extent[7] = max(extent[6], right), max(extent[7], bottom)
        if right < 0 or bottom < 0 or left >= width or top >= height:
            continue
        m = row[4:13]
        ex, ey, ez = eye[0] - row[1], eye[1] - row[2], eye[2] - row[3]
        ox = m[0] * ex + m[1] * ey + m[2] * ez
        oy = m[3] * ex + m[4] * ey + m[5] * ez
        oz = m[6] * ex + m[7] * ey + m[8] * ez
        steps = np.empty((3, 3))  # unit-space direction = steps[2] + u * steps[0] + v * steps[1]
        for part in range(3):
            for axis in range(3):
                steps[axis, part] = (
                    m[3 * part] * axes[axis, 0] + m[3 * part + 1] * axes[axis, 1] + m[3 * part + 2] * axes[axis, 2]
                )
        for v in range(max(0, int(top)), min(height, int(bottom) + 2)):
            down = (v + 0.5 - height / 2) / focal
            for u in range(max(0, int(left)), min(width, int(right) + 2)):
                across = (u + 0.5 - width / 2) / focal
                dx = steps[2, 0] + across * steps[0, 0] + down * steps[1, 0]
                dy = steps[2, 1] + across * steps[0, 1] + down * steps[1, 1]
                dz = steps[2, 2] + across * steps[0, 2] + down * steps[1, 2]
                t = hit(ox, oy, oz, dx, dy, dz, row)
                if t >= FAR:
                    continue
                if stamp[v, u] != thing:
                    stamp[v, u] = thing
                    covered += 1
                    extent[0], extent[1] = min(extent[0], u), min(extent[1], v)
                    extent[2], extent[3] = max(extent[2], u + 1), max(extent[3], v + 1)
                if t < depth[v, u]:
                    depth[v, u] = t
                    index[v, u] = first + shape
    return covered
