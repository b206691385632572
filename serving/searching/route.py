"""Routes: the likeliest time-ordered chains of sightings that one person on foot can have made."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt

from domain.cameras import Sighting, metres_between
from domain.settings import Settings

_CERTAIN = 1e-6  # probabilities nearer to 0 or 1 count as this near, so that no single one rules
_COLUMNS = (
    "route", "stop", "district", "tracklet_id", "camera_id", "latitude", "longitude", "first_seen", "last_seen",
    "match_probability",
)  # fmt: skip
_Seen = TypeVar("_Seen", bound=Sighting)


class RouteSettings(Settings):
    """What a person on foot can do, and how many answers are given."""

    max_walking_speed_m_s: PositiveFloat
    min_probability: float = Field(ge=0.5, lt=1)  # a sighting less likely than this is no part of a route
    most_routes: PositiveInt  # in an answer: the likeliest and its alternatives


@dataclass(frozen=True)
class Route(Generic[_Seen]):
    """One chain."""

    stops: list[_Seen]  # in order of time
    log_odds: float  # sum over its stops of ln(p / (1 - p)) for their match probabilities p


def likeliest_route(sightings: Sequence[_Seen], settings: RouteSettings) -> list[_Seen]:
    """The first of `likeliest_routes`; empty when no sighting is likely enough."""
    routes = likeliest_routes(sightings, settings, most=1)
    return routes[0].stops if routes else []


def likeliest_routes(
    sightings: Sequence[_Seen], settings: RouteSettings, *, confirmed: Sequence[_Seen] = (), most: int
) -> list[Route[_Seen]]:
    """Up to `most` chains, the likeliest first; none when no sighting is likely enough.

    The likeliest has the largest sum of log-odds. Each alternative is the likeliest chain through any sighting that no
    chain before it has, so no two differ by an omission only.

    Nobody is in two places at once or walks faster than the settings allow: each sighting begins after the one before
    it ended, and leaves time for the straight way between the two cameras. By the triangle inequality this then holds
    for any two of the chain. A sighting adds ln(p / (1 - p)) for its match probability p, so one less likely than not
    never helps.

    Dynamic programming over sightings by time, forward and backward, quadratic in their number.

    Args:
        sightings: those that may show the person.
        settings: see `RouteSettings`.
        confirmed: sightings of probability 1, which are fixed points: the likeliest chain of them alone is part of
            every chain, and of the others only those count that fit to it.
        most: how many.
    """
    fixed = likeliest_route(confirmed, settings) if confirmed else []
    speed_m_s, judged = settings.max_walking_speed_m_s, {_key(one) for one in confirmed}
    likely = [
        one
        for one in sightings
        if one.match_probability >= settings.min_probability
        and _key(one) not in judged
        and all(_can_follow(stop, one, speed_m_s) or _can_follow(one, stop, speed_m_s) for stop in fixed)
    ]
    ordered = sorted([*fixed, *likely], key=lambda one: (one.first_seen, one.last_seen, _key(one)))
    odds = [_log_odds(one.match_probability) for one in ordered]
    count = range(len(ordered))
    earlier = [[j for j in range(i) if _can_follow(ordered[j], ordered[i], speed_m_s)] for i in count]
    later: list[list[int]] = [[] for _ in count]
    for i, those in enumerate(earlier):
        for j in those:
            later[j].append(i)
    until, previous = _best_chains(count, odds, earlier)
    since, following = _best_chains(reversed(count), odds, later)
    routes: list[Route[_Seen]] = []
    new = list(count)
    while new and len(routes) < most:
        middle = max(new, key=lambda i: until[i] + since[i] - odds[i])
        chain = [*_walk(middle, previous)[:0:-1], *_walk(middle, following)]
        new = [i for i in new if i not in chain]
        routes.append(Route([ordered[i] for i in chain], sum(odds[i] for i in chain)))
    return routes


def relative_probabilities(routes: Sequence[Route[_Seen]]) -> list[float]:
    """How likely each is if one of them is right; they add up to 1.

    Example:
        >>> [round(each, 2) for each in relative_probabilities([Route([], math.log(3)), Route([], 0.0)])]
        [0.75, 0.25]
    """
    likeliest = max((route.log_odds for route in routes), default=0.0)
    odds = [math.exp(route.log_odds - likeliest) for route in routes]
    return [each / sum(odds) for each in odds]


def routes_geojson(routes: Sequence[Sequence[Sighting]]) -> dict[str, Any]:
    """`routes` as a GeoJSON FeatureCollection (RFC 7946): of each a line through the cameras, then a point a sighting.

    A route of fewer than two sightings has no line. Positions are longitude, latitude; times ISO 8601.
    """
    features = []
    for number, route in enumerate(routes, start=1):
        positions = [[one.longitude, one.latitude] for one in route]
        if len(route) > 1:
            features.append(_feature("LineString", positions, {"route": number, "sightings": len(route)}))
        for stop, (one, position) in enumerate(zip(route, positions, strict=True), start=1):
            seen = one.model_dump(
                mode="json",
                include={
                    "district",
                    "tracklet_id",
                    "camera_id",
                    "first_seen",
                    "last_seen",
                    "match_probability",
                    "crop",
                },
            )
            features.append(_feature("Point", position, {"route": number, "stop": stop, **seen}))
    return {"type": "FeatureCollection", "features": features}


def routes_csv(routes: Sequence[Sequence[Sighting]]) -> str:
    """`routes` as a table of place and time (RFC 4180), one line a stop; times ISO 8601."""
    text = io.StringIO()
    table = csv.DictWriter(text, _COLUMNS, extrasaction="ignore")
    table.writeheader()
    for number, route in enumerate(routes, start=1):
        for stop, one in enumerate(route, start=1):
            table.writerow({"route": number, "stop": stop, **one.model_dump(mode="json")})
    return text.getvalue()


def _best_chains(
    order: Iterable[int], odds: Sequence[float], neighbours: Sequence[Sequence[int]]
) -> tuple[dict[int, float], dict[int, int | None]]:
    """Log-odds of the best chain that ends with each sighting, and the one before it, taken in `order`."""
    best: dict[int, float] = {}
    before: dict[int, int | None] = {}
    for i in order:
        before[i] = max(neighbours[i], key=lambda j: best[j], default=None)
        best[i] = odds[i] + max((best[j] for j in neighbours[i]), default=0.0)
    return best, before


def _walk(start: int, next_of: Mapping[int, int | None]) -> list[int]:
    chain: list[int] = []
    place: int | None = start
    while place is not None:
        chain.append(place)
        place = next_of[place]
    return chain


def _key(one: Sighting) -> tuple[str, int]:
    return one.district, one.tracklet_id


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
