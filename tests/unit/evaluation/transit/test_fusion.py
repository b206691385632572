"""Fusion of looks and times: against scikit-learn, and laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from domain.errors import InputError
from evaluation.reliability import score_reliability
from evaluation.transit import Fusion, fit_fusion

CURVE = Fusion(half_distance=0.25, softness=0.05, trust=1.2, prior=0.02, num_matches=10.0)


def pairs(seed: int, queries: int = 60, gallery: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances and log ratios of which each tells a little, of queries with ten matches among the gallery."""
    rng = np.random.default_rng(seed)
    same = np.zeros((queries, gallery), bool)
    same[:, :10] = True
    distances = np.where(same, rng.normal(0.25, 0.08, same.shape), rng.normal(0.45, 0.08, same.shape))
    evidence = np.where(same, rng.normal(1, math.sqrt(2), same.shape), rng.normal(-1, math.sqrt(2), same.shape))
    return distances.astype(np.float32), evidence.astype(np.float32), same


def test_the_curve_is_that_of_an_unregularised_regression() -> None:
    distances, ratios, same = pairs(1)
    counted = np.random.default_rng(2).random(same.shape) < 0.7
    fusion = fit_fusion(distances, ratios, same, counted)
    inputs = np.column_stack([-distances[counted], ratios[counted]])
    theirs = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8).fit(inputs, same[counted])
    steepness, trust = theirs.coef_[0]
    assert fusion.softness == pytest.approx(1 / steepness, rel=0.02)  # Platt's targets are a little inside
    assert fusion.trust == pytest.approx(trust, rel=0.03)
    assert fusion.half_distance == pytest.approx(theirs.intercept_[0] / steepness, rel=0.02)
    assert fusion.prior == same[counted].mean()
    assert fusion.num_matches == pytest.approx((same & counted).sum() / len(same))


def test_evidence_that_is_a_log_ratio_counts_in_full() -> None:
    distances, ratios, same = pairs(
        3, queries=600
    )  # the densities of the two normal distributions differ by exactly that ratio
    assert fit_fusion(distances, ratios, same, np.ones(same.shape, bool)).trust == pytest.approx(1, abs=0.1)


def test_evidence_that_misleads_is_not_trusted() -> None:
    distances, ratios, same = pairs(4)
    assert fit_fusion(distances, -ratios, same, np.ones(same.shape, bool)).trust == 0


def test_probabilities_hold_in_another_search_with_more_candidates() -> None:
    fusion = fit_fusion(*pairs(5), np.ones((60, 400), bool))
    distances, ratios, same = pairs(6, gallery=4000)
    probabilities = fusion.probabilities(distances, ratios, 4000)
    first = np.argsort(-probabilities, axis=1)[:, :20]
    chosen = np.take_along_axis(probabilities, first, axis=1).ravel()
    right = np.take_along_axis(same, first, axis=1).ravel()
    assert score_reliability(chosen, right, 15).calibration_error < 0.05
    as_before = np.take_along_axis(fusion.probabilities(distances, ratios, 400), first, axis=1).ravel()
    assert score_reliability(as_before, right, 15).calibration_error > 0.05


def test_probability_by_hand() -> None:
    even = CURVE.probabilities(np.array([0.25]), np.array([0.0]), 500)  # 10 of 500 is the prior
    assert even[0] == pytest.approx(0.5)
    odds = math.exp(0.1 / 0.05 - 1.2 * 2.0) * (10 / 990) / (10 / 490)
    fused = CURVE.probabilities(np.array([0.15]), np.array([-2.0]), 1000)
    assert fused[0] == pytest.approx(odds / (1 + odds))


values = st.floats(0, 2), st.floats(-3, 5)


@given(st.tuples(*values), st.tuples(*values), st.integers(1, 10**6))
def test_the_order_is_that_of_the_probabilities(
    one: tuple[float, float], other: tuple[float, float], count: int
) -> None:
    distances, ratios = np.array([one[0], other[0]]), np.array([one[1], other[1]])
    fused, chances = CURVE.distances(distances, ratios), CURVE.probabilities(distances, ratios, count)
    assert (chances[0] - chances[1]) * (fused[0] - fused[1]) <= 0
    assert ((chances >= 0) & (chances <= 1)).all()


@pytest.mark.parametrize("same", [True, False])
def test_pairs_of_both_kinds_are_needed(same: bool) -> None:
    with pytest.raises(InputError, match="pairs of one person and of two must both be there"):
        fit_fusion(np.zeros((1, 2)), np.zeros((1, 2)), np.full((1, 2), same), np.ones((1, 2), bool))


def test_people_parted_perfectly_give_no_endless_slope() -> None:
    distances = np.array([[0.1, 0.9, 0.9, 0.9]])
    fusion = fit_fusion(distances, np.zeros((1, 4)), distances < 0.5, np.ones((1, 4), bool))
    assert 1e-3 <= fusion.softness < 1
    assert 0.1 < fusion.half_distance < 0.9
