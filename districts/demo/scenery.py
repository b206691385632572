"""Scenery of a junction: ground, houses, cars, trees, lamps and other obstacles that hide people."""

import math

import numpy as np

from districts.demo import patterns
from districts.demo.palette import COLOURS
from districts.demo.shapes import Paint, Shapes, Vector
from districts.demo.streets import Place

_GLASS = (0.25, 0.32, 0.40)
_FACADES = ((0.66, 0.60, 0.52), (0.58, 0.36, 0.28), (0.72, 0.70, 0.66), (0.50, 0.54, 0.58), (0.63, 0.52, 0.40))
_GROUNDS = {
    "city_centre": (Paint((0.52, 0.51, 0.49), (0.40, 0.39, 0.38), patterns.PAVERS, 0.6), (0.27, 0.27, 0.28)),
    "residential": (Paint((0.48, 0.35, 0.30), (0.36, 0.27, 0.24), patterns.PAVERS, 0.4), (0.33, 0.32, 0.32)),
    "outskirts": (Paint((0.26, 0.38, 0.17), (0.0, 0.0, 0.0), patterns.GRASS), (0.50, 0.45, 0.37)),
}


def build_scenery(place: Place, rng: np.random.Generator) -> tuple[np.ndarray, Vector]:
    """Static shapes at `place`, `float64 [shape, NUM_COLUMNS]`, and the position of the street lamp's light."""
    shapes = Shapes()
    _add_ground(shapes, place)
    _add_backdrop(shapes, place, rng)
    _add_corners(shapes, place, rng)
    lamp = _add_lamp(shapes, place, rng)
    _add_obstacles(shapes, place, rng)
    return shapes.array(), lamp


def _box(
    shapes: Shapes,
    place: Place,
    across: float,
    ahead: float,
    size: tuple[float, float, float],
    paint: Paint,
    low: float = 0,
) -> None:
    """A box by its centre on the ground and its full width, depth and height; its bottom is at height `low`."""
    x, y = place.at(across, ahead)
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    shapes.box((x, y, low + half[2]), half, paint, turn=place.heading - math.pi / 2)


def _post(
    shapes: Shapes, place: Place, across: float, ahead: float, low: float, high: float, radius: float, paint: Paint
) -> None:
    x, y = place.at(across, ahead)
    shapes.cone((x, y, low), (x, y, high), (radius, 0.8 * radius), paint)


def _add_ground(shapes: Shapes, place: Place) -> None:
    ground, road = _GROUNDS[place.kind]
    street, flat = place.distance_m, 0.02
    shapes.plane(ground)
    _box(shapes, place, 0, street / 2 - 4, (3.6, street + 4.4, flat), Paint(road, pattern=patterns.ASPHALT))
    _box(shapes, place, 0, street, (60, 3.8, flat), Paint(road, pattern=patterns.ASPHALT))
    white = Paint((0.75, 0.75, 0.73), pattern=patterns.ASPHALT)
    if place.kind == "city_centre":
        for step in range(-3, 4):
            _box(shapes, place, 0.52 * step, street - 2.9, (0.28, 1.6, 0.03), white)
    if place.kind != "outskirts":
        kerb = Paint((0.62, 0.62, 0.60))
        _box(shapes, place, 0, street + 2.0, (60, 0.18, 0.12), kerb)
        for side in (-1, 1):
            _box(shapes, place, side * 16.9, street - 2.0, (30, 0.18, 0.12), kerb)


def _add_backdrop(shapes: Shapes, place: Place, rng: np.random.Generator) -> None:
    """The far side of the street: house fronts, or a fence with trees behind it."""
    back = place.distance_m + 4.2
    if place.kind == "outskirts":
        fence = Paint((0.42, 0.33, 0.24), (0.20, 0.15, 0.10), patterns.PLANKS, 0.35)
        _box(shapes, place, 0, back, (60, 0.12, 1.0), fence)
        hill = Paint((0.20, 0.30, 0.14), pattern=patterns.LEAVES)
        _box(shapes, place, 0, back + 7, (90, 2.0, 2.6), hill)
        for across in np.arange(-12.0, 13.0, 3.4):
            _add_tree(shapes, place, float(across + rng.uniform(-0.8, 0.8)), back + rng.uniform(1.0, 3.0), rng)
        return
    across = -24.0
    while across < 24:
        width = float(rng.uniform(4.5, 8.0))
        facade = _FACADES[rng.integers(len(_FACADES))]
        front = back + float(rng.uniform(0.0, 0.5))
        middle = across + width / 2
        if place.kind == "city_centre":
            shop = Paint(facade, _GLASS, patterns.SHOP, float(rng.uniform(1.6, 3.0)))
            _box(shapes, place, middle, front + 3, (width, 6, 3.0), shop)
            sign = Paint(COLOURS[str(rng.choice(["red", "blue", "green", "yellow", "purple", "orange"]))])
            _box(shapes, place, middle, front - 0.1, (0.8 * width, 0.3, 0.5), sign, low=2.45)
            _box(shapes, place, middle, front + 3, (width, 6, 8.0), Paint(facade, _GLASS, patterns.WINDOWS, 1.6), low=3)
        else:
            kind = patterns.BRICKS if rng.random() < 0.6 else patterns.WINDOWS
            second = (0.70, 0.68, 0.64) if kind == patterns.BRICKS else _GLASS
            wall = Paint(facade, second, kind, 1.0 if kind == patterns.BRICKS else 1.9)
            _box(shapes, place, middle, front + 3, (width, 6, float(rng.uniform(2.2, 6.0))), wall)
            door = Paint((0.28, 0.18, 0.12), (0.20, 0.12, 0.08), patterns.PLANKS, 0.3)
            _box(shapes, place, middle + rng.uniform(-1, 1), front - 0.02, (1.0, 0.1, 2.0), door)
        across += width


