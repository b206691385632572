"""Looks, camera and time in one probability that two sightings show one person."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.optimize import minimize
from scipy.special import expit, logit

from domain.errors import InputError

_STEEPEST = 1e3  # 1 / softness: distances that part people perfectly give no endless slope
_FLATTEST = 1e-2
_MOST_TRUST = 1.5


@dataclass(frozen=True)
class Fusion:
    """Logistic curve of the probability p over the distance d of looks and the log-likelihood ratio r of the times:

    ln(p / (1 - p)) = (half_distance - d) / softness + trust · r + what the candidates of a search change.

    By Bayes' rule p falls with the number of candidates, for among more strangers more look alike and come in time:
    of N candidates, `num_matches` show the person on average.
    """

    half_distance: float  # with p = 0.5 where the times say nothing, at the prior
    softness: float  # of distance, over which the odds change by e
    trust: float  # share of r that counts, 0..1.5: 1 if times and looks err independently and r is exact
    prior: float  # share of pairs of one person among those that the curve was fitted to
    num_matches: float  # sightings of the person among the candidates of a search

    def distances(
        self, distances: Float[np.ndarray, "*pairs"], log_ratios: Float[np.ndarray, "*pairs"]
    ) -> Float[np.ndarray, "*pairs"]:
        """Distances by looks and times, in the unit of `distances`; they rank as the probabilities do."""
        return distances - distances.dtype.type(self.softness * self.trust) * log_ratios

    def probabilities(
        self,
        distances: Float[np.ndarray, "*pairs"],
        log_ratios: Float[np.ndarray, "*pairs"],
        num_candidates: int,
    ) -> Float64[np.ndarray, "*pairs"]:
        """p of each pair, 0..1, in a search with so many candidates."""
        share = min(self.num_matches / num_candidates, 0.5)
        shift = logit(share) - logit(self.prior)
        fused = self.distances(distances, log_ratios).astype(np.float64)
        return expit((self.half_distance - fused) / self.softness + shift)


def fit_fusion(
    distances: Float[np.ndarray, "query gallery"],
    log_ratios: Float[np.ndarray, "query gallery"],
    same: Bool[np.ndarray, "query gallery"],
    counted: Bool[np.ndarray, "query gallery"],
) -> Fusion:
    """The likeliest curve for people that took no part in fitting looks or times: logistic regression.

    Targets lie as far inside 0 and 1 as so many pairs justify (Platt 1999).

    Args:
        distances: by looks.
        log_ratios: by times.
        same: whether a pair shows one person.
        counted: pairs that a search compares; not those of one person in one camera.

    Raises:
        InputError: without pairs of one person, or without pairs of two.
    """
    of_one = same[counted]
    num_same, num_different = int(of_one.sum()), int((~of_one).sum())
    if not num_same or not num_different:
        raise InputError(f"pairs of one person and of two must both be there, got {num_same} and {num_different}")
    inputs = np.column_stack([np.ones(len(of_one)), -distances[counted], log_ratios[counted]]).astype(np.float64)
    targets = np.where(of_one, (num_same + 1) / (num_same + 2), 1 / (num_different + 2))

    def loss(weights: Float64[np.ndarray, " 3"]) -> tuple[float, Float64[np.ndarray, " 3"]]:
        logits = inputs @ weights
        value = (np.logaddexp(0, logits) - targets * logits).mean()
        return float(value), inputs.T @ (expit(logits) - targets) / len(targets)

    bounds = [(None, None), (_FLATTEST, _STEEPEST), (0.0, _MOST_TRUST)]
    begin = np.array([0.0, 10.0, 1.0])
    begin[0] = -np.median(inputs[of_one, 1:] @ begin[1:])
    intercept, steepness, trust = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x
    prior = num_same / len(of_one)
    return Fusion(
        half_distance=float(intercept / steepness),
        softness=float(1 / steepness),
        trust=float(trust),
        prior=prior,
        num_matches=num_same / len(distances),
    )
