import math
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cameras import Sighting, metres_between
from serving.route import RouteSettings, likeliest_route

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
WALK = RouteSettings(max_walking_speed_m_s=2.0, min_probability=0.5)


@st.composite
def sightings(draw: st.DrawFn) -> list[Sighting]:
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
                match_probability=draw(st.floats(0, 1)),
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
