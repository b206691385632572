"""Route: the likeliest time-ordered chain of sightings that one person on foot can have made."""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveFloat

from domain.cameras import Sighting, metres_between
from domain.settings import Settings

_CERTAIN = 1e-6  # probabilities nearer to 0 or 1 count as this near, so that no single one rules


class RouteSettings(Settings):
    """What a person on foot can do."""

    max_walking_speed_m_s: PositiveFloat
    min_probability: float = Field(ge=0.5, lt=1)  # a sighting less likely than this is no part of a route


def likeliest_route(sightings: Sequence[Sighting], settings: RouteSettings) -> list[Sighting]:
    """The chain with the largest sum of log-odds, in order of time; empty when no sighting is likely enough.

    Nobody is in two places at once or walks faster than the settings allow: each sighting begins after the one before
    it ended, and leaves time for the straight way between the two cameras. By the triangle inequality this then holds
    for any two of the chain. A sighting adds ln(p / (1 - p)) for its match probability p, so one less likely than not
    never helps. Of equally likely chains, the one that ends earliest.

    Dynamic programming over sightings by time, quadratic in their number.
    """
    likely = [one for one in sightings if one.match_probability >= settings.min_probability]
    ordered = sorted(likely, key=lambda one: (one.first_seen, one.last_seen, one.tracklet_id))
    best: list[float] = []  # log-odds of the best chain that ends with each sighting
    before: list[int | None] = []
    for later in ordered:
        reachable = [i for i in range(len(best)) if _can_follow(ordered[i], later, settings.max_walking_speed_m_s)]
        previous = max(reachable, key=lambda i: best[i], default=None)
        best.append(_log_odds(later.match_probability) + (best[previous] if previous is not None else 0.0))
        before.append(previous)
    last = max(range(len(best)), key=lambda i: best[i], default=None)
    chain: list[Sighting] = []
    while last is not None:
        chain.append(ordered[last])
        last = before[last]
    return chain[::-1]


def route_geojson(route: Sequence[Sighting]) -> dict[str, Any]:
    """`route` as a GeoJSON FeatureCollection (RFC 7946): a line through the cameras, then a point a sighting.

    A route of fewer than two sightings has no line. Positions are longitude, latitude; times ISO 8601.
    """
    positions = [[one.longitude, one.latitude] for one in route]
    features = [_feature("LineString", positions, {"sightings": len(route)})] if len(route) > 1 else []
    for order, (one, position) in enumerate(zip(route, positions, strict=True), start=1):
        seen = one.model_dump(mode="json", include={"tracklet_id", "camera_id", "first_seen", "last_seen", "crop"})
        features.append(
            _feature("Point", position, {"order": order, "match_probability": one.match_probability, **seen})
        )
    return {"type": "FeatureCollection", "features": features}


def _can_follow(earlier: Sighting, later: Sighting, max_walking_speed_m_s: float) -> bool:
    time_s = (later.first_seen - earlier.last_seen).total_seconds()
    return time_s >= 0 and metres_between(earlier, later) <= max_walking_speed_m_s * time_s


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, _CERTAIN), 1 - _CERTAIN)
    return math.log(clipped / (1 - clipped))


def _feature(kind: str, coordinates: list[Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }
