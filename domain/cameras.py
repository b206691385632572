"""Cameras with their position on the map, and sightings."""

import math
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.names import Name

_EARTH_RADIUS_M = 6_371_008.8
CameraKey = tuple[str, str]  # district, camera id


class Camera(BaseModel):
    """A camera of a district."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name
    name: str
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    fps: float = Field(ge=0.01, le=1000)
    width_px: int = Field(ge=1, le=65535)
    height_px: int = Field(ge=1, le=65535)
    start: datetime | None = None  # start of the camera's video in videos/, with a time zone


class Sighting(BaseModel):
    """A tracklet in the answer of a search: one person, seen once by one camera."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: str
    tracklet_id: int  # unique in its district
    camera_id: str
    first_seen: datetime
    last_seen: datetime
    latitude: float
    longitude: float
    distance: float  # to the query, after re-ranking and attribute evidence; smaller is nearer
    match_probability: float = Field(ge=0, le=1)
    crop: str  # path of the best crop, relative to the store's folder
    attributes: dict[str, dict[str, float]] = {}  # group -> label -> probability


class Place(Protocol):
    """An object with a position on the map."""

    @property
    def latitude(self) -> float:
        """Degrees north of the equator."""

    @property
    def longitude(self) -> float:
        """Degrees east of Greenwich."""


def metres_between(place: Place, other: Place) -> float:
    """Great-circle distance between two places in metres (haversine)."""
    latitude, other_latitude = math.radians(place.latitude), math.radians(other.latitude)
    half_chord = (
        math.sin((other_latitude - latitude) / 2) ** 2
        + math.cos(latitude)
        * math.cos(other_latitude)
        * math.sin(math.radians(other.longitude - place.longitude) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS_M * math.asin(math.sqrt(min(half_chord, 1.0)))  # rounding: antipodes may exceed 1
