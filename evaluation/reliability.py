"""Calibration of probabilities: of the items predicted with probability p, is the share p correct?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from domain.errors import InputError


@dataclass(frozen=True)
class Reliability:
    """Probabilities in bins of equal width; fractions in 0..1."""

    brier: float  # mean squared difference between probability and truth (1 or 0); 0 is best
    calibration_error: (
        float  # mean difference between predicted probability and share of correct items, weighted by bin
    )
    probabilities: Float64[np.ndarray, " bin"]  # mean of the predicted ones; empty bins are left out
    right: Float64[np.ndarray, " bin"]  # share of correct items
    counts: Int64[np.ndarray, " bin"]


def score_reliability(
    probabilities: Float[np.ndarray, " item"], is_right: Bool[np.ndarray, " item"], num_bins: int
) -> Reliability:
    """Brier score and expected calibration error of predicted probabilities in 0..1.

    Sources: Brier 1950; Guo et al. 2017 for the expected calibration error. A probability on the border of two bins
    counts in the lower bin.

    Raises:
        InputError: if there are no probabilities.

    Example:
        >>> scores = score_reliability(np.array([0.9, 0.9, 0.1]), np.array([True, False, False]), num_bins=10)
        >>> round(scores.calibration_error, 3), round(scores.brier, 3), scores.right.tolist()
        (0.3, 0.277, [0.0, 0.5])
    """
    if not len(probabilities):
        raise InputError("there must be probabilities to score, got none")
    bins = np.clip(np.ceil(probabilities * num_bins).astype(int) - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    predicted = np.bincount(bins, probabilities, minlength=num_bins)
    right = np.bincount(bins, is_right, minlength=num_bins)
    filled = counts > 0
    return Reliability(
        brier=float(np.mean((probabilities - is_right) ** 2)),
        calibration_error=float(np.abs(predicted - right).sum() / len(probabilities)),
        probabilities=predicted[filled] / counts[filled],
        right=right[filled] / counts[filled],
        counts=counts[filled],
    )
