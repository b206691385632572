"""Lighting: sun with shadows, sky, street lamp and haze; composes people and lit scenery. Compiled by numba."""

import math

import numpy as np
from numba import njit

from districts.demo.patterns import surface_colour
from districts.demo.rasteriser import Canvas, View
from districts.demo.solids import FAR, hit, unit_normal


@njit(cache=True, fastmath=True)
def _world_point(view: View, column: float, row: float, depth: float) -> tuple[float, float, float]:
    """World point seen at a position of the drawn picture, by its depth."""
    eye, axes = view.eye, view.axes
    across, down = (column - view.width / 2) / view.focal_px, (row - view.height / 2) / view.focal_px
    return (
        eye[0] + depth * (axes[2, 0] + across * axes[0, 0] + down * axes[1, 0]),
        eye[1] + depth * (axes[2, 1] + across * axes[0, 1] + down * axes[1, 1]),
        eye[2] + depth * (axes[2, 2] + across * axes[0, 2] + down * axes[1, 2]),
    )


@njit(cache=True, fastmath=True)
def is_shaded(shapes: np.ndarray, x: float, y: float, z: float, towards: np.ndarray) -> bool:
    """Whether a shape blocks the light that comes to the point from direction `towards`."""
    for row in shapes:
        if row[0] == 3:
            continue
        ex, ey, ez = x - row[1], y - row[2], z - row[3]
        m = row[4:13]
        ox, oy, oz = (
            m[0] * ex + m[1] * ey + m[2] * ez,
            m[3] * ex + m[4] * ey + m[5] * ez,
            m[6] * ex + m[7] * ey + m[8] * ez,
        )
        dx = m[0] * towards[0] + m[1] * towards[1] + m[2] * towards[2]
        dy = m[3] * towards[0] + m[4] * towards[1] + m[5] * towards[2]
        dz = m[6] * towards[0] + m[7] * towards[1] + m[8] * towards[2]
        if hit(ox, oy, oz, dx, dy, dz, row) < FAR:
            return True
    return False


@njit(cache=True, fastmath=True)
def _surface(row: np.ndarray, px: float, py: float, pz: float, eye: np.ndarray, surface: np.ndarray) -> None:
    """Write into `surface` the unlit colour (3) and the normal towards the eye (3) of shape `row` at a world point."""
    ex, ey, ez = px - row[1], py - row[2], pz - row[3]
    m = row[4:13]
    x = m[0] * ex + m[1] * ey + m[2] * ez
    y = m[3] * ex + m[4] * ey + m[5] * ez
    z = m[6] * ex + m[7] * ey + m[8] * ez
    ux, uy, uz = unit_normal(row, x, y, z)
    nx, ny, nz = m[0] * ux + m[3] * uy + m[6] * uz, m[1] * ux + m[4] * uy + m[7] * uz, m[2] * ux + m[5] * uy + m[8] * uz
    length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    if nx * (eye[0] - px) + ny * (eye[1] - py) + nz * (eye[2] - pz) < 0:
        length = -length
    nx, ny, nz = nx / length, ny / length, nz / length
    surface[0], surface[1], surface[2] = surface_colour(row, x, y, z, px, py, pz, nx, nz)
    surface[3], surface[4], surface[5] = nx, ny, nz


@njit(cache=True, fastmath=True)
def _lit(
    surface: np.ndarray, px: float, py: float, pz: float, depth: float, sky: np.ndarray, sunlit: float
) -> tuple[float, float, float]:
    """Lit colour, from 0, may exceed 1, of a `surface` (see `_surface`) at a world point under `sky` (`Sky.array`)."""
    nx, ny, nz = surface[3], surface[4], surface[5]
    sun = sunlit * max(0.0, nx * sky[0] + ny * sky[1] + nz * sky[2])
    lamp = 0.0
    if sky[15] > 0:
        lx, ly, lz = sky[12] - px, sky[13] - py, sky[14] - pz
        away = math.sqrt(lx * lx + ly * ly + lz * lz)
        lamp = sky[15] * (0.25 + 0.75 * max(0.0, (nx * lx + ny * ly + nz * lz) / away)) / (1 + (away / 6) ** 2)
    from_above = 0.72 + 0.28 * nz
    red = surface[0] * (from_above * sky[6] + sun * sky[3] + lamp)
    green = surface[1] * (from_above * sky[7] + sun * sky[4] + 0.86 * lamp)
    blue = surface[2] * (from_above * sky[8] + sun * sky[5] + 0.62 * lamp)
    haze = 1 - math.exp(-sky[16] * depth)
    return red + haze * (sky[9] - red), green + haze * (sky[10] - green), blue + haze * (sky[11] - blue)


@njit(cache=True, fastmath=True)
def scenery_surfaces(shapes: np.ndarray, view: View, canvas: Canvas) -> np.ndarray:
    """Colour and normal (see `_surface`) of each drawn pixel, float32 [height, width, 6]; 0 without a shape."""
    surfaces = np.zeros((view.height, view.width, 6), np.float32)
    for v in range(view.height):
        for u in range(view.width):
            if canvas.nearest[v, u] >= 0:
                x, y, z = _world_point(view, u + 0.5, v + 0.5, canvas.depth[v, u])
                _surface(shapes[canvas.nearest[v, u]], x, y, z, view.eye, surfaces[v, u])
    return surfaces


