"""Solid shapes as rows of one array, the only geometry that the rasteriser draws.

A shape is a unit solid (ball, cone along z from 0 to 1, cube from -1 to 1, plane z = 0) under an affine map
`point = matrix @ unit_point + centre`.
"""

from dataclasses import dataclass, field

import numpy as np

BALL, CONE, CUBE, PLANE = range(4)
(KIND, CENTRE, INVERSE, RADII, CLIP, PATTERN, COLOUR, SECOND, SCALE, MATRIX) = (0, 1, 4, 13, 15, 19, 20, 23, 26, 27)
NUM_COLUMNS = 36
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Paint:
    """Appearance of a surface; `pattern` is a constant of `districts.demo.patterns`."""

    colour: Vector
    second: Vector = (0.0, 0.0, 0.0)
    pattern: int = 0
    scale: float = 1.0


@dataclass
class Shapes:
    """A growing list of shapes; each belongs to a bone (0 for static shapes)."""

    rows: list[np.ndarray] = field(default_factory=list)
    bones: list[int] = field(default_factory=list)

    def ball(
        self, centre: Vector, radii: Vector, paint: Paint, bone: int = 0, clip: tuple[Vector, float] | None = None
    ) -> None:
        """An ellipsoid; `clip` = (normal, offset) leaves the shell of unit points with `normal · point >= offset`."""
        self._add(BALL, np.diag(radii), centre, paint, bone, clip=clip)

    def cone(
        self,
        start: Vector,
        end: Vector,
        radii: tuple[float, float],
        paint: Paint,
        bone: int = 0,
        flatness: float = 1.0,
    ) -> None:
        """A truncated cone from `start` to `end`; along x it is `flatness` times as thick as along y."""
        axis = np.subtract(end, start)
        length = float(np.linalg.norm(axis))
        upright = axis / length
        side = np.array([0.0, 1.0, 0.0]) - upright[1] * upright
        if np.linalg.norm(side) < 1e-3:
            side = np.array([1.0, 0.0, 0.0]) - upright[0] * upright
        side /= np.linalg.norm(side)
        matrix = np.stack([np.cross(side, upright) * flatness, side, axis], axis=1)
        self._add(CONE, matrix, start, paint, bone, radii=radii)

    def box(self, centre: Vector, half_sizes: Vector, paint: Paint, bone: int = 0, turn: float = 0.0) -> None:
        """A box, rotated about the vertical axis by `turn` radians."""
        cosine, sine = np.cos(turn), np.sin(turn)
        rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        self._add(CUBE, rotation @ np.diag(half_sizes), centre, paint, bone)

    def plane(self, paint: Paint) -> None:
        """The ground plane z = 0."""
        self._add(PLANE, np.eye(3), (0.0, 0.0, 0.0), paint, 0)

    def array(self) -> np.ndarray:
        """All shapes, `float64 [shape, NUM_COLUMNS]`."""
        return np.stack(self.rows)

    def _add(
        self,
        kind: int,
        matrix: np.ndarray,
        centre: Vector,
        paint: Paint,
        bone: int,
        radii: tuple[float, float] = (1.0, 1.0),
        clip: tuple[Vector, float] | None = None,
    ) -> None:
        row = np.zeros(NUM_COLUMNS)
        row[KIND] = kind
        row[CENTRE : CENTRE + 3] = centre
        row[INVERSE : INVERSE + 9] = np.linalg.inv(matrix).ravel()
        row[RADII : RADII + 2] = radii
        row[CLIP : CLIP + 4] = (*clip[0], clip[1]) if clip else (0, 0, 0, -1)
        row[PATTERN] = paint.pattern
        row[COLOUR : COLOUR + 3] = paint.colour
        row[SECOND : SECOND + 3] = paint.second
        row[SCALE] = paint.scale
        row[MATRIX : MATRIX + 9] = np.asarray(matrix).ravel()
        self.rows.append(row)
        self.bones.append(bone)


def place(shapes: np.ndarray, rotations: np.ndarray, origins: np.ndarray) -> np.ndarray:
    """`shapes` moved rigidly, each row by its rotation `[shape, 3, 3]` and origin `[shape, 3]`."""
    placed = shapes.copy()
    placed[:, CENTRE : CENTRE + 3] = (rotations @ shapes[:, CENTRE : CENTRE + 3, None])[..., 0] + origins
    matrices = shapes[:, MATRIX : MATRIX + 9].reshape(-1, 3, 3)
    inverses = shapes[:, INVERSE : INVERSE + 9].reshape(-1, 3, 3)
    placed[:, MATRIX : MATRIX + 9] = (rotations @ matrices).reshape(-1, 9)
    placed[:, INVERSE : INVERSE + 9] = (inverses @ rotations.transpose(0, 2, 1)).reshape(-1, 9)
    return placed
