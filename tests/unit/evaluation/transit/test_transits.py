"""Transit models by hand, against a literal implementation, and on a simulated street."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InputError
from evaluation.transit import TransitModel, Walks, fit_transits, walks_of_people
from evaluation.transit.model import HALF, LARGEST, NUM_STEPS, SCALE_S, STEP, VISIT_GAP_S, step_times_s
from tests.helpers.street import APART_M, street_metres, walk_along


def model_of(row_of: list[list[int]], one_person: dict[int, float], background: float) -> TransitModel:
    """A model with one row: `one_person` by step from t = 0, strangers 0.1 everywhere."""
    density = np.zeros((1, NUM_STEPS), np.float32)
    for step, value in one_person.items():
        density[0, HALF + step] = value
    strangers, rows = np.full((1, NUM_STEPS), 0.1, np.float32), np.array(row_of, np.int32)
    return TransitModel(np.array([3, 8]), rows, density, strangers, np.ones(1, np.float32), background, 1.0)


def walks_between(first: int, second: int, times: list[float]) -> Walks:
    count = len(times)
    cameras = np.full(count, first), np.full(count, second)
    return Walks(*cameras, np.array(times, float), np.ones(count), np.arange(count))


def ratio(model: TransitModel, first: int, second: int, time_s: float) -> float:
    return float(model.of_walks(np.array([first]), np.array([second]), np.array([time_s]))[0])


def test_ratios_by_hand() -> None:
    model = model_of([[-1, 0], [0, -1]], {5: 0.4}, background=0.25)
    assert ratio(model, 3, 8, 10.0) == pytest.approx(math.log(0.75 * 4 + 0.25))  # step 5 is 10 s
    assert ratio(model, 8, 3, -10.0) == ratio(model, 3, 8, 10.0)
    assert ratio(model, 8, 3, 10.0) == pytest.approx(math.log(0.25))
    assert ratio(model, 3, 8, 14.0) == pytest.approx(math.log(0.25))


def test_a_table_of_queries_and_gallery_holds_the_ratios_of_its_pairs() -> None:
    model = model_of([[-1, 0], [0, -1]], {5: 0.4, -3: 0.2}, background=0.25)
    cameras, times = np.array([3, 8, 8]), np.array([100.0, 110.0, 94.0])
    table = model.log_ratios(cameras, times, cameras[:2], times[:2])
    expected = [
        [
            ratio(model, first, second, then - now)
            for second, then in zip(cameras[:2].tolist(), times[:2].tolist(), strict=True)
        ]
        for first, now in zip(cameras.tolist(), times.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(table, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("first", "second", "time_s"),
    [(3, 4, 10.0), (9, 8, 10.0), (3, 3, 100.0), (3, 8, math.nan), (3, 8, 90_000.0), (3, 8, -90_000.0)],
    ids=["unknown camera", "unknown first camera", "no row", "no time", "more than a day", "more than a day before"],
)
def test_what_is_unknown_is_no_evidence(first: int, second: int, time_s: float) -> None:
    assert ratio(model_of([[-1, 0], [0, -1]], {5: 0.4}, background=0.25), first, second, time_s) == 0


def test_one_visit_in_a_camera_is_no_evidence() -> None:
    model = model_of([[0, -1], [-1, -1]], {5: 0.4, 60: 0.6}, background=0.25)
    assert ratio(model, 3, 3, 10.0) == 0
    assert ratio(model, 3, 3, VISIT_GAP_S + 5) == pytest.approx(math.log(0.25))


def literal_densities(
    times: list[float], sightings: dict[int, list[float]], width: float
) -> tuple[list[float], list[float]]:
    """f and g of walks from camera 1 to camera 2 without a distance, in loops."""

    def smoothed(values: list[float], width: float) -> list[float]:
        counts = [0.0] * NUM_STEPS
        for value in values:
            counts[HALF + round(math.asinh(value / SCALE_S) / STEP)] += 1
        reach = int(4 * width + 0.5)
        kernel = {shift: math.exp(-0.5 * (shift / width) ** 2) for shift in range(-reach, reach + 1)}
        total = sum(kernel.values())
        result = [0.0] * NUM_STEPS
        for step, count in enumerate(counts):
            for shift, value in kernel.items() if count else ():
                result[step + shift] += count * value / total
        return result

    def mixed(counts: list[float], prior: list[float]) -> list[float]:
        both = [count + 5 * each for count, each in zip(counts, prior, strict=True)]
        return [each / sum(both) for each in both]

    lengths = [math.cosh(STEP * (step - HALF)) for step in range(NUM_STEPS)]
    meetings = smoothed([later - first for first in sightings[1] for later in sightings[2]], 32.0)
    strangers = mixed(meetings, mixed(meetings, [length / sum(lengths) for length in lengths]))
    return mixed(smoothed(times, width), strangers), strangers


def test_densities_equal_a_literal_implementation() -> None:
    sightings = {1: [0.0, 50.0, 700.0], 2: [90.0, 400.0, 3000.0]}
    times = [90.0, 80.0, 85.0, -20.0, 400.0]
    cameras = np.array([1, 1, 1, 2, 2, 2])
    model = fit_transits(walks_between(1, 2, times), cameras, np.array(sightings[1] + sightings[2]))
    one_person, strangers = literal_densities(times, sightings, model.width)
    np.testing.assert_allclose(model.one_person[0], one_person, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(model.strangers[0], strangers, rtol=1e-4, atol=1e-9)


def test_the_literal_comparison_would_notice_a_missing_walk() -> None:
    sightings = {1: [0.0, 50.0, 700.0], 2: [90.0, 400.0, 3000.0]}
    cameras, seen = np.array([1, 1, 1, 2, 2, 2]), np.array(sightings[1] + sightings[2])
    model = fit_transits(walks_between(1, 2, [90.0, 80.0]), cameras, seen)
    one_person, _ = literal_densities([90.0], sightings, model.width)
    assert np.abs(model.one_person[0] - one_person).max() > 1e-3


walk_times = st.lists(st.floats(-3000, 3000), max_size=8)


@settings(deadline=None, max_examples=20)
@given(walk_times, st.lists(st.floats(0, 5000), min_size=1, max_size=6), st.booleans())
def test_time_alone_never_decides(times: list[float], seen: list[float], known: bool) -> None:
    cameras = np.array([1, 2] * len(seen))
    metres = street_metres(2) if known else None
    model = fit_transits(walks_between(1, 2, times), cameras, np.repeat(seen, 2), metres=metres)
    assert 0 < model.background < 1
    assert (model.table >= math.log(model.background) - 1e-6).all()
    assert (model.table <= LARGEST).all()
    np.testing.assert_allclose(model.one_person.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(model.strangers.sum(axis=1), 1, rtol=1e-4)


@settings(deadline=None, max_examples=20)
@given(walk_times, st.floats(-1e6, 1e6))
@pytest.mark.slow
def test_neither_the_zero_of_the_clock_nor_the_order_of_a_pair_matters(times: list[float], shift: float) -> None:
    cameras, seen = np.array([1, 2, 1, 2]), np.array([0.0, 60.0, 500.0, 900.0])
    model = fit_transits(walks_between(1, 2, times), cameras, seen)
    turned = fit_transits(walks_between(2, 1, [-time for time in times]), cameras, seen + round(shift))
    np.testing.assert_allclose(model.table, turned.table, atol=1e-5)


def test_walks_both_ways_in_one_camera_count_alike() -> None:
    model = fit_transits(
        walks_between(1, 1, [100.0, 100.0, -300.0]), np.array([1, 1, 1]), np.array([0.0, 100.0, 900.0])
    )
    np.testing.assert_allclose(model.one_person, model.one_person[:, ::-1], atol=1e-9)


def test_a_pair_never_seen_together_follows_its_distance_or_gives_no_evidence() -> None:
    cameras, seen = np.repeat([1, 2, 3], 200), np.tile(np.linspace(0, 7200, 200), 3)
    walks = walks_between(1, 2, [115.0] * 30)
    assert ratio(fit_transits(walks, cameras, seen), 1, 3, 230.0) == 0
    model = fit_transits(walks, cameras, seen, metres=street_metres(3))
    on_foot = 2 * APART_M / 1.1
    assert ratio(model, 1, 3, on_foot) > 1
    assert ratio(model, 3, 1, on_foot) > 1
    assert ratio(model, 1, 3, 5.0) < 0


def test_walks_outweigh_the_distance() -> None:
    """A staircase that no map shows: all come after 400 s, not after the 136 s of the distance."""
    cameras, seen = np.repeat([1, 2], 200), np.tile(np.linspace(0, 7200, 200), 2)

    def model(count: int) -> TransitModel:
        return fit_transits(walks_between(1, 2, [400.0] * count), cameras, seen, metres=street_metres(2))

    assert ratio(model(1), 1, 2, 136.0) > ratio(model(1), 1, 2, 600.0)
    assert ratio(model(200), 1, 2, 400.0) > 2
    assert ratio(model(200), 1, 2, 136.0) < 0


def test_overlapping_views_speak_for_times_around_zero() -> None:
    rng = np.random.default_rng(1)
    cameras, seen = np.repeat([1, 2], 300), np.tile(np.sort(rng.uniform(0, 7200, 300)), 2)
    model = fit_transits(walks_between(1, 2, rng.normal(0, 3, 100).tolist()), cameras, seen)
    assert min(ratio(model, 1, 2, time) for time in (-3.0, 0.0, 3.0)) > 2
    assert max(ratio(model, 1, 2, time) for time in (-60.0, 60.0)) < 0


@pytest.mark.parametrize("background", [0.1, 0.5])
def test_the_background_is_learnt(background: float) -> None:
    rng = np.random.default_rng(2)
    cameras, seen = np.repeat([1, 2], 400), np.sort(rng.uniform(0, 7200, 800))
    by_chance = rng.random(1500) < background
    times = np.where(by_chance, rng.choice(seen, 1500) - rng.choice(seen, 1500), rng.normal(90, 8, 1500))
    model = fit_transits(walks_between(1, 2, times.tolist()), cameras, seen)
    # f holds the strangers' times too, so that both it and w tell the share: what is left is at most twice as much
    assert math.log(background) - 0.1 < ratio(model, 1, 2, 2000.0) < math.log(2 * background)


def test_walks_of_a_street_make_the_right_sighting_likelier() -> None:
    crops = walk_along(300, 4, seed=3)
    learnt, asked = crops.of(crops.identities <= 200), crops.of(crops.identities > 200)
    model = fit_transits(
        walks_of_people(learnt.identities, learnt.cameras, learnt.times_s), learnt.cameras, learnt.times_s
    )
    ratios = model.log_ratios(asked.cameras, asked.times_s, asked.cameras, asked.times_s)
    apart = asked.cameras[:, None] != asked.cameras
    same = asked.identities[:, None] == asked.identities
    assert np.median(ratios[apart & same]) > 2
    assert np.median(ratios[apart & ~same]) < -1


def test_without_walks_and_distances_there_is_no_evidence_at_all() -> None:
    model = fit_transits(walks_between(1, 2, []), np.array([1, 2]), np.array([0.0, 60.0]))
    assert ratio(model, 1, 2, 60.0) == 0
    assert model.background == 0.5


def test_a_walk_in_a_camera_without_sightings_is_refused() -> None:
    with pytest.raises(InputError, match="cameras with sightings"):
        fit_transits(walks_between(1, 5, [60.0]), np.array([1, 2]), np.array([0.0, 60.0]))


def test_distances_must_be_of_the_cameras_with_sightings() -> None:
    with pytest.raises(InputError, match=r"metres must have shape \(2, 2\)"):
        fit_transits(walks_between(1, 2, []), np.array([1, 2]), np.array([0.0, 60.0]), metres=street_metres(3))


def test_steps_are_two_seconds_near_zero_and_grow_with_the_time() -> None:
    times = step_times_s()
    assert times[HALF] == 0
    assert times[HALF + 1] == pytest.approx(2, abs=0.01)
    assert times[-1] == pytest.approx(86_400, rel=0.01)


def test_arrivals_are_those_of_one_direction() -> None:
    model = model_of([[-1, 0], [0, -1]], {5: 0.3, 90: 0.3, -3: 0.4}, background=0.25)  # 10 and some 190 s; back in 6
    edges_s = np.array([0.0, 60.0, 120.0, 600.0])
    walks, shares = model.arrivals(3, 8, edges_s)
    assert walks == pytest.approx(0.6)
    np.testing.assert_allclose(shares, [0.5, 0, 0.5], atol=1e-6)
    walks, shares = model.arrivals(8, 3, edges_s)
    assert walks == pytest.approx(0.4)
    np.testing.assert_allclose(shares, [1, 0, 0], atol=1e-6)
    assert model.arrivals(3, 4, edges_s)[0] == 0  # an unknown camera
    assert model.has_evidence(np.array([3, 3, 3, 9]), np.array([8, 3, 4, 8])).tolist() == [True, False, False, False]