@njit(cache=True, fastmath=True)
def light_scenery(surfaces: np.ndarray, view: View, canvas: Canvas, sky: np.ndarray, sunlit: np.ndarray) -> np.ndarray:
    """The scenery lit by `sky`, float32 [height, width, 3] at the drawn size; pixels without a shape show the sky."""
    colours = np.empty((view.height, view.width, 3), np.float32)
    for v in range(view.height):
        for u in range(view.width):
            depth, colour = canvas.depth[v, u], colours[v, u]
            if canvas.nearest[v, u] < 0:
                glow = 1.0 + 0.2 * v / view.height
                colour[0], colour[1], colour[2] = sky[9] * glow, sky[10] * glow, sky[11] * glow
                continue
            x, y, z = _world_point(view, u + 0.5, v + 0.5, depth)
            colour[0], colour[1], colour[2] = _lit(surfaces[v, u], x, y, z, depth, sky, sunlit[v // 2, u // 2])
    return colours


@njit(cache=True, fastmath=True)
def sun_reaches(shapes: np.ndarray, view: View, canvas: Canvas, towards: np.ndarray) -> np.ndarray:
    """1 where the sun reaches the scenery, 0 in shadow: float32 at the picture's size, half the drawn size."""
    height, width = view.height, view.width
    depth, index, _ = canvas
    reached = np.ones((height // 2, width // 2), np.float32)
    for v in range(height // 2):
        for u in range(width // 2):
            t = depth[2 * v, 2 * u] * 0.999 - 0.01
            if index[2 * v, 2 * u] < 0:
                continue
            x, y, z = _world_point(view, 2 * u + 0.5, 2 * v + 0.5, t)
            if is_shaded(shapes, x, y, z, towards):
                reached[v, u] = 0.0
    return reached


@njit(cache=True, fastmath=True)
def cast_shadow(
    bars: np.ndarray, darkness: float, softness: float, view: View, is_ground: np.ndarray, brightness: np.ndarray
) -> None:
    """Darken `brightness` (float32, picture's size) by a person's shadow, given as bars on the ground.

    Args:
        bars: float64 [bar, 5]: x, y of two ends and half the width, metres.
        is_ground: bool, picture's size; only the ground is darkened.
    """
    eye, axes = view.eye, view.axes
    height, width = brightness.shape
    half_focal = view.focal_px / 2
    left, top, right, bottom = FAR, FAR, -FAR, -FAR
    for bar in bars:
        reach = bar[4] * (1 + softness)
        for corner in range(8):
            end = 2 * (corner & 1)
            px = bar[end] + (reach if corner & 2 else -reach) - eye[0]
            py = bar[end + 1] + (reach if corner & 4 else -reach) - eye[1]
            away = max(0.5, axes[2, 0] * px + axes[2, 1] * py - axes[2, 2] * eye[2])
            u = width / 2 + half_focal * (axes[0, 0] * px + axes[0, 1] * py - axes[0, 2] * eye[2]) / away
            v = height / 2 + half_focal * (axes[1, 0] * px + axes[1, 1] * py - axes[1, 2] * eye[2]) / away
            left, top, right, bottom = min(left, u), min(top, v), max(right, u), max(bottom, v)
    for v in range(max(0, int(top)), min(height, int(bottom) + 1)):
        for u in range(max(0, int(left)), min(width, int(right) + 1)):
            if not is_ground[v, u]:
                continue
            t = -eye[2] / (axes[2, 2] + (v + 0.5 - height / 2) / half_focal * axes[1, 2])
            x, y, _ = _world_point(view, 2 * u + 1.0, 2 * v + 1.0, t)
            cover = 0.0
            for bar in bars:
                bx, by = bar[2] - bar[0], bar[3] - bar[1]
                along = ((x - bar[0]) * bx + (y - bar[1]) * by) / (bx * bx + by * by + 1e-9)
                along = min(1.0, max(0.0, along))
                gap = math.hypot(x - bar[0] - along * bx, y - bar[1] - along * by) / bar[4]
                cover = max(cover, min(1.0, max(0.0, (1 + softness - gap) / (2 * softness))))
            brightness[v, u] = min(brightness[v, u], 1 - darkness * cover)


@njit(cache=True, fastmath=True)
def compose(
    picture: np.ndarray,
    region: np.ndarray,
    scenery: np.ndarray,
    brightness: np.ndarray,
    shapes: np.ndarray,
    owners: np.ndarray,
    sunlit: np.ndarray,
    view: View,
    canvas: Canvas,
    sky: np.ndarray,
    visible: np.ndarray,
) -> None:
    """Average the drawn pixels of `region` into `picture`, people over scenery; add pixels per owner to `visible`.

    Args:
        region: left, top, right, bottom at the picture's size.
        scenery: float32 [2 height, 2 width, 3], lit.
        owners: per shape, the person's index into `sunlit` and `visible`.
    """
    depth, index, _ = canvas
    surface = np.empty(6)
    for v in range(region[1], region[3]):
        for u in range(region[0], region[2]):
            red, green, blue = 0.0, 0.0, 0.0
            for sample in range(4):
                row, column = 2 * v + sample // 2, 2 * u + sample % 2
                shape = index[row, column]
                if shape < 0:
                    red += brightness[v, u] * scenery[row, column, 0]
                    green += brightness[v, u] * scenery[row, column, 1]
                    blue += brightness[v, u] * scenery[row, column, 2]
                    continue
                visible[owners[shape]] += 1
                x, y, z = _world_point(view, column + 0.5, row + 0.5, depth[row, column])
                _surface(shapes[shape], x, y, z, view.eye, surface)
                r, g, b = _lit(surface, x, y, z, depth[row, column], sky, sunlit[owners[shape]])
                red, green, blue = red + r, green + g, blue + b
            picture[v, u, 0], picture[v, u, 1], picture[v, u, 2] = red / 4, green / 4, blue / 4
