"""The bootstrap against SciPy's, against hand-sized sums, and against what an interval promises: its coverage."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from evaluation.intervals import bootstrap as ours
from evaluation.intervals.bootstrap import (
    MIN_UNITS,
    Sample,
    difference,
    draws_digest,
    interval,
    ratios,
    resample,
    units_of,
)


def mean_of(values: np.ndarray) -> Sample:
    return Sample("pictures", len(values), len(values), ratios({"mean": values}, {"mean": np.ones(len(values))}))


def clustered(people: np.ndarray) -> Sample:
    """The mean over all crops, `[person, crop]`, with people as units."""
    crops = np.full(len(people), float(people.shape[1]))
    return Sample("people", len(people), people.size, ratios({"mean": people.sum(axis=1)}, {"mean": crops}))


def test_a_ratio_of_sums_by_hand() -> None:
    sample = Sample("people", 3, 3, ratios({"share": np.array([1.0, 0, 3])}, {"share": np.array([2.0, 1, 3])}))
    assert sample.as_it_is() == {"share": pytest.approx(4 / 6)}
    drawn = sample.figures(np.array([[2.0, 1, 0], [0, 0, 3]]))["share"]
    np.testing.assert_allclose(drawn, [2 / 5, 1])


def test_a_draw_without_anything_to_divide_by_has_no_figure() -> None:
    sample = Sample("people", 2, 2, ratios({"share": np.array([1.0, 0])}, {"share": np.array([1.0, 0])}))
    assert np.isnan(sample.figures(np.array([[0.0, 2]]))["share"][0])


@pytest.mark.parametrize("num_units", [30, 400])
@pytest.mark.slow
def test_the_interval_is_scipys_but_for_the_correction_for_few_units(num_units: int) -> None:
    values = np.random.default_rng(3).exponential(size=num_units)
    low, high = interval(resample(mean_of(values), 20_000, seed=0).replicates["mean"], 10**9) or (0, 0)
    expected = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.15 * values.std() / np.sqrt(num_units))


def test_each_draw_holds_as_many_units_as_there_are() -> None:
    for weights in ours._draws(7, 7, repeats=5, seed=0):
        np.testing.assert_array_equal(weights.sum(axis=1), 7)


def test_draws_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=11)
    whole = resample(mean_of(values), 50, seed=4).replicates["mean"]
    monkeypatch.setattr(ours, "_CELLS_AT_ONCE", 33)
    np.testing.assert_allclose(resample(mean_of(values), 50, seed=4).replicates["mean"], whole, atol=1e-12)
    assert draws_digest(11, 4) != draws_digest(11, 5) != draws_digest(12, 5)


def covered(make: object, sample_of: object, simulations: int = 400) -> float:
    """How often the interval of a mean, whose true value is 0, holds it."""
    hits = 0
    for seed in range(simulations):
        values = make(np.random.default_rng(seed))  # type: ignore[operator]
        estimate = resample(sample_of(values), 300, seed=seed).estimates()["mean"]  # type: ignore[operator]
        low, high = estimate.low, estimate.high
        hits += low is not None and high is not None and low <= 0 <= high
    return hits / simulations


def people_with_crops(rng: np.random.Generator, people: int = 20, crops: int = 6) -> np.ndarray:
    """Crops of one person are alike: two thirds of the variance lies between people."""
    return rng.normal(size=(people, 1)) * np.sqrt(2) + rng.normal(size=(people, crops))


@pytest.mark.slow
def test_intervals_over_people_hold_the_truth_as_often_as_they_say() -> None:
    assert covered(people_with_crops, clustered) == pytest.approx(0.95, abs=0.03)


@pytest.mark.slow
def test_intervals_over_single_crops_would_hold_it_far_too_seldom() -> None:
    assert covered(people_with_crops, lambda values: mean_of(values.ravel())) < 0.8


@pytest.mark.slow
def test_few_cameras_have_intervals_that_are_wide_enough() -> None:
    assert covered(lambda rng: rng.normal(size=8), mean_of) > 0.91


def test_no_interval_without_enough_units_or_without_any_spread() -> None:
    few, alike = np.arange(MIN_UNITS - 1, dtype=float), np.ones(50)
    for values in (few, alike):
        resampled = resample(mean_of(values), 100, seed=0)
        assert resampled.estimates()["mean"].low is None
        assert resampled.flat() == {"mean": values.mean()}


def test_the_difference_of_two_models_is_paired() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=60)  # what both find hard: alone, each figure is unsure
    one, other = (resample(mean_of(hard + 0.1 * rng.normal(size=60) + shift), 1000, 0) for shift in (0.2, 0))
    paired = difference(one, other, "mean")
    assert paired.value == pytest.approx(one.values["mean"] - other.values["mean"])
    assert paired.low is not None
    assert paired.low > 0.1
    assert one.estimates()["mean"].low < other.values["mean"]  # type: ignore[operator]


def test_a_share_of_which_few_units_know_anything_has_no_interval() -> None:
    """A label that two of fifty people have: how often it is missed rests on these two."""
    have = np.zeros(50)
    have[:2] = 4
    missed = np.zeros(50)
    missed[0] = 1
    whole = {"missed": have}
    sample = Sample("people", 50, 50, ratios({"missed": missed}, whole), units_of(whole))
    assert resample(sample, 200).flat() == {"missed": 1 / 8}
