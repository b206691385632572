"""How time and place weigh: beside the mean that the docstring defines, and at its limits."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import lognorm

from domain.cameras import Sighting
from serving.matching.walking import WalkingSettings, walking_log_ratios

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
METRES_PER_DEGREE = 111_195.08  # of latitude, on the sphere that domain.cameras uses
SETTINGS = WalkingSettings(
    max_walking_speed_m_s=2.5,
    walking_speed_m_s=1.1,
    walking_speed_spread=0.35,
    view_m=15,
    clock_tolerance_s=3,
    wandering_share=0.5,
    horizon_s=3600,
)
SPAN_S = 1000.0


def sighting(begin_s: float, end_s: float, metres_north: float) -> Sighting:
    return Sighting(
        district="demo",
        tracklet_id=round(10 * begin_s),
        camera_id=f"north{metres_north:.0f}",
        first_seen=NOON + timedelta(seconds=begin_s),
        last_seen=NOON + timedelta(seconds=end_s),
        latitude=35.8 + metres_north / METRES_PER_DEGREE,
        longitude=128.6,
        distance=0.1,
        match_probability=0.5,
        crop="",
    )


def ratio(gap_s: float, metres: float, settings: WalkingSettings = SETTINGS) -> float:
    """Of a walk of `metres` that seems to take `gap_s`, among sightings that span `SPAN_S`."""
    seen = [sighting(0, 10, 0), sighting(10 + gap_s, max(SPAN_S, 10 + gap_s), metres)]
    return float(np.exp(walking_log_ratios(seen, settings)[0, 1]))


def mean_over_ways(gap_s: float, metres: float) -> float:
    """The model as it is told, by numerical integration: the mean density of s / v at t over ways s."""
    shortest, longest = max(metres - 30, 0), metres + 30
    times = lambda way_m: lognorm(s=0.35, scale=way_m / 1.1)  # noqa: E731
    density = quad(
        lambda way_m: times(way_m).pdf(gap_s), max(shortest, 1e-9), longest, points=[1.1 * gap_s], limit=200
    )[0]
    return 0.5 + 0.5 * SPAN_S * density / (longest - shortest)


WALKS = [(5.0, 0.0), (40.0, 0.0), (20.0, 25.0), (90.0, 100.0), (60.0, 100.0), (300.0, 100.0), (400.0, 500.0)]


@pytest.mark.parametrize(("gap_s", "metres"), WALKS)
def test_the_ratio_is_the_mean_over_all_ways_between_the_views(gap_s: float, metres: float) -> None:
    assert ratio(gap_s, metres) == pytest.approx(mean_over_ways(gap_s, metres), rel=1e-4)


def test_the_comparison_would_notice_another_speed() -> None:
    faster = SETTINGS.model_copy(update={"walking_speed_m_s": 1.3})
    assert ratio(90, 100, faster) != pytest.approx(mean_over_ways(90, 100), rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("metres", [0, 20, 150])
def test_a_stranger_is_as_likely_on_average(metres: float) -> None:
    """Over all times of the span at which somebody may come the ratio is 1: no evidence is made from nothing."""
    all_speeds = SETTINGS.model_copy(update={"max_walking_speed_m_s": 1e9})
    gaps_s = np.arange(0.05, SPAN_S, 0.1)
    seen = [sighting(-1, 0, 0)]
    ratios = [
        float(np.exp(walking_log_ratios([*seen, sighting(gap_s, SPAN_S - 1, metres)], all_speeds)[0, 1]))
        for gap_s in gaps_s
    ]
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)


def test_waiting_long_costs_no_more_than_the_share_of_those_who_wander() -> None:
    assert ratio(900, 100) == pytest.approx(0.5, abs=1e-3)
    assert walking_log_ratios([sighting(0, 10, 0), sighting(1e6, 1e6, 100)], SETTINGS)[0, 1] == pytest.approx(
        math.log(0.5)
    )


def test_walking_time_is_likelier_than_sooner_and_later() -> None:
    assert ratio(90, 100) > max(ratio(45, 100), ratio(200, 100), 1)


@pytest.mark.parametrize(
    ("gap_s", "metres", "is_possible"),
    [
        pytest.param(25.1, 100, True, id="70 metres from view to view at the greatest speed, with the tolerance"),
        pytest.param(24.9, 100, False, id="faster"),
        pytest.param(-3, 29.9, True, id="views that touch, clocks three seconds apart"),
        pytest.param(-3.1, 29.9, False, id="clocks farther apart"),
        pytest.param(-3, 31, False, id="views that do not touch"),
        pytest.param(0, 0, True, id="again in the same camera"),
        pytest.param(-0.1, 0, False, id="twice in one camera at once: it has one clock"),
    ],
)
def test_nobody_is_faster_than_the_greatest_speed_but_clocks_differ(
    gap_s: float, metres: float, is_possible: bool
) -> None:
    assert (ratio(gap_s, metres) > 0) == is_possible


def test_nobody_walks_back_in_time() -> None:
    ratios = walking_log_ratios([sighting(0, 10, 0), sighting(60, 70, 50), sighting(200, 210, 0)], SETTINGS)
    assert np.isfinite(ratios).tolist() == [[False, True, True], [False, False, True], [False, False, False]]


def test_no_sightings_have_no_walks() -> None:
    assert walking_log_ratios([], SETTINGS).shape == (0, 0)


def test_a_longer_span_than_the_horizon_counts_as_the_horizon() -> None:
    seen = [sighting(0, 10, 0), sighting(100, 110, 100), sighting(9000, 9010, 0)]
    short = SETTINGS.model_copy(update={"horizon_s": 500})
    gains = [np.exp(walking_log_ratios(seen, each)[0, 1]) - 0.5 for each in (SETTINGS, short)]
    assert gains[0] / gains[1] == pytest.approx(3600 / 500)
