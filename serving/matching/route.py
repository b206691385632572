"""Routes: the likeliest time-ordered chains of sightings that one person can have made."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveInt

from domain.cameras import Sighting
from serving.matching.transits import Transits
from serving.matching.walking import WalkingSettings, walking_log_ratios

_CERTAIN = 1e-6  # probabilities are clipped to this distance from 0 and 1, so that no single stop dominates
_Seen = TypeVar("_Seen", bound=Sighting)


class RouteSettings(WalkingSettings):
    """Settings of routes and of the walking times in them."""

    min_probability: float = Field(gt=0, lt=1)
    most_routes: PositiveInt


@dataclass(frozen=True)
class Route(Generic[_Seen]):
    """Chain of sightings."""

    stops: list[_Seen]  # in order of time
    log_odds: float  # that all stops show the person, by appearance and walking times


def likeliest_route(
    sightings: Sequence[_Seen], settings: RouteSettings, transits: Transits | None = None
) -> list[_Seen]:
    """Stops of the first of `likeliest_routes`; empty if no sighting is likely enough."""
    routes = likeliest_routes(sightings, settings, most=1, transits=transits)
    return routes[0].stops if routes else []


def likeliest_routes(
    sightings: Sequence[_Seen],
    settings: RouteSettings,
    *,
    confirmed: Sequence[_Seen] = (),
    most: int,
    transits: Transits | None = None,
) -> list[Route[_Seen]]:
    """Up to `most` chains, the likeliest first; a chain with negative log-odds is left out.

    The log-odds of a chain are the sum of ln(p / (1 - p)) over its stops, with match probability p, and of
    `Transits.between` over the walks from stop to stop. By Bayes' rule these are the odds that all stops show the
    person against that all show strangers, if errors of appearance and of walking times are independent. So time and
    place can make up for an appearance that is less likely than not, and no walk is faster than the settings allow.

    Each alternative is the likeliest chain through a sighting that no earlier chain contains. A chain that only adds
    stops to an earlier one is left out, so no two chains differ by an omission only.

    Method: dynamic programming over the sightings by time, forward and backward; quadratic in their number.

    Args:
        sightings: sightings that may show the person.
        settings: see `RouteSettings`.
        confirmed: sightings of probability 1. The likeliest chain of these alone is part of every chain.
        most: maximum number of chains.
        transits: transit times; None: all are on foot by `settings`.
    """
    fixed = likeliest_route(confirmed, settings, transits) if confirmed else []
    judged = {_key(sighting) for sighting in confirmed}
    likely = [
        sighting
        for sighting in sightings
        if sighting.match_probability >= settings.min_probability and _key(sighting) not in judged
    ]
    ordered = sorted([*fixed, *likely], key=lambda stop: (stop.first_seen, stop.last_seen, _key(stop)))
    odds = np.array([_log_odds(sighting.match_probability) for sighting in ordered])
    is_fixed = np.array([_key(sighting) in judged for sighting in ordered], bool)
    until = np.cumsum(
        is_fixed
    )  # number of fixed stops up to and with each sighting; no walk, begin or end may skip one
    before = until - is_fixed
    ratios = walking_log_ratios(ordered, settings) if transits is None else transits.between(ordered)
    walks = np.where(before > until[:, None], -np.inf, ratios)
    begin, end = (np.where(missed, -np.inf, 0.0) for missed in (before > 0, until < len(fixed)))
    count = range(len(ordered))
    best_until, previous = _best_chains(count, odds, walks, begin)
    best_since, following = _best_chains(reversed(count), odds, walks.T, end)
    log_odds = best_until + best_since - odds  # likeliest chain through each sighting
    routes: list[Route[_Seen]] = []
    chains: list[set[int]] = []
    uncovered = list(count)
    while uncovered and len(routes) < most:
        middle = max(uncovered, key=log_odds.__getitem__)
        if log_odds[middle] < 0:
            break
        chain = [*_walk(middle, previous)[:0:-1], *_walk(middle, following)]
        uncovered = [i for i in uncovered if i not in chain]
        if not any(earlier <= set(chain) for earlier in chains):
            chains.append(set(chain))
            routes.append(Route([ordered[i] for i in chain], float(log_odds[middle])))
    return routes


def relative_probabilities(routes: Sequence[Route[_Seen]]) -> list[float]:
    """Probability of each route if one of them is right; they add up to 1.

    Example:
        >>> [round(share, 2) for share in relative_probabilities([Route([], math.log(3)), Route([], 0.0)])]
        [0.75, 0.25]
    """
    likeliest = max((route.log_odds for route in routes), default=0.0)
    odds = [math.exp(route.log_odds - likeliest) for route in routes]
    total = sum(odds)
    return [value / total for value in odds]


def _best_chains(
    order: Iterable[int],
    odds: Float[np.ndarray, " sighting"],
    walks: Float[np.ndarray, "sighting sighting"],
    alone: Float[np.ndarray, " sighting"],
) -> tuple[Float[np.ndarray, " sighting"], list[int | None]]:
    """Log-odds of the likeliest chain that ends with each sighting, and the previous sighting in this chain.

    Args:
        order: indices of the sightings; each comes after all sightings from which a walk leads to it.
        odds: log-odds by appearance.
        walks: log-likelihood ratio of the walk from row to column; -inf if it is impossible.
        alone: 0 if a chain may consist of the sighting alone, else -inf.
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


def _key(sighting: Sighting) -> tuple[str, int]:
    return sighting.district, sighting.tracklet_id


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, _CERTAIN), 1 - _CERTAIN)
    return math.log(clipped / (1 - clipped))
