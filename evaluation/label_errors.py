"""Identities of crops that their appearance contradicts, by the embeddings of a re-ID engine.

Nothing is compared with a fixed number: how alike crops of one person and of two are is taken from the set itself, most
of whose labels are right. Similarities are cosines of whitened embeddings, see `whitened`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64
from scipy.cluster.hierarchy import fcluster, linkage

Embeddings = Float32[np.ndarray, "crop feature"]  # unit length
Crops = Int64[np.ndarray, " _"]  # numbers of crops

_ROWS = 1024  # crops that are compared with all others at once
_NONE = -2.0  # below every cosine
_LEAST_CROPS = 4  # of an identity that may be two people
_LEAST_GROUP, _LEAST_COMPARED = 2, 2  # crops of a group, and crops by which two groups are compared
_TWO_PEOPLE = 0.9  # quantile of the likeness of two people
_NEARLY_EQUAL = 0.99  # quantile: what only one crop in a hundred has a second one of its person for
_SEED = 0


@dataclass(frozen=True)
class Comparison:
    """The nearest crops of each crop, which is itself left out, and the likeness of identities."""

    own: Float32[np.ndarray, " crop"]  # similarity to the nearest crop of its own identity; -2 without another one
    other: Float32[np.ndarray, " crop"]  # similarity to the nearest crop of another identity
    other_identity: Int64[np.ndarray, " crop"]  # number of that identity in `names`
    names: Int64[np.ndarray, " identity"]  # identities in rising order
    likeness: Float32[np.ndarray, "identity identity"]  # mean similarity of a row's crops to the nearest of a column's

    @property
    def same_person(self) -> float:
        """Median similarity of a crop to the nearest of its own identity."""
        return float(np.median(self.own[self.own > _NONE])) if (self.own > _NONE).any() else _NONE

    @property
    def stranger(self) -> float:
        """Median similarity of a crop to the nearest of another identity."""
        return float(np.median(self.other))

    @property
    def share_right(self) -> float:
        """Fraction of the crops with another one of their identity that are nearest to such a one."""
        judged = self.own > _NONE
        return float((self.own > self.other)[judged].mean()) if judged.any() else 0.0


class Pair(NamedTuple):
    """Two identities that may be one person.

    Counted are crops that are nearest to one of the other identity, among the crops of the two.
    """

    first: int
    second: int
    num_crops: int  # that were looked at
    crossing: int
    if_one: float  # crossing, if the two are one person
    if_two: float  # crossing, if the two are as much alike as the nearest identities of the set are
    across_cameras: bool  # whether only crops of other cameras were compared


class Division(NamedTuple):
    """An identity whose crops fall into two groups that look no more alike than two people do."""

    identity: int
    few: Crops  # the smaller group
    many: Crops
    likeness: float  # mean similarity of a crop to the nearest of the other group in its camera
    of_strangers: float  # below which that of nine in ten pairs of people is


def whitened(
    embeddings: Embeddings, identities: Int64[np.ndarray, " crop"], cameras: Int64[np.ndarray, " crop"]
) -> Embeddings:
    """Differences from the mean embedding, in units of how much crops of one person differ, of unit length.

    What varies within people, such as light, camera and pose, counts less by that. How it varies is taken from each
    crop and the nearest of its identity, in another camera if there is one, and no difference counts more than the
    median one, so that wrong labels hardly count. The covariance is shrunk towards the mean variance where there are
    few crops for its size.
    """
    centred = embeddings - embeddings.mean(axis=0)
    names = np.unique(identities)
    differences = [_to_nearest(centred[crops], cameras[crops]) for crops in _crops_by_identity(identities, names)]
    within = _clipped(np.concatenate(differences))
    size = embeddings.shape[1]
    shrinkage = size / (size + len(within))
    covariance = (1 - shrinkage) * within.T @ within / len(within)
    covariance += shrinkage * max(np.trace(covariance), 1e-6) / size * np.eye(size, dtype=np.float32)
    variances, axes = np.linalg.eigh(covariance.astype(np.float64))
    scaled = centred @ (axes / np.sqrt(variances)).astype(np.float32)
    return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-6)


def _clipped(differences: Float32[np.ndarray, "crop feature"]) -> Float32[np.ndarray, "crop feature"]:
    """`differences`, the longer ones shortened to the median length."""
    lengths = np.linalg.norm(differences, axis=1, keepdims=True)
    longest = np.median(lengths[lengths > 0]) if (lengths > 0).any() else 0.0
    return differences * np.minimum(1, longest / np.maximum(lengths, 1e-12)).astype(np.float32)


def _to_nearest(
    crops: Float32[np.ndarray, "own feature"], cameras: Int64[np.ndarray, " own"]
) -> Float32[np.ndarray, "own feature"]:
    """Difference of each crop of an identity to its nearest one, in another camera if there is one; zeros if alone."""
    squares = (crops**2).sum(axis=1)
    nearness = 2 * crops @ crops.T - squares
    np.fill_diagonal(nearness, -np.inf)
    is_elsewhere = cameras[:, None] != cameras
    has_elsewhere = is_elsewhere.any(axis=1, keepdims=True)
    return crops - crops[np.where(is_elsewhere | ~has_elsewhere, nearness, -np.inf).argmax(axis=1)]


def compare(embeddings: Embeddings, identities: Int64[np.ndarray, " crop"]) -> Comparison:
    """Compare all crops with all others, some rows of the matrix at a time; needs two identities."""
    order = np.argsort(identities, kind="stable")
    names, starts, counts = np.unique(identities[order], return_index=True, return_counts=True)
    numbers, sorted_crops = np.repeat(np.arange(len(names)), counts), embeddings[order]
    own, other = np.empty(len(order), np.float32), np.empty(len(order), np.float32)
    other_identity, likeness = np.empty(len(order), np.int64), np.zeros((len(names), len(names)), np.float32)
    for start in range(0, len(order), _ROWS):
        rows = slice(start, start + _ROWS)
        similar = sorted_crops[rows] @ sorted_crops.T
        lines = np.arange(len(similar))
        similar[lines, start + lines] = _NONE
        best = np.maximum.reduceat(similar, starts, axis=1)
        first_lines = np.flatnonzero(np.diff(numbers[rows], prepend=-1))
        likeness[numbers[rows][first_lines]] += np.add.reduceat(best, first_lines, axis=0)
        own[order[rows]] = best[lines, numbers[rows]]
        best[lines, numbers[rows]] = _NONE
        other[order[rows]], other_identity[order[rows]] = best.max(axis=1), best.argmax(axis=1)
    return Comparison(own, other, other_identity, names, likeness / counts[:, None].astype(np.float32))


def suspected_crops(found: Comparison) -> Crops:
    """Crops whose label their looks contradict as much as those of most crops confirm theirs.

    Compared is by how much a crop is more like its nearest of another identity than of its own, with the median of the
    opposite over all crops; where that is not above 0, the engine cannot tell. The nearest of another identity is also
    as alike as rather one person's crops are than two people's: a crop that resembles nobody is no wrong label. The
    strongest contradiction comes first.
    """
    judged = found.own > _NONE
    confirmed = found.own - found.other
    if not judged.any() or (typical := np.median(confirmed[judged])) <= 0:
        return np.empty(0, np.int64)
    resembles = found.other > (found.same_person + found.stranger) / 2
    crops = np.flatnonzero(judged & resembles & (confirmed < -typical))
    return crops[np.argsort(confirmed[crops], kind="stable")]


def near_copies(raw: Embeddings, identities: Int64[np.ndarray, " crop"]) -> list[tuple[int, int]]:
    """Pairs of crops of two identities that are as alike as one crop in a hundred is to another one of its person.

    Args:
        raw: embeddings that are not whitened, for pictures are compared here, not people.
        identities: of the crops.
    """
    found = compare(raw, identities)
    if not (found.own > _NONE).any():
        return []
    least = np.quantile(found.own[found.own > _NONE], _NEARLY_EQUAL)
    pairs = {
        (min(crop, twin), max(crop, twin))
        for crop in np.flatnonzero(found.other > least).tolist()
        for twin in [nearest_of(raw, crop, identities == found.names[found.other_identity[crop]])]
    }
    return sorted(pairs)


def nearest_of(embeddings: Embeddings, crop: int, chosen: np.ndarray) -> int:
    """The crop of `chosen` (`bool [crop]`) that is nearest to `crop`."""
    crops = np.flatnonzero(chosen)
    return int(crops[np.argmax(embeddings[crops] @ embeddings[crop])])


def possible_pairs(
    embeddings: Embeddings,
    identities: Int64[np.ndarray, " crop"],
    cameras: Int64[np.ndarray, " crop"],
    found: Comparison,
) -> list[Pair]:
    """Pairs of identities that are likelier one person than two.

    Each identity is compared with the one that is most like it, by crops of any camera; where no camera saw both, as
    two numbers of a person may be of two cameras, by crops of other cameras alone. A pair is reported if its crossing
    crops are likelier of one person by more than the number of pairs, so that chance alone reports less than one.
    """
    likeness = (found.likeness + found.likeness.T) / 2
    np.fill_diagonal(likeness, _NONE)
    nearest = likeness.argmax(axis=1)
    pairs = sorted({(min(pair), max(pair)) for pair in enumerate(nearest.tolist())})
    crops_of = _crops_by_identity(identities, found.names)
    reported: dict[tuple[int, int], Pair] = {}
    for across_cameras in (False, True):
        counted = np.array(
            [
                _crossing(embeddings, cameras, crops_of[first], crops_of[second], across_cameras=across_cameras)
                for first, second in pairs
            ]
        ).reshape(-1, 3)
        for place in _likelier_one(counted):
            first_crops, second_crops = (crops_of[number] for number in pairs[place])
            if across_cameras and np.intersect1d(cameras[first_crops], cameras[second_crops]).size:
                continue
            crossing, expected, num_crops = counted[place]
            first, second = (int(found.names[number]) for number in pairs[place])
            typical = float(expected * _typical(counted))
            pair = Pair(first, second, int(num_crops), int(crossing), float(expected), typical, across_cameras)
            reported.setdefault((first, second), pair)
    return list(reported.values())


def _crossing(
    embeddings: Embeddings, cameras: Int64[np.ndarray, " crop"], first: Crops, second: Crops, *, across_cameras: bool
) -> tuple[int, float, int]:
    """Crossing crops, how many there were if the two identities were one person, and crops that can be judged."""
    crops, is_second = np.r_[first, second], np.repeat([False, True], [len(first), len(second)])
    similar = embeddings[crops] @ embeddings[crops].T
    allowed = ~np.eye(len(crops), dtype=bool)
    if across_cameras:
        allowed &= cameras[crops][:, None] != cameras[crops]
    nearest = np.where(allowed, similar, _NONE).argmax(axis=1)
    judged = allowed.any(axis=1)
    crosses = is_second[:, None] != is_second
    expected = (allowed & crosses).sum(axis=1)[judged] / allowed.sum(axis=1)[judged]
    return int(crosses[np.arange(len(crops)), nearest][judged].sum()), float(expected.sum()), int(judged.sum())


def _typical(counted: Float[np.ndarray, "pair 3"]) -> float:
    """Crossing crops of all pairs, as a fraction of those that one person would have."""
    return float(counted[:, 0].sum() / max(counted[:, 1].sum(), 1e-9))


def _likelier_one(counted: Float[np.ndarray, "pair 3"]) -> list[int]:
    """Pairs whose binomial likelihood of one person is more than the number of pairs times that of two."""
    crossing, expected, num_crops = counted.T
    typical = min(_typical(counted), 1.0)
    if_one = np.clip(expected / np.maximum(num_crops, 1), 1e-6, 1 - 1e-6)
    if_two = np.clip(typical * if_one, 1e-6, 1 - 1e-6)
    gain = crossing * np.log(if_one / if_two) + (num_crops - crossing) * np.log((1 - if_one) / (1 - if_two))
    return np.flatnonzero((num_crops > 0) & (gain > np.log(max(len(counted), 2)))).tolist()


def divided_identities(
    embeddings: Embeddings,
    identities: Int64[np.ndarray, " crop"],
    cameras: Int64[np.ndarray, " crop"],
    found: Comparison,
) -> list[Division]:
    """Identities whose two groups of crops resemble each other no more than two people do, in cameras that saw both.

    Groups are those of average linkage; a single crop is none. How alike two people are is taken from pairs of
    identities by chance, of which nine in ten are less so.
    """
    crops_of = _crops_by_identity(identities, found.names)
    by_chance = np.random.default_rng(_SEED).permutation(len(crops_of))
    strangers = [_alike(embeddings, cameras, crops_of[one], crops_of[two]) for one, two in pairwise(by_chance)]
    known = [likeness for likeness in strangers if likeness is not None]
    if not known:
        return []
    of_strangers = float(np.quantile(known, _TWO_PEOPLE))
    divisions = []
    for name, crops in zip(found.names.tolist(), crops_of, strict=True):
        if len(crops) < _LEAST_CROPS:
            continue
        groups = fcluster(linkage(embeddings[crops], "average", metric="cosine"), 2, "maxclust")
        few, many = sorted((crops[groups == 1], crops[groups != 1]), key=len)
        likeness = _alike(embeddings, cameras, few, many)
        if likeness is not None and likeness < of_strangers and len(few) >= _LEAST_GROUP:
            divisions.append(Division(name, few, many, likeness, of_strangers))
    return sorted(divisions, key=lambda division: division.likeness)


def _alike(embeddings: Embeddings, cameras: Int64[np.ndarray, " crop"], first: Crops, second: Crops) -> float | None:
    """Mean similarity of the crops of two groups to the nearest of the other one in their camera; None without any."""
    similar = embeddings[first] @ embeddings[second].T
    similar[cameras[first][:, None] != cameras[second]] = _NONE
    best = np.r_[similar.max(axis=1, initial=_NONE), similar.max(axis=0, initial=_NONE)]
    compared = best[best > _NONE]
    return float(compared.mean()) if len(compared) >= _LEAST_COMPARED else None


def _crops_by_identity(
    identities: Int64[np.ndarray, " crop"], names: Int64[np.ndarray, " identity"]
) -> Sequence[Crops]:
    order = np.argsort(identities, kind="stable")
    return np.split(order, np.searchsorted(identities[order], names[1:]))
