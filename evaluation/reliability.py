"""Whether probabilities mean what they say: of all said to be right with probability p, is the share p right?"""

from dataclasses import dataclass

import numpy as np

from domain.errors import InputError


@dataclass(frozen=True)
class Reliability:
    """Probabilities in bins of equal width; fractions in 0..1."""

    brier: float  # mean squared difference of probability and truth (1 or 0); 0 is best
    calibration_error: float  # mean over all of how far apart probability and share of right ones of their bin are
    probabilities: np.ndarray  # float64 [bin], mean; only bins that hold something
    right: np.ndarray  # float64 [bin], share
    counts: np.ndarray  # int64 [bin]


def score_reliability(probabilities: np.ndarray, is_right: np.ndarray, num_bins: int) -> Reliability:
    """How well `probabilities` `[item]` in 0..1 fit `is_right`, bool `[item]`.

    Sources: Brier 1950; Guo et al. 2017 for the expected calibration error. A probability on the border of two bins
    counts to the lower.

    Raises:
        InputError: if there are none.

    Example:
        >>> found = score_reliability(np.array([0.9, 0.9, 0.1]), np.array([True, False, False]), num_bins=10)
        >>> round(found.calibration_error, 3), round(found.brier, 3), found.right.tolist()
        (0.3, 0.277, [0.0, 0.5])
    """
    if not len(probabilities):
        raise InputError("there must be probabilities to score, got none")
    bins = np.clip(np.ceil(probabilities * num_bins).astype(int) - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    said = np.bincount(bins, probabilities, minlength=num_bins)
    right = np.bincount(bins, is_right, minlength=num_bins)
    filled = counts > 0
    return Reliability(
        brier=float(np.mean((probabilities - is_right) ** 2)),
        calibration_error=float(np.abs(said - right).sum() / len(probabilities)),
        probabilities=said[filled] / counts[filled],
        right=right[filled] / counts[filled],
        counts=counts[filled],
    )