def _add_corners(shapes: Shapes, place: Place, rng: np.random.Generator) -> None:
    """The near sides of the junction: walls or hedges that people pass behind."""
    ahead = place.distance_m - 2.9
    for side in (-1, 1):
        start = float(rng.uniform(4.3, 5.2))
        if place.kind == "residential":
            wall = Paint((0.56, 0.42, 0.36), (0.66, 0.64, 0.60), patterns.BRICKS, 1.0)
            _box(shapes, place, side * (start + 5), ahead - 2, (10, 3.4, 1.0), wall)
        else:
            hedge = Paint((0.16, 0.28, 0.12), pattern=patterns.LEAVES)
            _box(shapes, place, side * (start + 4), ahead - 1.2, (8, 1.0, 0.85), hedge)


def _add_lamp(shapes: Shapes, place: Place, rng: np.random.Generator) -> Vector:
    side = float(rng.choice([-1, 1]))
    across, ahead, metal = side * 2.7, place.distance_m - 2.3, Paint((0.22, 0.24, 0.25))
    _post(shapes, place, across, ahead, 0.0, 5.2, 0.08, metal)
    _post(shapes, place, across, ahead, 0.0, 0.5, 0.15, metal)
    x, y = place.at(across * 0.3, ahead + 1.0)
    return x, y, 5.0


def _add_obstacles(shapes: Shapes, place: Place, rng: np.random.Generator) -> None:
    """Cars, trees, benches and planters beside the walkways."""
    street = place.distance_m
    sides = rng.permutation([-1, 1])
    if place.kind != "outskirts":
        _add_car(shapes, place, float(sides[0] * rng.uniform(4.2, 4.8)), street - 2.75, rng)
    _add_tree(shapes, place, float(sides[1] * rng.uniform(3.0, 4.2)), street - 2.6, rng)
    _add_tree(shapes, place, float(sides[0] * rng.uniform(5.5, 7.0)), street + 2.6, rng)
    wood = Paint((0.45, 0.30, 0.18), (0.30, 0.19, 0.11), patterns.PLANKS, 0.2)
    across = float(sides[1] * rng.uniform(1.0, 3.0))
    _box(shapes, place, across, street + 2.7, (1.6, 0.45, 0.12), wood, low=0.38)
    _box(shapes, place, across, street + 2.95, (1.6, 0.08, 0.45), wood, low=0.5)
    for number in range(int(rng.integers(1, 4))):
        planter = Paint((0.55, 0.52, 0.48))
        spot = float(sides[1] * (2.3 + 0.15 * number)), street - 2.4 - 1.3 * number
        _post(shapes, place, *spot, 0.0, 0.75, 0.13, planter)


def _add_car(shapes: Shapes, place: Place, across: float, ahead: float, rng: np.random.Generator) -> None:
    paint = Paint(COLOURS[str(rng.choice(["white", "grey", "black", "red", "blue"]))])
    _box(shapes, place, across, ahead, (4.0, 1.6, 0.55), paint, low=0.28)
    _box(shapes, place, across, ahead, (2.1, 1.4, 0.48), Paint(_GLASS), low=0.83)
    _box(shapes, place, across, ahead, (1.9, 1.42, 0.08), paint, low=1.30)
    for end in (-1.25, 1.25):
        for flank in (-0.75, 0.75):
            x, y = place.at(across + end, ahead + flank)
            shapes.ball((x, y, 0.32), (0.32, 0.32, 0.32), Paint((0.06, 0.06, 0.06)))


def _add_tree(shapes: Shapes, place: Place, across: float, ahead: float, rng: np.random.Generator) -> None:
    leaves = Paint((0.17, 0.36, 0.13), pattern=patterns.LEAVES)
    _post(shapes, place, across, ahead, 0.0, 2.9, 0.16, Paint((0.30, 0.22, 0.15), pattern=patterns.LEAVES))
    for _ in range(3):
        x, y = place.at(across + rng.uniform(-0.5, 0.5), ahead + rng.uniform(-0.5, 0.5))
        size = float(rng.uniform(0.8, 1.2))
        shapes.ball((x, y, float(rng.uniform(3.2, 4.0))), (size, size, 0.8 * size), leaves)
