"""Files of routes for people: cameras by name, and times as clocks at the camera show them."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from domain.cameras import CameraKey, Sighting
from domain.csv_cells import inert

_COLUMNS = (
    "route", "stop", "district", "tracklet_id", "camera_id", "camera_name", "latitude", "longitude", "first_seen",
    "last_seen", "match_probability",
)  # fmt: skip
_PROPERTIES = {"district", "tracklet_id", "camera_id", "match_probability", "crop"}


class NamedCamera(NamedTuple):
    """What people call a camera, and its time zone."""

    name: str
    zone: ZoneInfo


def routes_geojson(
    routes: Sequence[Sequence[Sighting]],
    cameras: Mapping[CameraKey, NamedCamera],
    told: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """`routes` as a GeoJSON FeatureCollection (RFC 7946): for each route a line, then a point for each sighting.

    A route of fewer than two sightings has no line. Positions are longitude, latitude; times ISO 8601 with the offset
    of the camera's time zone. Last comes a point for each stop that was `told` and no camera saw; its other fields are
    properties.
    """
    features = []
    for number, route in enumerate(routes, start=1):
        positions = [[sighting.longitude, sighting.latitude] for sighting in route]
        if len(route) > 1:
            features.append(_feature("LineString", positions, {"route": number, "sightings": len(route)}))
        for stop, (sighting, position) in enumerate(zip(route, positions, strict=True), start=1):
            properties = sighting.model_dump(mode="json", include=_PROPERTIES) | _at_camera(sighting, cameras)
            features.append(_feature("Point", position, {"route": number, "stop": stop, **properties}))
    for witness in told:
        others = {name: value for name, value in witness.items() if name not in ("latitude", "longitude")}
        features.append(_feature("Point", [witness["longitude"], witness["latitude"]], others))
    return {"type": "FeatureCollection", "features": features}


def routes_csv(routes: Sequence[Sequence[Sighting]], cameras: Mapping[CameraKey, NamedCamera]) -> str:
    """`routes` as CSV (RFC 4180), one line per stop; times ISO 8601 with the offset of the camera's time zone."""
    text = io.StringIO()
    table = csv.DictWriter(text, _COLUMNS, extrasaction="ignore")
    table.writeheader()
    for number, route in enumerate(routes, start=1):
        for stop, sighting in enumerate(route, start=1):
            row = sighting.model_dump(mode="json") | _at_camera(sighting, cameras)
            table.writerow(inert({"route": number, "stop": stop, **row}))
    return text.getvalue()


def _at_camera(sighting: Sighting, cameras: Mapping[CameraKey, NamedCamera]) -> dict[str, str]:
    """Name of the camera and times of the sighting; of a camera that has been removed, its id and UTC."""
    camera = cameras.get((sighting.district, sighting.camera_id), NamedCamera(sighting.camera_id, ZoneInfo("UTC")))

    def clock(time: datetime) -> str:
        return time.astimezone(camera.zone).isoformat()

    return {
        "camera_name": camera.name,
        "first_seen": clock(sighting.first_seen),
        "last_seen": clock(sighting.last_seen),
    }


def _feature(kind: str, coordinates: list[Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }
