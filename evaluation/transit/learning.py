"""Learns transit times without labels, from sightings that look alike.

Of two cameras, the pairs of sightings that are among each other's nearest by looks show one person more often than
others. Whether a pair z does is hidden; its looks x and its time t are independent once it is known. So
expectation-maximisation (Dempster et al. 1977) learns both from each other:

- E: the odds of z are those by looks times the ratio of the transit times, odds(z | x, t) = odds(z | x) exp(r(t));
- M: the transit model is fitted to the pairs by the probabilities of z, and odds(z | x) by logistic regression on the
  distance of looks and on how near the two are among all others.

r of a pair comes from a model that saw none of the pairs of its stretch of time, so no pair confirms itself.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int, Int64, UInt8
from scipy.optimize import minimize
from scipy.special import expit

from domain.embeddings import cosine_distances
from domain.errors import InputError
from evaluation.transit.fitting import fit_transits
from evaluation.transit.model import TransitModel
from evaluation.transit.walks import Walks

_NEAREST = 5  # of another camera, to either of a pair
_ROUNDS = 4
_FOLDS = 3
_STRETCHES = 30  # of time, with equally many pairs
_NOT_MUTUAL = -2.0  # first guess of the log-odds of a pair that is not each other's nearest
_LEAST = 1e-3  # pairs that are less likely are not counted


@dataclass(frozen=True)
class LikelyPairs:
    """Pairs of sightings of two cameras that may show one person."""

    first: Int64[np.ndarray, " pair"]  # index of a sighting
    second: Int64[np.ndarray, " pair"]
    distances: Float64[np.ndarray, " pair"]  # cosine
    ranks: Int64[np.ndarray, " pair"]  # place of each among the other's nearest, added up; 0: each other's nearest

    def walks(self, cameras: Int[np.ndarray, " sighting"], times_s: Float[np.ndarray, " sighting"]) -> Walks:
        """All pairs with the weight 1, in groups by the time of the earlier sighting; arguments as `learn_transits`."""
        begins = np.fmin(times_s[self.first], times_s[self.second])
        places = np.argsort(np.argsort(begins, kind="stable"))
        return Walks(
            cameras[self.first].astype(np.int64),
            cameras[self.second].astype(np.int64),
            (times_s[self.second] - times_s[self.first]).astype(np.float64),
            np.ones(len(begins)),
            places * _STRETCHES // max(len(begins), 1),
        )


def likely_pairs(
    embeddings: Float[np.ndarray, "sighting feature"], cameras: Int[np.ndarray, " sighting"]
) -> LikelyPairs:
    """The pairs of which one is among the five nearest of the other, in its camera.

    Each two cameras are compared at once: 6 bytes for each of their pairs of sightings.
    """
    found = []
    numbers = np.unique(cameras)
    for place, number in enumerate(numbers):
        mine = np.flatnonzero(cameras == number)
        for other in numbers[place + 1 :]:
            theirs = np.flatnonzero(cameras == other)
            distances = cosine_distances(embeddings[mine], embeddings[theirs])
            ranks = _places(distances) + _places(distances.T).T
            row, column = np.nonzero(ranks < 2 * _NEAREST)
            found.append((mine[row], theirs[column], distances[row, column], ranks[row, column]))
    if not found:
        raise InputError(f"sightings must be of two cameras at least, got {len(numbers)}")
    first, second, apart, ranks = (np.concatenate(each) for each in zip(*found, strict=True))
    return LikelyPairs(first, second, apart.astype(np.float64), ranks.astype(np.int64))


def learn_transits(
    pairs: LikelyPairs,
    cameras: Int[np.ndarray, " sighting"],
    times_s: Float[np.ndarray, " sighting"],
    *,
    metres: Float[np.ndarray, "camera camera"] | None = None,
) -> tuple[TransitModel, Float64[np.ndarray, " pair"]]:
    """The transit model of sightings without labels, and the probability of each pair that it shows one person.

    Args:
        pairs: of the sightings; one with a sighting without a time (NaN) counts nothing and gets 0.
        cameras: number of each sighting's camera.
        times_s: seconds on one clock.
        metres: as in `fit_transits`.
    """
    known = ~np.isnan(times_s[pairs.first] + times_s[pairs.second])
    walks = pairs.walks(cameras, times_s).chosen(known)
    looks = np.stack([pairs.distances, pairs.ranks], axis=1)[known]
    folds = walks.groups % _FOLDS
    mutual = pairs.ranks[known] == 0
    odds, probabilities = np.where(mutual, 0.0, _NOT_MUTUAL), mutual.astype(np.float64)
    for _ in range(_ROUNDS):
        ratios = np.empty(len(walks))
        for fold in range(_FOLDS):
            asked, likely = folds == fold, probabilities > _LEAST
            model = fit_transits(walks.weighted(probabilities).chosen(likely & ~asked), cameras, times_s, metres=metres)
            held_out = walks.chosen(asked)
            ratios[asked] = model.of_walks(held_out.from_cameras, held_out.to_cameras, held_out.times_s)
        probabilities = expit(odds + ratios)
        odds = _odds_by_looks(looks, probabilities)
    counted = walks.weighted(probabilities).chosen(probabilities > _LEAST)
    of_all = np.zeros(len(known))
    of_all[known] = probabilities
    return fit_transits(counted, cameras, times_s, metres=metres), of_all


def _places(distances: Float[np.ndarray, "mine theirs"]) -> UInt8[np.ndarray, "mine theirs"]:
    """Place of each column among the nearest of its row, from 0; `_NEAREST` if it is not among them."""
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :_NEAREST]
    places = np.full(distances.shape, _NEAREST, np.uint8)
    np.put_along_axis(places, nearest, np.arange(nearest.shape[1], dtype=np.uint8)[None], axis=1)
    return places


def _odds_by_looks(
    looks: Float64[np.ndarray, "pair feature"], probabilities: Float64[np.ndarray, " pair"]
) -> Float64[np.ndarray, " pair"]:
    """Logarithm of the odds by `looks` that a pair shows one person: logistic regression on `probabilities`."""
    spread = looks.std(axis=0)
    inputs = np.column_stack([np.ones(len(looks)), (looks - looks.mean(axis=0)) / np.where(spread > 0, spread, 1)])

    def loss(weights: Float64[np.ndarray, " input"]) -> tuple[float, Float64[np.ndarray, " input"]]:
        logits = inputs @ weights
        value = np.logaddexp(0, logits) - probabilities * logits
        return float(value.sum()), inputs.T @ (expit(logits) - probabilities)

    return inputs @ minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B").x
