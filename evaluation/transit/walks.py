"""Walks: pairs of sightings of one person, from which transit times are learnt."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from evaluation.transit.model import VISIT_GAP_S


@dataclass(frozen=True)
class Walks:
    """Pairs of sightings that show, or may show, one person."""

    from_cameras: Int64[np.ndarray, " walk"]
    to_cameras: Int64[np.ndarray, " walk"]
    times_s: Float64[np.ndarray, " walk"]  # from the first sighting to the second; may be negative
    weights: Float64[np.ndarray, " walk"]  # pairs of visits that it is worth, times the probability of one person
    groups: Int64[np.ndarray, " walk"]  # walks of one group are held out together

    def __len__(self) -> int:
        return len(self.times_s)

    def chosen(self, which: Bool[np.ndarray, " walk"]) -> "Walks":
        """Some of the walks."""
        return Walks(*(values[which] for values in vars(self).values()))

    def joined(self, other: "Walks") -> "Walks":
        """These walks and `other`; no group is in both."""
        groups = other.groups + (int(self.groups.max()) + 1 if len(self) else 0)
        pairs = zip(vars(self).values(), vars(replace(other, groups=groups)).values(), strict=True)
        return Walks(*(np.concatenate(each) for each in pairs))

    def weighted(self, weights: Float64[np.ndarray, " walk"]) -> "Walks":
        """The same walks with other weights."""
        return replace(self, weights=weights)


def walks_of_people(
    identities: Int[np.ndarray, " crop"], cameras: Int[np.ndarray, " crop"], times_s: Float[np.ndarray, " crop"]
) -> Walks:
    """All pairs of crops from two visits of one person; the pairs of two visits are worth 1 together.

    Crops of a person in one camera are one visit until a gap of more than `VISIT_GAP_S`. A group is a person.

    Args:
        identities: people from 1; crops of others, and crops without a time (NaN), are left out.
        cameras: number of each crop's camera.
        times_s: seconds on one clock.

    Example:
        >>> walks = walks_of_people(np.array([1, 1, 1]), np.array([4, 4, 6]), np.array([0.0, 10.0, 90.0]))
        >>> walks.to_cameras.tolist(), walks.times_s.tolist(), walks.weights.tolist()
        ([6, 6], [90.0, 80.0], [0.5, 0.5])
    """
    known = np.flatnonzero((identities > 0) & ~np.isnan(times_s))
    order = known[np.lexsort((times_s[known], cameras[known], identities[known]))]
    people, places, times = identities[order], cameras[order].astype(np.int64), times_s[order].astype(np.float64)
    begins = (np.diff(people) != 0) | (np.diff(places) != 0) | (np.diff(times) > VISIT_GAP_S)
    visits = np.concatenate([[0], np.cumsum(begins)])[: len(order)]
    first, second = _pairs_of_one(people)
    apart = visits[first] != visits[second]
    first, second = first[apart], second[apart]
    crops = np.bincount(visits)
    return Walks(
        places[first],
        places[second],
        times[second] - times[first],
        1 / (crops[visits[first]] * crops[visits[second]]),
        people[first].astype(np.int64),
    )


def _pairs_of_one(
    people: Int[np.ndarray, " crop"],
) -> tuple[Int64[np.ndarray, " pair"], Int64[np.ndarray, " pair"]]:
    """All pairs of indices with one person, of `people` in ascending order."""
    begins = np.flatnonzero(np.diff(people, prepend=people[:1] - 1))
    ends = np.append(begins, len(people))[1:]
    later = np.repeat(ends, ends - begins) - np.arange(len(people)) - 1  # crops of the person after each
    first = np.repeat(np.arange(len(people)), later)
    starts = np.cumsum(later) - later
    return first, first + 1 + np.arange(len(first)) - np.repeat(starts, later)
