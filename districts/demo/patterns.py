"""Procedural surface colours, by the point on the unit solid (people) or in the world (streets)."""

import math

import numpy as np
from numba import njit

# On people, by coordinates of the unit solid.
PLAIN, STRIPES, UPRIGHT_STRIPES, CHECKS, LOGO, TWO_TONE, SEAM, CURLS, LAPELS = range(9)
# On streets, by world coordinates in metres.
ASPHALT, PAVERS, GRASS, WINDOWS, BRICKS, LEAVES, PLANKS, SHOP = range(20, 28)


@njit(cache=True, fastmath=True, inline="always")
def _hash(x: float, y: float) -> float:
    value = math.sin(x * 127.1 + y * 311.7) * 43758.5453
    return value - math.floor(value)


@njit(cache=True, fastmath=True)
def smooth_noise(x: float, y: float) -> float:
    """Value noise in 0..1 with a period of one unit."""
    column, row = math.floor(x), math.floor(y)
    right, up = x - column, y - row
    right, up = right * right * (3 - 2 * right), up * up * (3 - 2 * up)
    low = _hash(column, row) * (1 - right) + _hash(column + 1, row) * right
    high = _hash(column, row + 1) * (1 - right) + _hash(column + 1, row + 1) * right
    return low * (1 - up) + high * up


@njit(cache=True, fastmath=True)
def second_share(pattern: int, scale: float, x: float, y: float, z: float) -> float:
    """Fraction of the second colour in a garment at the unit point (x forward, y left, z up), in 0..1."""
    angle = math.atan2(y, x)
    if pattern == STRIPES:
        return 1.0 if math.floor(z * scale) % 2 == 1 else 0.0
    if pattern == UPRIGHT_STRIPES:
        return 1.0 if math.floor((angle + math.pi) * scale / 3.0) % 2 == 1 else 0.0
    if pattern == CHECKS:
        across, up = math.floor((angle + math.pi) * scale / 3.0) % 2, math.floor(z * scale) % 2
        return 0.5 * (across + up)
    if pattern == LOGO:
        return 1.0 if abs(angle) < 0.6 and 0.45 < z < 0.8 else 0.0
    if pattern == TWO_TONE:
        return 1.0 if z < 0.5 else 0.0
    if pattern == SEAM:
        return 1.0 if abs(abs(angle) - math.pi / 2) < 0.3 else 0.0
    if pattern == CURLS:
        return 0.6 * smooth_noise(angle * 6 + 9, z * 5 + 9)
    if pattern == LAPELS:
        opening = 0.10 + 0.35 * max(0.0, z - 0.6)
        return 1.0 if abs(angle) < opening else 0.0
    return 0.0


@njit(cache=True, fastmath=True)
def street_share(
    pattern: int, scale: float, x: float, y: float, z: float, normal_x: float, normal_z: float
) -> tuple[float, float]:
    """(brightness, fraction of the second colour) of a street surface at the world point, metres."""
    along = y if abs(normal_x) > 0.7 else x
    if pattern == ASPHALT:
        return 0.80 + 0.25 * smooth_noise(x * 9, y * 9) + 0.15 * smooth_noise(x * 0.7, y * 0.7), 0.0
    if pattern == PAVERS:
        row = math.floor(y / scale)
        column = math.floor(x / scale + 0.5 * (row % 2))
        edge = abs(y / scale - row - 0.5) > 0.46 or abs(x / scale + 0.5 * (row % 2) - column - 0.5) > 0.46
        return 0.88 + 0.2 * _hash(column, row), 1.0 if edge else 0.0
    if pattern == GRASS:
        return 0.75 + 0.5 * smooth_noise(x * 6, y * 6) * smooth_noise(x * 1.1, y * 1.1), 0.0
    if pattern == WINDOWS:
        across, up = along / scale - math.floor(along / scale), z / 2.8 - math.floor(z / 2.8)
        return 0.94 + 0.1 * smooth_noise(along * 3, z * 3), 1.0 if 0.2 < across < 0.8 and 0.32 < up < 0.85 else 0.0
    if pattern == BRICKS:
        row = math.floor(z / (0.3 * scale))
        column = math.floor(along / (0.8 * scale) + 0.5 * (row % 2))
        up, across = z / (0.3 * scale) - row, along / (0.8 * scale) + 0.5 * (row % 2) - column
        return 0.82 + 0.25 * _hash(column, row), 1.0 if up < 0.1 or across < 0.05 else 0.0
    if pattern == LEAVES:
        return 0.55 + 0.8 * smooth_noise(along * 5 + z * 2, z * 5 + x), 0.0
    if pattern == PLANKS:
        return 0.9 + 0.15 * _hash(math.floor(along / scale), 3.0), 1.0 if along / scale % 1 < 0.08 else 0.0
    if pattern == SHOP:
        across = along / scale - math.floor(along / scale)
        glass = z > 0.5 and z < 2.3 and across > 0.06 and across < 0.94
        glint = 0.75 + 0.5 * smooth_noise(along * 1.3, z * 1.3 + 4)
        return glint if glass else 1.0, 1.0 if glass else 0.0
    return 1.0, 0.0


@njit(cache=True, fastmath=True)
def surface_colour(
    row: np.ndarray, unit_x: float, unit_y: float, unit_z: float, x: float, y: float, z: float, nx: float, nz: float
) -> tuple[float, float, float]:
    """Unlit RGB colour of the shape `row` at a point given on its unit solid and in the world."""
    pattern, scale = int(row[19]), row[26]
    brightness, share = 1.0, 0.0
    if pattern >= ASPHALT:
        brightness, share = street_share(pattern, scale, x, y, z, nx, nz)
    elif pattern > PLAIN:
        share = second_share(pattern, scale, unit_x, unit_y, unit_z)
    red = brightness * (row[20] * (1 - share) + row[23] * share)
    green = brightness * (row[21] * (1 - share) + row[24] * share)
    blue = brightness * (row[22] * (1 - share) + row[25] * share)
    return red, green, blue
