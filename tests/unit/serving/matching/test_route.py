import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.cameras import Sighting
from serving.matching.route import RouteSettings, likeliest_route, likeliest_routes
from serving.matching.transits import Transits
from tests.helpers.deployments import write_learnt_times

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TIMELESS = RouteSettings(  # walks have no weight, they are possible or not
    max_walking_speed_m_s=2.0,
    walking_speed_m_s=1.2,
    walking_speed_spread=0.3,
    view_m=1e-6,
    clock_tolerance_s=0,
    wandering_share=1,
    horizon_s=3600,
    min_probability=0.5,
    most_routes=3,
)
WEIGHED = TIMELESS.model_copy(update={"wandering_share": 0.5, "view_m": 10.0, "min_probability": 0.3})
METRES_PER_DEGREE = 111_195.08  # of latitude, on the sphere that domain.cameras uses


def sighting(number: int, begin_s: float, end_s: float, metres_north: float, probability: float) -> Sighting:
    return Sighting(
        district="demo",
        tracklet_id=number,
        camera_id=f"north{metres_north:.0f}",
        first_seen=NOON + timedelta(seconds=begin_s),
        last_seen=NOON + timedelta(seconds=end_s),
        latitude=35.8 + metres_north / METRES_PER_DEGREE,
        longitude=128.6,
        distance=0.1,
        match_probability=probability,
        crop=f"crops/{number}.jpg",
    )


def ids(route: list[Sighting]) -> list[int]:
    return [one.tracklet_id for one in route]


def test_a_route_is_in_order_of_time_whatever_the_order_of_the_hits() -> None:
    first, second, third = (
        sighting(1, 0, 10, 0, 0.9),
        sighting(2, 100, 110, 100, 0.8),
        sighting(3, 200, 210, 200, 0.7),
    )
    assert ids(likeliest_route([third, first, second], TIMELESS)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("gap_s", "route"),
    [
        pytest.param(50.5, [1, 2], id="exactly fast enough"),
        pytest.param(49.0, [2], id="too fast: the likelier one alone"),
        pytest.param(-5.0, [2], id="overlapping in time"),
    ],
)
def test_a_hundred_metres_at_two_metres_a_second_need_fifty_seconds(gap_s: float, route: list[int]) -> None:
    near, far = sighting(1, 0, 10, 0, 0.8), sighting(2, 10 + gap_s, 100 + gap_s, 100, 0.9)
    assert ids(likeliest_route([near, far], TIMELESS)) == route


def test_two_likely_sightings_outweigh_one_that_excludes_them() -> None:
    both = [sighting(1, 0, 10, 0, 0.9), sighting(3, 300, 310, 0, 0.9)]
    impossible = sighting(2, 5, 305, 500, 0.95)
    assert ids(likeliest_route([*both, impossible], TIMELESS)) == [1, 3]


def test_an_unlikely_sighting_is_no_part_of_a_route() -> None:
    assert likeliest_route([sighting(1, 0, 10, 0, 0.4)], TIMELESS) == []
    assert likeliest_route([], TIMELESS) == []


def test_certain_sightings_have_finite_log_odds() -> None:
    assert ids(likeliest_route([sighting(1, 0, 10, 0, 1.0)], TIMELESS)) == [1]


@pytest.mark.parametrize(
    ("metres", "route"),
    [pytest.param(0, [1, 2], id="the same place"), pytest.param(1, [2], id="another place")],
)
def test_a_stop_that_begins_as_the_one_before_ends_must_be_at_its_place(metres: float, route: list[int]) -> None:
    assert ids(likeliest_route([sighting(1, 0, 10, 0, 0.8), sighting(2, 10, 20, metres, 0.9)], TIMELESS)) == route


def test_an_alternative_passes_a_sighting_that_the_likeliest_cannot() -> None:
    common = [sighting(1, 0, 10, 0, 0.9), sighting(4, 300, 310, 0, 0.9)]
    north, south = sighting(2, 100, 110, 50, 0.8), sighting(3, 105, 115, -50, 0.7)
    first, second = likeliest_routes([*common, north, south], TIMELESS, most=3)
    assert (ids(first.stops), ids(second.stops)) == ([1, 2, 4], [1, 3, 4])
    assert first.log_odds == pytest.approx(math.log(9 * 4 * 9))


