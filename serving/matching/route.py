"""Routes: the likeliest time-ordered chains of sightings that one person on foot can have made."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import Field, PositiveInt

from domain.cameras import Sighting
from serving.matching.walking import WalkingSettings, walking_log_ratios

_CERTAIN = 1e-6  # probabilities nearer to 0 or 1 count as this near, so that no single one rules
_COLUMNS = (
    "route", "stop", "district", "tracklet_id", "camera_id", "latitude", "longitude", "first_seen", "last_seen",
    "match_probability",
)  # fmt: skip
_Seen = TypeVar("_Seen", bound=Sighting)


class RouteSettings(WalkingSettings):
    """Settings of routes and of the walking times in them."""

    min_probability: float = Field(gt=0, lt=1)
    most_routes: PositiveInt


@dataclass(frozen=True)
class Route(Generic[_Seen]):
    """One chain."""

    stops: list[_Seen]  # in order of time
    log_odds: float  # that its stops are the person, by their looks and by the walks between them


def likeliest_route(sightings: Sequence[_Seen], settings: RouteSettings) -> list[_Seen]:
    """The first of `likeliest_routes`; empty when no sighting is likely enough."""
    routes = likeliest_routes(sightings, settings, most=1)
    return routes[0].stops if routes else []


def likeliest_routes(
    sightings: Sequence[_Seen], settings: RouteSettings, *, confirmed: Sequence[_Seen] = (), most: int
) -> list[Route[_Seen]]:
    """Up to `most` chains, the likeliest first; none when none is as likely as not.

    The likeliest has the largest log-odds: the sum of ln(p / (1 - p)) over its stops, for their match probabilities p,
    and of `walking_log_ratios` over the walks from stop to stop. By Bayes' rule these are the odds that the stops are
    the person against that all are strangers, if looks and walks err independently. So time and place can outweigh that
    a sighting is less likely than not by its looks, and nobody walks faster than the settings allow.

    Each alternative is the likeliest chain through any sighting that no chain before has; where that only adds stops to
    one of those it is passed over, so no two differ by an omission only.

    Dynamic programming over sightings by time, forward and backward, quadratic in their number.

    Args:
        sightings: those that may show the person.
        settings: see `RouteSettings`.
        confirmed: sightings of probability 1, which are fixed points: the likeliest chain of them alone is part of
            every chain.
        most: how many.
    """
    fixed = likeliest_route(confirmed, settings) if confirmed else []
    judged = {_key(one) for one in confirmed}
    likely = [one for one in sightings if one.match_probability >= settings.min_probability and _key(one) not in judged]
    ordered = sorted([*fixed, *likely], key=lambda one: (one.first_seen, one.last_seen, _key(one)))
    odds = np.array([_log_odds(one.match_probability) for one in ordered])
    is_fixed = np.array([_key(one) in judged for one in ordered], bool)
    until = np.cumsum(is_fixed)  # number of fixed stops, each sighting included; no walk, begin or end leaves one out
    before = until - is_fixed
    walks = np.where(before > until[:, None], -np.inf, walking_log_ratios(ordered, settings))
    begin, end = (np.where(missed, -np.inf, 0.0) for missed in (before > 0, until < len(fixed)))
    count = range(len(ordered))
    best_until, previous = _best_chains(count, odds, walks, begin)
    best_since, following = _best_chains(reversed(count), odds, walks.T, end)
    log_odds = best_until + best_since - odds  # of the likeliest chain through each sighting
    routes: list[Route[_Seen]] = []
    chains: list[set[int]] = []
    new = list(count)
    while new and len(routes) < most:
        middle = max(new, key=log_odds.__getitem__)
        if log_odds[middle] < 0:
            break
        chain = [*_walk(middle, previous)[:0:-1], *_walk(middle, following)]
        new = [i for i in new if i not in chain]
        if not any(earlier <= set(chain) for earlier in chains):
            chains.append(set(chain))
            routes.append(Route([ordered[i] for i in chain], float(log_odds[middle])))
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
    order: Iterable[int], odds: np.ndarray, walks: np.ndarray, alone: np.ndarray
) -> tuple[np.ndarray, list[int | None]]:
    """Log-odds of the likeliest chain that ends with each sighting, and the one before it, taken in `order`.

    Args:
        order: of the sightings, each after all from which a walk leads to it.
        odds: log-odds of each by its looks, float64 [sighting].
        walks: log ratio of each walk, float64 [from, to]; -inf where there is none.
        alone: 0 where a chain may be of one sighting, else -inf; float64 [sighting].
    """
    best = np.full(len(odds), -np.inf)
    before: list[int | None] = [None] * len(odds)
    for i in order:
        reached = best + walks[:, i]
        nearest = int(reached.argmax())
        if reached[nearest] > alone[i]:
            before[i] = nearest
        best[i] = odds[i] + max(reached[nearest], alone[i])
    return best, before


def _walk(start: int, next_of: Sequence[int | None]) -> list[int]:
    chain: list[int] = []
    place: int | None = start
    while place is not None:
        chain.append(place)
        place = next_of[place]
    return chain


def _key(one: Sighting) -> tuple[str, int]:
    return one.district, one.tracklet_id


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, _CERTAIN), 1 - _CERTAIN)
    return math.log(clipped / (1 - clipped))


def _feature(kind: str, coordinates: list[Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }
