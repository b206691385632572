import math
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cameras import Sighting, metres_between
from serving.searching.route import RouteSettings, likeliest_route, likeliest_routes, relative_probabilities

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
WALK = RouteSettings(max_walking_speed_m_s=2.0, min_probability=0.5, most_routes=3)


@st.composite
def sightings(draw: st.DrawFn, distinct: bool = False) -> list[Sighting]:
    """Up to seven; `distinct` ones differ so much in probability that no two chains are equally likely by chance."""
    found = []
    for number in range(draw(st.integers(0, 7))):
        begin_s, lasts_s = draw(st.integers(0, 300)), draw(st.integers(0, 60))
        found.append(
            Sighting(
                district="demo",
                tracklet_id=number,
                camera_id=str(number),
                first_seen=NOON + timedelta(seconds=begin_s),
                last_seen=NOON + timedelta(seconds=begin_s + lasts_s),
                latitude=35.8 + draw(st.integers(0, 4)) * 5e-4,
                longitude=128.6 + draw(st.integers(0, 4)) * 5e-4,
                distance=0.0,
                match_probability=1 / (1 + math.exp(-(2**number) / 40)) if distinct else draw(st.floats(0, 1)),
                crop="",
            )
        )
    return found


def is_possible(chain: tuple[Sighting, ...]) -> bool:
    """Every pair, not only neighbours: in time order, apart, and on foot."""
    for one, other in combinations(chain, 2):
        earlier, later = sorted((one, other), key=lambda each: (each.first_seen, each.last_seen))
        gap_s = (later.first_seen - earlier.last_seen).total_seconds()
        if gap_s < 0 or metres_between(earlier, later) > WALK.max_walking_speed_m_s * gap_s + 1e-6:
            return False
    return True


def log_odds(chain: tuple[Sighting, ...]) -> float:
    clipped = [min(max(one.match_probability, 1e-6), 1 - 1e-6) for one in chain]
    return sum(math.log(each / (1 - each)) for each in clipped)


def best_by_trying_all(found: list[Sighting]) -> float:
    chains = (chain for size in range(len(found) + 1) for chain in combinations(found, size))
    return max(log_odds(chain) for chain in chains if is_possible(chain))


@given(sightings())
def test_no_possible_chain_is_likelier(found: list[Sighting]) -> None:
    route = likeliest_route(found, WALK)
    assert is_possible(tuple(route))
    assert log_odds(tuple(route)) == pytest.approx(best_by_trying_all(found), abs=1e-9)


def routes_by_trying_all(found: list[Sighting], fixed: tuple[Sighting, ...], most: int) -> list[float]:
    """Log-odds of the likeliest chain, then of the likeliest through a sighting that none before has."""
    likely = [one for one in found if one.match_probability >= WALK.min_probability]
    chains = [chain for size in range(1, len(likely) + 1) for chain in combinations(likely, size)]
    waiting = [chain for chain in chains if is_possible(chain) and ids(fixed) <= ids(chain)]
    chosen: list[float] = []
    covered: set[int] = set()
    while len(chosen) < most and (new := [chain for chain in waiting if not ids(chain) <= covered]):
        best = max(new, key=log_odds)
        chosen.append(log_odds(best))
        covered |= ids(best)
    return chosen


def ids(chain: tuple[Sighting, ...]) -> set[int]:
    return {one.tracklet_id for one in chain}


@given(sightings(distinct=True))
def test_alternatives_are_the_likeliest_chains_through_something_new(found: list[Sighting]) -> None:
    routes = likeliest_routes(found, WALK, most=4)
    assert all(is_possible(tuple(route.stops)) for route in routes)
    assert [route.log_odds for route in routes] == pytest.approx(routes_by_trying_all(found, (), 4), abs=1e-9)


@given(sightings(distinct=True), st.integers(1, 2))
def test_every_chain_has_the_confirmed_sightings(found: list[Sighting], number: int) -> None:
    confirmed = [one.model_copy(update={"match_probability": 1.0}) for one in found[:number]]
    routes = likeliest_routes(found, WALK, confirmed=confirmed, most=4)
    fixed = tuple(likeliest_route(confirmed, WALK))
    others = [one for one in found[number:] if is_possible((*fixed, one))]
    expected = routes_by_trying_all([*fixed, *others], fixed, 4)
    assert [route.log_odds for route in routes] == pytest.approx(expected, abs=1e-9)
    assert all(stop in route.stops for route in routes for stop in fixed)


@given(sightings(distinct=True))
def test_relative_probabilities_fall_and_add_up_to_one(found: list[Sighting]) -> None:
    shares = relative_probabilities(likeliest_routes(found, WALK, most=4))
    assert shares == sorted(shares, reverse=True)
    assert not shares or sum(shares) == pytest.approx(1)


@given(sightings(), st.randoms(use_true_random=False))
def test_the_order_of_the_hits_changes_nothing(found: list[Sighting], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert likeliest_route(shuffled, WALK) == likeliest_route(found, WALK)


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

    found = [at(1, 0, 10, 0.9), at(2, 20, 30, 0.9), at(3, 0, 30, 0.95)]
    greedy = (found[2],)  # takes the likeliest first
    assert log_odds(greedy) < best_by_trying_all(found) == pytest.approx(log_odds(tuple(likeliest_route(found, WALK))))
