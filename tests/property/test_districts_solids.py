"""Laws of the renderer's geometry, against a search that knows only what is inside a solid."""

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from districts.demo.rasteriser import blank_canvas, draw, look
from districts.demo.shapes import BALL, CONE, CUBE, NUM_COLUMNS, Paint, Shapes, place
from districts.demo.solids import FAR, hit, unit_normal

numbers = st.floats(-1, 1)
points = st.tuples(numbers, numbers, numbers)
radii = st.tuples(st.floats(0.3, 1.5), st.floats(0.3, 1.5))


def solid(kind: int, ends: tuple[float, float]) -> np.ndarray:
    row = np.zeros(NUM_COLUMNS)
    row[0], row[13:15], row[18] = kind, ends, -1
    return row


def are_inside(row: np.ndarray, points: np.ndarray, margin: float) -> np.ndarray:
    """Which of `points` [point, 3] lie in the solid made larger by about `margin`."""
    x, y, z = points.T
    if row[0] == BALL:
        return np.linalg.norm(points, axis=1) <= 1 + margin
    if row[0] == CUBE:
        return np.abs(points).max(axis=1) <= 1 + margin
    return (np.abs(z - 0.5) <= 0.5 + margin) & (np.hypot(x, y) <= row[13] + (row[14] - row[13]) * z + 1.5 * margin)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([BALL, CONE, CUBE]), radii, points, points)
def test_the_first_hit_is_where_the_inside_begins(
    kind: int, ends: tuple[float, float], start: tuple[float, ...], target: tuple[float, ...]
) -> None:
    row = solid(kind, ends)
    direction = np.array(target) * 0.6 - np.array(start)
    assume(np.linalg.norm(direction) > 0.2)
    direction /= np.linalg.norm(direction)
    origin = np.array(start) - 5 * direction
    steps = np.arange(0.3, 9, 0.01)
    surely, perhaps = (
        steps[are_inside(row, origin + steps[:, None] * direction, margin)] for margin in (-0.015, 0.015)
    )
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    t = hit(ox, oy, oz, dx, dy, dz, row)
    if len(surely):
        assert perhaps[0] - 0.01 <= t <= surely[0]
        normal = np.array(unit_normal(row, *(origin + t * direction)))
        assert normal @ direction <= 1e-6  # what is seen faces the eye
    if not len(perhaps):
        assert t == FAR


def test_the_search_would_notice_a_hit_from_behind() -> None:
    row, steps = solid(BALL, (1.0, 1.0)), np.arange(0.3, 9, 0.01)
    along = np.array([0, 0, 5]) - steps[:, None] * np.array([0, 0, 1])
    assert hit(0, 0, 5, 0, 0, -1, row) == 4.0
    assert steps[are_inside(row, along, -0.015)][0] < 6.0  # where a hit from behind would be


@settings(max_examples=40, deadline=None)
@given(st.floats(-2, 2), st.floats(4, 15), st.floats(0.3, 1.7), st.floats(0.1, 0.5), st.floats(-math.pi, math.pi))
def test_a_ball_covers_the_pixel_of_its_centre_and_stays_in_its_extent(
    across: float, ahead: float, up: float, radius: float, heading: float
) -> None:
    view = look(np.array([3.0, -2.0, 4.0]), heading, 0.35, 1.0, (160, 90))
    forward = np.array([math.cos(heading), math.sin(heading)])
    x, y = view.eye[:2] + ahead * forward + across * np.array([forward[1], -forward[0]])
    shapes = Shapes()
    shapes.ball((0, 0, 0), (radius, radius, radius), Paint((1, 1, 1)))
    ball = place(shapes.array(), np.eye(3)[None], np.array([[x, y, up]]))
    right, down, depth = view.axes @ (np.array([x, y, up]) - view.eye)
    u, v = view.width / 2 + view.focal_px * right / depth, view.height / 2 + view.focal_px * down / depth
    canvas, extent = blank_canvas(view), np.empty(8)
    covered = draw(ball, 0, 1, view, canvas, extent)
    assert covered == (canvas.nearest == 0).sum()
    assume(0 <= u < view.width and 0 <= v < view.height)
    assert canvas.nearest[int(v), int(u)] == 0
    assert abs(canvas.depth[int(v), int(u)] - depth) <= radius * 1.3
    rows, columns = np.nonzero(canvas.nearest == 0)
    assert extent[:4].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert extent[4] <= extent[0] + 1
    assert extent[6] >= extent[2] - 1


@settings(max_examples=30, deadline=None)
@given(points, st.floats(-math.pi, math.pi))
def test_moving_a_shape_moves_its_surface_with_it(point: tuple[float, float, float], turn: float) -> None:
    shapes = Shapes()
    shapes.box((0.3, -0.2, 0.5), (0.4, 0.2, 0.7), Paint((1, 1, 1)))
    cosine, sine = math.cos(turn), math.sin(turn)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    origin = np.array([2.0, 1.0, 0.0])
    before, after = shapes.array()[0], place(shapes.array(), rotation[None], origin[None])[0]

    def to_unit(row: np.ndarray, world: np.ndarray) -> np.ndarray:
        return row[4:13].reshape(3, 3) @ (world - row[1:4])

    moved = rotation @ np.array(point) + origin
    np.testing.assert_allclose(to_unit(after, moved), to_unit(before, np.array(point)), atol=1e-9)
    np.testing.assert_allclose(after[27:36].reshape(3, 3) @ after[4:13].reshape(3, 3), np.eye(3), atol=1e-9)
