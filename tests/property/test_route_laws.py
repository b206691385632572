import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import lognorm

from domain.cameras import Sighting, metres_between
from serving.matching.route import RouteSettings, likeliest_route, likeliest_routes, relative_probabilities

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MEDIAN, SPREAD, VIEW_M = 1.2, 0.4, 10.0
WALK = RouteSettings(
    max_walking_speed_m_s=2.0,
    walking_speed_m_s=MEDIAN,
    walking_speed_spread=SPREAD,
    view_m=VIEW_M,
    clock_tolerance_s=5,
    wandering_share=0.4,
    horizon_s=200,
    min_probability=0.2,
    most_routes=3,
)
PLACES = st.integers(0, 4)  # few, so that some sightings are of one camera


@st.composite
def sightings(draw: st.DrawFn, distinct: bool = False) -> list[Sighting]:
    """Up to seven sightings; `distinct` ones differ so much in probability that no two chains are equally likely."""
    seen = []
    for number in range(draw(st.integers(0, 7))):
        begin_s, lasts_s, north, east = draw(st.integers(0, 300)), draw(st.integers(0, 60)), draw(PLACES), draw(PLACES)
        seen.append(
            Sighting(
                district="demo",
                tracklet_id=number,
                camera_id=f"{north}-{east}",
                first_seen=NOON + timedelta(seconds=begin_s),
                last_seen=NOON + timedelta(seconds=begin_s + lasts_s),
                latitude=35.8 + north * 5e-4,
                longitude=128.6 + east * 5e-4,
                distance=0.0,
                match_probability=1 / (1 + math.exp(-(2**number) / 40)) if distinct else draw(st.floats(0, 1)),
                crop="",
            )
        )
    return seen


def in_time(seen: Iterable[Sighting]) -> list[Sighting]:
    return sorted(seen, key=lambda sighting: (sighting.first_seen, sighting.last_seen, sighting.tracklet_id))


def log_ratio(earlier: Sighting, later: Sighting, span_s: float) -> float:
    """Log-likelihood ratio of a walk; -inf if it is impossible."""
    gap_s = (later.first_seen - earlier.last_seen).total_seconds()
    metres = metres_between(earlier, later)
    nearest, farthest = max(metres - 2 * VIEW_M, 0), metres + 2 * VIEW_M
    tolerated_s = gap_s + (WALK.clock_tolerance_s if earlier.camera_id != later.camera_id else 0)
    if tolerated_s < 0 or nearest > WALK.max_walking_speed_m_s * tolerated_s:
        return -math.inf
    weighed = lognorm(s=SPREAD, scale=MEDIAN * math.exp(SPREAD**2))  # density of v x density of the speed at v
    time_s = max(gap_s, 1e-9)
    mean = lognorm(s=SPREAD, scale=MEDIAN).mean() * (weighed.cdf(farthest / time_s) - weighed.cdf(nearest / time_s))
    density = mean / (farthest - nearest)
    return math.log(WALK.wandering_share + (1 - WALK.wandering_share) * min(span_s, WALK.horizon_s) * density)


class Chains:
    """All possible chains of `seen` that contain all of `fixed`, by enumeration."""

    def __init__(self, seen: list[Sighting], fixed: Sequence[Sighting] = ()) -> None:
        likely = [sighting for sighting in seen if sighting.match_probability >= WALK.min_probability]
        self.ordered = in_time({sighting.tracklet_id: sighting for sighting in (*likely, *fixed)}.values())
        begins, ends = [stop.first_seen for stop in self.ordered], [stop.last_seen for stop in self.ordered]
        span_s = (max(ends) - min(begins)).total_seconds() if self.ordered else 0.0
        count = range(len(self.ordered))
        odds = [log_odds(stop) for stop in self.ordered]
        walks = {(i, j): log_ratio(self.ordered[i], self.ordered[j], span_s) for i, j in combinations(count, 2)}
        scored = {
            frozenset(ids(self.ordered[i] for i in chain)): sum(odds[i] for i in chain)
            + sum(walks[walk] for walk in pairwise(chain))
            for size in range(1, len(self.ordered) + 1)
            for chain in combinations(count, size)
        }
        self.log_odds = {chain: score for chain, score in scored.items() if score >= 0 and ids(fixed) <= chain}

    def routes(self, most: int) -> list[float]:
        """Log-odds of the likeliest chain, then of the likeliest through a sighting of none before; no supersets."""
        chosen: list[frozenset[int]] = []
        waiting = ids(self.ordered)
        while len(chosen) < most and (new := [chain for chain in self.log_odds if chain & waiting]):
            best = max(new, key=self.log_odds.__getitem__)
            waiting -= best
            if not any(earlier <= best for earlier in chosen):
                chosen.append(best)
        return [self.log_odds[chain] for chain in chosen]


