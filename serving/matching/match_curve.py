"""Match curve: probability that two embeddings show one person, over their cosine distance."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Float

from domain.match_calibration import Calibration


@dataclass(frozen=True)
class MatchCurve:
    """Logistic curve of the match probability over cosine distance."""

    half_distance: float  # distance with match probability 0.5
    softness: float  # distance over which the odds of a match change by e
    prior: float = 0.5  # share of the compared crops that show the person, 0..1; see `export.match_calibration`

    @classmethod
    def of_calibration(cls, calibration: Calibration | None, match_distance: float, softness: float) -> Self:
        """Curve of a re-ID engine's calibration; without one, the curve of the other two arguments.

        Args:
            calibration: the engine's calibration; None if it has none.
            match_distance: cosine distance that best separates same-person from different-person pairs.
            softness: distance over which the odds of a match change by e.
        """
        if calibration is None:
            return cls(match_distance, softness)
        return cls(calibration.half_distance, calibration.softness, calibration.prior)

    def at_prior(self, prior: float) -> Self:
        """Curve for the prior `prior`, in (0, 1).

        By Bayes' rule the odds at every distance change by the ratio of the priors' odds.

        Example:
            >>> rare = MatchCurve(half_distance=0.3, softness=0.05, prior=0.5).at_prior(0.2)
            >>> round(rare.probability(0.3), 3)
            0.2
        """
        shift = math.log(prior / (1 - prior)) - math.log(self.prior / (1 - self.prior))
        return replace(self, half_distance=self.half_distance + self.softness * shift, prior=prior)

    def shift_of_rejected(self, distance: Float[np.ndarray, " candidate"]) -> Float[np.ndarray, " candidate"]:
        """Distance that a rejected sighting at cosine `distance` from a candidate adds to it.

        The odds o of the person become o / (1 + r), with the odds r of the rejected person.
        """
        return self.softness * np.logaddexp(0, (self.half_distance - distance) / self.softness)

    def probability(self, distance: float) -> float:
        """Match probability at a cosine distance, in 0..1.

        Example:
            >>> MatchCurve(half_distance=0.3, softness=0.05).probability(0.3)
            0.5
        """
        return 1 / (1 + math.exp(min((distance - self.half_distance) / self.softness, 700.0)))
