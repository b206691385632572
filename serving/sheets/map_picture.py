"""The map of a sheet: streets, cameras, and the numbered matches in order."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from pylopdf_fonts_ko import sans_path

from domain.cameras import Camera

Place = tuple[float, float]  # latitude, longitude
_SIZE = (1200, 720)  # pixels
_MARGIN = 90  # pixels
_LEAST_M = 200.0  # shown across
_METRES_A_DEGREE = 111_195.0  # of latitude
_GROUND, _AREA, _STREET, _CAMERA, _WAY, _INK = "#f2f4f7", "#e3e8ee", "#b9c2cd", "#5b6776", "#0b57d0", "#1b2430"
_DOT, _STOP = 6, 22  # radii


@dataclass(frozen=True)
class _Projection:
    """From places to pixels of the map; north is up."""

    centre: Place
    metres_a_pixel: float

    @classmethod
    def around(cls, places: Sequence[Place]) -> "_Projection":
        """Shows all `places`, and not less than `_LEAST_M`."""
        (south, north), (west, east) = ((min(axis), max(axis)) for axis in zip(*places, strict=True))
        centre = (south + north) / 2, (west + east) / 2
        down_m = (north - south) * _METRES_A_DEGREE
        across_m = (east - west) * _METRES_A_DEGREE * math.cos(math.radians(centre[0]))
        room = [side - 2 * _MARGIN for side in _SIZE]
        return cls(centre, max(across_m / room[0], down_m / room[1], _LEAST_M / room[0]))

    def at(self, place: Place) -> tuple[float, float]:
        """Pixels from the left and from the top."""
        north_m = (place[0] - self.centre[0]) * _METRES_A_DEGREE
        east_m = (place[1] - self.centre[1]) * _METRES_A_DEGREE * math.cos(math.radians(self.centre[0]))
        return _SIZE[0] / 2 + east_m / self.metres_a_pixel, _SIZE[1] / 2 - north_m / self.metres_a_pixel


def draw_map(stops: Sequence[Place], cameras: Sequence[Camera], layer: Mapping[str, Any]) -> bytes:
    """JPEG file of the map.

    Args:
        stops: latitude and longitude of the matches in order, at least one; they are numbered from 1 on.
        cameras: cameras around.
        layer: GeoJSON FeatureCollection of lines and areas, positions as longitude and latitude.
    """
    shown = _Projection.around(stops)
    image = Image.new("RGB", _SIZE, _GROUND)
    draw = ImageDraw.Draw(image)
    _draw_layer(draw, layer, shown.at)
    points = [shown.at(stop) for stop in stops]
    draw.line(points, fill=_WAY, width=4)
    for camera in cameras:
        x, y = shown.at((camera.latitude, camera.longitude))
        draw.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), fill=_CAMERA)
        draw.text((x, y + _STOP + 4), camera.name, _INK, _font(20), anchor="ma", stroke_width=3, stroke_fill=_GROUND)
    for (x, y), numbers in _together(points).items():
        label = ", ".join(map(str, numbers))
        half = max(_STOP, draw.textlength(label, _font(22)) / 2 + 10)
        draw.rounded_rectangle((x - half, y - _STOP, x + half, y + _STOP), _STOP, fill=_WAY, outline="white", width=3)
        draw.text((x, y), label, "white", _font(22), anchor="mm")
    _draw_scale(draw, shown.metres_a_pixel)
    file = BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def _together(points: Sequence[tuple[float, float]]) -> dict[tuple[int, int], list[int]]:
    """Numbers of the stops at each place."""
    numbers: dict[tuple[int, int], list[int]] = {}
    for number, (x, y) in enumerate(points, start=1):
        numbers.setdefault((round(x), round(y)), []).append(number)
    return numbers


def _draw_layer(
    draw: ImageDraw.ImageDraw, layer: Mapping[str, Any], at: Callable[[Place], tuple[float, float]]
) -> None:
    for feature in layer["features"]:
        kind, coordinates = feature["geometry"]["type"], feature["geometry"]["coordinates"]
        for line in _lines(kind, coordinates):
            points = [at((position[1], position[0])) for position in line]
            if len(points) > 2 and "Polygon" in kind:
                draw.polygon(points, fill=_AREA)
            elif len(points) > 1:
                draw.line(points, fill=_STREET, width=3)


def _lines(kind: str, coordinates: Any) -> Iterator[Any]:
    """Each line or outer ring of a geometry."""
    if kind == "LineString":
        yield coordinates
    elif kind == "MultiLineString":
        yield from coordinates
    elif kind == "Polygon":
        yield from coordinates[:1]
    else:
        for polygon in coordinates:
            yield from polygon[:1]


def _draw_scale(draw: ImageDraw.ImageDraw, metres_a_pixel: float) -> None:
    most_m = 240 * metres_a_pixel
    tens = 10 ** math.floor(math.log10(most_m))
    length_m = max(step * tens for step in (1, 2, 5) if step * tens <= most_m)
    right, y = _SIZE[0] - 30, _SIZE[1] - 30
    left = right - length_m / metres_a_pixel
    draw.line([(left, y - 8), (left, y), (right, y), (right, y - 8)], fill=_INK, width=3)
    text = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    draw.text(((left + right) / 2, y - 6), text, _INK, _font(20), anchor="ms")
    draw.text((_SIZE[0] - 30, 30), "N ↑", _INK, _font(24), anchor="ra")


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(sans_path()), size)
