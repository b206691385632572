"""The curve of match probability: fitted on pairs, read by the service."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from domain.errors import InputError
from domain.match_calibration import Calibration, read_calibration, write_calibration
from evaluation.reliability import score_reliability
from export.match_calibration import fit_logistic, pairs_of_visits
from serving.matching.match_curve import MatchCurve


def drawn_pairs(half_distance: float, softness: float, number: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Distances, and whether they are of one person with the probability that the curve says."""
    rng = np.random.default_rng(0)
    distances = rng.uniform(0, 1.5, number)
    return distances, rng.random(number) < expit((half_distance - distances) / softness)


def said_by(curve: MatchCurve, distances: np.ndarray) -> np.ndarray:
    return np.array([curve.probability(distance) for distance in distances])


def test_the_curve_that_made_the_pairs_is_found_again() -> None:
    distances, same = drawn_pairs(0.5, 0.1)
    half_distance, softness = fit_logistic(distances, same, prior=float(same.mean()))
    assert (half_distance, softness) == pytest.approx((0.5, 0.1), abs=0.006)


def test_with_another_prior_the_same_distance_means_another_probability() -> None:
    distances, same = drawn_pairs(0.5, 0.1)
    prior = float(same.mean())
    half_distance, softness = fit_logistic(distances, same, 0.02)
    factor = np.log(prior / (1 - prior)) - np.log(0.02 / 0.98)
    assert softness == pytest.approx(0.1, abs=0.01)
    assert half_distance == pytest.approx(0.5 - 0.1 * factor, abs=0.03)  # Bayes: the odds change by that factor


@pytest.mark.parametrize("prior", [0.02, 0.5])
def test_probabilities_are_reliable_at_the_prior(prior: float) -> None:
    distances, same = drawn_pairs(0.6, 0.08)
    rng, number = np.random.default_rng(1), 10_000
    num_same = round(prior * number)
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(same), num_same), rng.choice(np.flatnonzero(~same), number - num_same)]
    )
    curve = MatchCurve(*fit_logistic(distances, same, prior))
    too_sure = MatchCurve(curve.half_distance + 0.3, curve.softness)
    good, bad = (score_reliability(said_by(each, distances[chosen]), same[chosen], 10) for each in (curve, too_sure))
    assert good.calibration_error < 0.02 < 0.03 < bad.calibration_error


def test_pairs_that_are_parted_perfectly_give_a_curve_between_them() -> None:
    distances, same = np.array([0.1, 0.2, 0.6, 0.7, 0.8]), np.array([True, True, False, False, False])
    half_distance, softness = fit_logistic(distances, same, 0.5)
    assert 0.2 < half_distance < 0.6
    assert 0.01 < softness < 0.5


def test_distances_that_tell_nothing_leave_the_prior() -> None:
    rng = np.random.default_rng(0)
    curve = MatchCurve(*fit_logistic(rng.normal(1, 0.001, 5000), rng.random(5000) < 0.1, 0.02))
    assert curve.probability(1.0) == pytest.approx(0.02, abs=0.005)


@given(st.lists(st.floats(0, 2), min_size=2, max_size=30), st.data(), st.floats(0.01, 0.99))
def test_a_fit_is_finite_whatever_the_pairs(distances: list[float], data: st.DataObject, prior: float) -> None:
    some = data.draw(st.lists(st.booleans(), min_size=len(distances) - 2, max_size=len(distances) - 2))
    half_distance, softness = fit_logistic(np.array(distances), np.array([True, False, *some]), prior)
    assert np.isfinite(half_distance)
    assert 0 < softness <= 1 + 1e-12


def test_pairs_of_one_camera_do_not_count() -> None:
    """Person 1 in cameras 1 and 2, person 2 in camera 1 only."""
    distances, same = pairs_of_visits(np.eye(4, dtype=np.float32), np.array([1, 1, 2, 2]), np.array([1, 2, 1, 1]))
    assert same.tolist() == [True, True, False, False, False]
    assert distances == pytest.approx([1, 1, 1, 1, 1])


def test_the_service_reads_the_curve_of_its_engine_or_takes_the_settings(tmp_path: Path) -> None:
    assert MatchCurve.of_calibration(read_calibration(tmp_path), 0.3, 0.05) == MatchCurve(0.3, 0.05)
    write_calibration(
        Calibration(half_distance=0.6, softness=0.04, prior=0.02, num_identities=9, num_same=30, num_different=900),
        tmp_path,
    )
    assert MatchCurve.of_calibration(read_calibration(tmp_path), 0.3, 0.05) == MatchCurve(0.6, 0.04, prior=0.02)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.integers(1, 20))
def test_reliability_is_a_fraction_and_order_does_not_matter(items: list[tuple[float, bool]], num_bins: int) -> None:
    said, right = np.array([item[0] for item in items]), np.array([item[1] for item in items])
    found, turned = score_reliability(said, right, num_bins), score_reliability(said[::-1], right[::-1], num_bins)
    assert 0 <= found.calibration_error <= 1
    assert 0 <= found.brier <= 1
    assert found.counts.sum() == len(items)
    assert found.calibration_error == pytest.approx(turned.calibration_error)


def test_reliability_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="there must be probabilities to score, got none"):
        score_reliability(np.empty(0), np.empty(0, bool), 10)
