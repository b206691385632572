"""The street plan: T-junctions with a camera each, the walkways between them, and their positions on the map.

Metres, x east and y north of a point in Suseong-gu, Daegu. Two streets run west to east; short walkways join them.
A camera hangs above each walkway and looks along it at the junction, so people cross its picture, approach or leave.
"""

import math
from dataclasses import dataclass

import numpy as np

from districts.demo.rasteriser import View, look
from domain.cameras import Camera

_ORIGIN = 35.8584, 128.6306  # latitude, longitude
_METRES_PER_DEGREE = 111_195.0
PICTURE_SIZE = 640, 360
EXIT_M = 14.0  # distance from a junction at the plan's edge to the point where people leave


@dataclass(frozen=True)
class Place:
    """A junction and its camera."""

    id: str
    name: str
    kind: str  # label of the attribute group `place`
    junction: tuple[float, float]
    heading: float  # viewing direction of the camera, counter-clockwise from east, radians
    distance_m: float  # on the ground, from below the camera to the junction
    height_m: float
    pitch: float
    field_of_view: float
    gain: float  # brightness of this camera's pictures
    cast: tuple[float, float, float]  # colour cast, RGB factors
    contrast: float
    blur_px: float
    noise: float  # standard deviation of the sensor noise, grey levels

    def at(self, across_m: float, ahead_m: float) -> tuple[float, float]:
        """World point at these distances to the right of the camera's axis and ahead of the point below the camera."""
        forward = np.array([math.cos(self.heading), math.sin(self.heading)])
        right = np.array([forward[1], -forward[0]])
        x, y = np.array(self.junction) + (ahead_m - self.distance_m) * forward + across_m * right
        return float(x), float(y)

    def view(self) -> View:
        """The camera as the rasteriser takes it."""
        x, y = self.at(0.0, 0.0)
        return look(np.array([x, y, self.height_m]), self.heading, self.pitch, self.field_of_view, PICTURE_SIZE)


_NORTH, _SOUTH = math.pi / 2, -math.pi / 2
PLACES = (
    Place(
        "c1",
        "Beomeo crossing",
        "city_centre",
        (0.0, 16.0),
        _NORTH + 0.10,
        9.5,
        4.0,
        0.40,
        0.82,
        1.00,
        (1.0, 1.0, 1.0),
        1.0,
        0.5,
        2.5,
    ),
    Place(
        "c2",
        "Dongdaegu-ro shops",
        "city_centre",
        (23.0, 17.5),
        _NORTH - 0.12,
        10.5,
        4.4,
        0.40,
        0.78,
        1.10,
        (1.06, 1.0, 0.93),
        1.1,
        0.7,
        3.5,
    ),
    Place(
        "c3",
        "Library walk",
        "residential",
        (47.0, 15.5),
        _NORTH + 0.05,
        9.0,
        3.6,
        0.38,
        0.84,
        0.90,
        (0.95, 1.0, 1.06),
        0.95,
        0.6,
        4.0,
    ),
    Place(
        "c4",
        "Suseong-mot lakeside",
        "outskirts",
        (70.0, 17.0),
        _NORTH + 0.16,
        10.0,
        4.2,
        0.40,
        0.80,
        1.02,
        (0.97, 1.04, 0.98),
        1.05,
        0.5,
        3.0,
    ),
    Place(
        "c5",
        "Market lane",
        "city_centre",
        (0.0, -17.0),
        _SOUTH - 0.14,
        9.0,
        3.8,
        0.40,
        0.86,
        0.95,
        (1.04, 0.98, 1.02),
        1.08,
        0.8,
        4.5,
    ),
    Place(
        "c6",
        "Apartment gate",
        "residential",
        (23.0, -15.5),
        _SOUTH + 0.08,
        10.0,
        4.5,
        0.42,
        0.80,
        1.08,
        (1.0, 1.0, 1.05),
        0.92,
        0.6,
        3.0,
    ),
    Place(
        "c7",
        "School alley",
        "residential",
        (47.0, -16.5),
        _SOUTH - 0.06,
        8.6,
        3.4,
        0.38,
        0.87,
        1.00,
        (1.05, 1.02, 0.95),
        1.0,
        0.7,
        3.5,
    ),
    Place(
        "c8",
        "River path",
        "outskirts",
        (70.0, -15.0),
        _SOUTH + 0.12,
        9.8,
        4.0,
        0.40,
        0.81,
        0.94,
        (0.96, 1.0, 1.04),
        1.0,
        0.5,
        4.0,
    ),
)
_WALKWAYS = {  # neighbouring junctions by number
    0: (1, 4),
    1: (0, 2, 5),
    2: (1, 3, 6),
    3: (2, 7),
    4: (5, 0),
    5: (4, 6, 1),
    6: (5, 7, 2),
    7: (6, 3),
}
_EXITS = {0: (-1, 0), 3: (1, 0), 4: (-1, 0), 7: (1, 0)}  # direction (east, north) of the street that leaves the plan


@dataclass(frozen=True)
class StreetPlan:
    """The places in use and their neighbours."""

    places: tuple[Place, ...]

    def neighbours(self, number: int) -> tuple[int, ...]:
        """Numbers of the junctions joined to junction `number` by a walkway."""
        return tuple(other for other in _WALKWAYS[number] if other < len(self.places))

    def gates(self, number: int) -> tuple[tuple[float, float], ...]:
        """Points out of sight at which people enter or leave the surroundings of junction `number`."""
        x, y = self.places[number].junction
        points = [self.halfway(number, other) for other in _WALKWAYS[number]]
        if number in _EXITS:
            east, north = _EXITS[number]
            points.append((x + EXIT_M * east, y + EXIT_M * north))
        return tuple(points)

    def halfway(self, number: int, other: int) -> tuple[float, float]:
        """Midpoint of the walkway between two junctions."""
        (x, y), (other_x, other_y) = PLACES[number].junction, PLACES[other].junction
        return (x + other_x) / 2, (y + other_y) / 2


def street_plan(num_cameras: int) -> StreetPlan:
    """The plan of the first `num_cameras` places."""
    return StreetPlan(PLACES[:num_cameras])


def camera_of(place: Place, fps: float, start: str) -> Camera:
    """The camera as `district.yaml` lists it; `start` is an ISO 8601 time with time zone."""
    x, y = place.at(0.0, 0.0)
    return Camera.model_validate(
        {
            "id": place.id,
            "name": place.name,
            "latitude": round(_ORIGIN[0] + y / _METRES_PER_DEGREE, 7),
            "longitude": round(_ORIGIN[1] + x / (_METRES_PER_DEGREE * math.cos(math.radians(_ORIGIN[0]))), 7),
            "fps": fps,
            "width_px": PICTURE_SIZE[0],
            "height_px": PICTURE_SIZE[1],
            "start": start,
        }
    )