def log_odds(sighting: Sighting) -> float:
    clipped = min(max(sighting.match_probability, 1e-6), 1 - 1e-6)
    return math.log(clipped / (1 - clipped))


def ids(chain: Iterable[Sighting]) -> set[int]:
    return {stop.tracklet_id for stop in chain}


@given(sightings())
def test_no_possible_chain_is_likelier(seen: list[Sighting]) -> None:
    routes, chains = likeliest_routes(seen, WALK, most=1), Chains(seen)
    assert [route.log_odds for route in routes] == pytest.approx(chains.routes(1), abs=1e-9)
    for route in routes:
        assert route.stops == in_time(route.stops)
        assert chains.log_odds[frozenset(ids(route.stops))] == pytest.approx(route.log_odds, abs=1e-9)


@given(sightings(distinct=True))
def test_alternatives_are_the_likeliest_chains_through_a_new_sighting(seen: list[Sighting]) -> None:
    routes = likeliest_routes(seen, WALK, most=4)
    assert [route.log_odds for route in routes] == pytest.approx(Chains(seen).routes(4), abs=1e-9)
    assert not any(ids(first.stops) <= ids(second.stops) for first, second in combinations(routes, 2))


@given(sightings(distinct=True), st.integers(1, 2))
def test_every_chain_has_the_confirmed_sightings(seen: list[Sighting], number: int) -> None:
    confirmed = [sighting.model_copy(update={"match_probability": 1.0}) for sighting in seen[:number]]
    routes = likeliest_routes(seen, WALK, confirmed=confirmed, most=4)
    fixed = likeliest_route(confirmed, WALK)
    expected = Chains(seen[number:], fixed).routes(4)
    assert [route.log_odds for route in routes] == pytest.approx(expected, abs=1e-9)
    assert bool(routes) == bool(seen)
    assert all(stop in route.stops for route in routes for stop in fixed)


@given(sightings(distinct=True))
def test_relative_probabilities_fall_and_add_up_to_one(seen: list[Sighting]) -> None:
    shares = relative_probabilities(likeliest_routes(seen, WALK, most=4))
    assert shares == sorted(shares, reverse=True)
    assert not shares or sum(shares) == pytest.approx(1)


@given(sightings(), st.randoms(use_true_random=False))
def test_the_order_of_the_hits_changes_nothing(seen: list[Sighting], random: object) -> None:
    shuffled = list(seen)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert likeliest_route(shuffled, WALK) == likeliest_route(seen, WALK)


def test_trying_all_would_notice_a_greedy_chain() -> None:
    def at(number: int, begin_s: int, end_s: int, probability: float) -> Sighting:
        return Sighting(
            district="demo",
            tracklet_id=number,
            camera_id="a",
            first_seen=NOON + timedelta(seconds=begin_s),
            last_seen=NOON + timedelta(seconds=end_s),
            latitude=35.8,
            longitude=128.6,
            distance=0.0,
            match_probability=probability,
            crop="",
        )

    seen = [at(1, 0, 10, 0.9), at(2, 20, 30, 0.9), at(3, 0, 30, 0.95)]
    greedy = seen[2]  # takes the likeliest first
    assert (
        log_odds(greedy) < Chains(seen).routes(1)[0] == pytest.approx(likeliest_routes(seen, WALK, most=1)[0].log_odds)
    )
