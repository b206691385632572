"""The local map below the cameras: `map.geojson` in the folder of the store, such as a district's streets.

It is optional. Maps and their servers of other hosts are never used: they would learn where a person is searched for.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from domain.errors import DongseonError

_FILE = "map.geojson"
_MOST_BYTES = 20_000_000  # the browser draws it as a whole
_NOTHING = b'{"type": "FeatureCollection", "features": []}'


class UnusableMapError(DongseonError):
    """The file is no map; the message says what it must be."""


def read_map_layer(folder: Path) -> bytes:
    """The GeoJSON FeatureCollection in the folder of the store; without features if there is no file.

    Raises:
        UnusableMapError: if the file is too large or no FeatureCollection.
    """
    file = folder / _FILE
    try:
        found = file.stat()
    except FileNotFoundError:
        return _NOTHING
    if found.st_size > _MOST_BYTES:
        raise UnusableMapError(f"{file} must have at most {_MOST_BYTES} bytes, got {found.st_size}; simplify its lines")
    return _layer(file, found.st_mtime_ns)


@lru_cache(maxsize=1)
def _layer(file: Path, modified_ns: int) -> bytes:  # a file that was changed since is read again
    try:
        layer = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableMapError(f"{file} must be a readable GeoJSON file: {error}") from error
    features = layer.get("features") if isinstance(layer, dict) else None
    if not isinstance(features, list) or layer.get("type") != "FeatureCollection":
        raise UnusableMapError(f"{file} must be a GeoJSON FeatureCollection, as `ogr2ogr -f GeoJSON` writes")
    shapes = [shape for each in features if (shape := _shape(each)) is not None]
    return json.dumps({"type": "FeatureCollection", "features": shapes}).encode()


def _shape(feature: Any) -> dict[str, Any] | None:
    """The feature without its properties; None if it is neither line nor area."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    kinds = ("LineString", "MultiLineString", "Polygon", "MultiPolygon")
    if not isinstance(geometry, dict) or geometry.get("type") not in kinds:
        return None
    kept = {"type": geometry["type"], "coordinates": geometry.get("coordinates")}
    return {"type": "Feature", "properties": None, "geometry": kept} if _is_placed(kept) else None


def _is_placed(geometry: dict[str, Any]) -> bool:
    """Whether the coordinates are nested as deep as the geometry needs, down to longitude and latitude."""
    parts = [geometry["coordinates"]]
    for _ in range({"LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}[geometry["type"]]):
        if not all(isinstance(part, list) for part in parts):
            return False
        parts = [each for part in parts for each in part]
    return all(
        isinstance(point, list) and len(point) >= 2 and all(isinstance(value, int | float) for value in point[:2])
        for point in parts
    )