def test_a_walk_of_the_right_time_outweighs_appearance() -> None:
    last, doubtful, late = sighting(1, 0, 10, 0, 0.9), sighting(2, 94, 100, 100, 0.4), sighting(3, 2000, 2010, 100, 0.4)
    assert ids(likeliest_route([last, doubtful, late], WEIGHED)) == [1, 2]
    assert ids(likeliest_route([last, doubtful, late], TIMELESS)) == [1]


def test_of_two_look_alikes_the_one_who_came_in_time_is_the_person() -> None:
    seen = [sighting(1, 0, 10, 0, 0.9), sighting(2, 94, 104, 100, 0.6), sighting(3, 64, 96, 100, 0.65)]
    first, second = likeliest_routes([*seen, sighting(4, 3000, 3010, 0, 0.8)], WEIGHED, most=2)
    assert (ids(first.stops), ids(second.stops)) == ([1, 2, 4], [1, 3, 4])
    assert ids(likeliest_route(seen, TIMELESS)) == [1, 3]


def test_a_chain_that_is_less_likely_than_not_is_no_route() -> None:
    assert likeliest_routes([sighting(1, 0, 10, 0, 0.4)], WEIGHED, most=3) == []


def test_an_alternative_that_only_adds_a_doubtful_stop_is_none() -> None:
    seen = [sighting(1, 0, 10, 0, 0.99), sighting(2, 1500, 1510, 100, 0.4), sighting(3, 3000, 3010, 0, 0.99)]
    assert [ids(route.stops) for route in likeliest_routes(seen, WEIGHED, most=3)] == [[1, 3]]


@pytest.mark.parametrize(
    ("tolerance_s", "route"), [pytest.param(3, [1, 2], id="of three seconds"), pytest.param(1, [2], id="of one")]
)
def test_clocks_may_differ_by_the_tolerance(tolerance_s: float, route: list[int]) -> None:
    settings = WEIGHED.model_copy(update={"clock_tolerance_s": tolerance_s})
    overlapping = [sighting(1, 0, 10, 0, 0.8), sighting(2, 8, 20, 20, 0.9)]
    assert ids(likeliest_route(overlapping, settings)) == route


def test_confirmed_sightings_are_kept_even_where_likelier_ones_exclude_them() -> None:
    confirmed = sighting(1, 100, 110, 0, 1.0)
    others = [sighting(2, 0, 105, 0, 0.99), sighting(3, 108, 300, 0, 0.99), sighting(4, 400, 410, 0, 0.6)]
    assert [ids(route.stops) for route in likeliest_routes(others, TIMELESS, confirmed=[confirmed], most=3)] == [[1, 4]]


def test_a_confirmed_sighting_among_the_hits_is_one_stop() -> None:
    hit, confirmed = sighting(1, 0, 10, 0, 0.7), sighting(1, 0, 10, 0, 1.0)
    (route,) = likeliest_routes([hit], TIMELESS, confirmed=[confirmed], most=3)
    assert route.stops == [confirmed]


def test_learnt_times_rule_a_ride_in_and_weigh_it(tmp_path: Path) -> None:
    write_learnt_times(tmp_path)  # everybody rides from cam0 to cam1 in 20 s
    transits = Transits.read(tmp_path / "transits/demo", WEIGHED)
    stops = [
        sighting(number, begin_s, begin_s + 1, metres, 0.45).model_copy(update={"camera_id": camera})
        for number, begin_s, metres, camera in ((1, 0, 0, "cam0"), (2, 21, 800, "cam1"), (3, 400, 800, "cam1"))
    ]
    assert len(likeliest_route(stops[:2], WEIGHED)) < 2  # nobody walks 800 m in 20 s
    assert ids(likeliest_route(stops[:2], WEIGHED, transits)) == [1, 2]
    overlapping = [stops[0], stops[0].model_copy(update={"tracklet_id": 9})]
    assert len(likeliest_route(overlapping, TIMELESS, transits)) < 2  # one camera at one time
    assert likeliest_route([], WEIGHED, transits) == []
