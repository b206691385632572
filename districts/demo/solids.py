"""Intersection of a ray with each unit solid, and the surface normal. Compiled by numba."""

import math

import numpy as np
from numba import njit

FAR = 1e6  # no hit
NEAR = 0.3  # shapes nearer to the eye are not drawn, metres


@njit(cache=True, fastmath=True)
def _ball(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, row: np.ndarray) -> float:
    a, b, c = dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + oz * dz, ox * ox + oy * oy + oz * oz - 1
    under = b * b - a * c
    if under < 0:
        return FAR
    root = math.sqrt(under)
    for t in ((-b - root) / a, (-b + root) / a):
        inside = row[15] * (ox + t * dx) + row[16] * (oy + t * dy) + row[17] * (oz + t * dz)
        if t > NEAR and inside >= row[18]:
            return t
    return FAR


@njit(cache=True, fastmath=True)
def _cone(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, row: np.ndarray) -> float:
    low, slope = row[13], row[14] - row[13]
    reach = low + slope * oz
    a = dx * dx + dy * dy - slope * slope * dz * dz
    b = ox * dx + oy * dy - slope * dz * reach
    c = ox * ox + oy * oy - reach * reach
    best = FAR
    under = b * b - a * c
    if under >= 0 and abs(a) > 1e-12:
        root = math.sqrt(under)
        for t in ((-b - root) / a, (-b + root) / a):
            z = oz + t * dz
            if t > NEAR and t < best and z >= 0 and z <= 1:
                best = t
    if abs(dz) > 1e-12:
        for end in (0.0, 1.0):
            t = (end - oz) / dz
            x, y, radius = ox + t * dx, oy + t * dy, low + slope * end
            if t > NEAR and t < best and x * x + y * y <= radius * radius:
                best = t
    return best


@njit(cache=True, fastmath=True)
def _cube(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    enter, leave = -FAR, FAR
    for o, d in ((ox, dx), (oy, dy), (oz, dz)):
        if abs(d) < 1e-12:
            if abs(o) > 1:
                return FAR
            continue
        first, last = (-1 - o) / d, (1 - o) / d
        if first > last:
            first, last = last, first
        enter, leave = max(enter, first), min(leave, last)
    if enter > leave:
        return FAR
    if enter > NEAR:
        return enter
    return leave if leave > NEAR else FAR


@njit(cache=True, fastmath=True)
def hit(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, row: np.ndarray) -> float:
    """Distance along the ray (in unit space) to the solid of `row`; `FAR` without an intersection."""
    kind = int(row[0])
    if kind == 0:
        return _ball(ox, oy, oz, dx, dy, dz, row)
    if kind == 1:
        return _cone(ox, oy, oz, dx, dy, dz, row)
    if kind == 2:
        return _cube(ox, oy, oz, dx, dy, dz)
    return -oz / dz if dz * oz < 0 else FAR


@njit(cache=True, fastmath=True)
def unit_normal(row: np.ndarray, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Outward normal of the unit solid at a surface point, not normalised."""
    kind = int(row[0])
    if kind == 0:
        return x, y, z
    if kind == 1:
        if z < 1e-4:
            return 0.0, 0.0, -1.0
        if z > 1 - 1e-4:
            return 0.0, 0.0, 1.0
        return x, y, -(row[14] - row[13]) * math.sqrt(x * x + y * y)
    if kind == 2:
        if abs(x) >= abs(y) and abs(x) >= abs(z):
            return x, 0.0, 0.0
        return (0.0, y, 0.0) if abs(y) >= abs(z) else (0.0, 0.0, z)
    return 0.0, 0.0, 1.0
