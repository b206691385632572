"""Transit times between cameras: how much likelier camera and time make one person than two.

Let t be the time from a sighting in camera a to one in camera b, negative if the sighting in b came first. It has the
density f_ab(t) if both show one person, and g_ab(t) if they show two. Then camera and time are worth, in nats,

    r_ab(t) = ln((1 - w) f_ab(t) / g_ab(t) + w),    at least ln w, at most `LARGEST`

w is the background: the share of one person's pairs whose times are like those of strangers, because the person came
back hours later or took a bus. So time alone never decides: no clock costs more than ln w or gives more than `LARGEST`,
which is less than the prior odds against one among hundreds of strangers.

- Both densities are histograms over steps of asinh(t / 300 s), smoothed by a Gaussian kernel: a step is 2 s up to some
  minutes and 0.7 % of t far beyond. So one table holds overlapping views, walks and returns. More than a day apart
  there is no evidence.
- f counts pairs of visits of one person, each worth its probability. It is mixed with a prior that is worth five
  pairs: walking times over the distance of the cameras, or g where the distance is unknown. So data outweigh the
  prior, and cameras never seen together follow it alone: without a distance they give no evidence.
- g counts the times between all sightings of the two cameras, whoever they show: it knows opening hours and rush. It
  is smoother than f, for strangers come at no exact time.
- The width of f's kernel and w are those that make held-out walks likeliest (cross-validation over groups of walks).
- In one camera, f says how people come back; within `VISIT_GAP_S` two sightings may be one visit: no evidence.

Sources: Javed et al. 2008, "Modeling inter-camera space-time and appearance relationships for tracking across
non-overlapping views" (kernel densities of transit times); Wang et al. 2019, "Spatial-temporal person
re-identification" (smoothed histograms for pairs of cameras). Times on foot: as in `serving.matching.walking`.

The service imports this module, so it needs NumPy and SciPy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Int64

LARGEST = 5.0  # nats
VISIT_GAP_S = 60.0
SCALE_S, STEP = 300.0, 2 / 300
DAY_S = 86_400.0
HALF = int(np.arcsinh(DAY_S / SCALE_S) / STEP)
NUM_STEPS = 2 * HALF + 1  # the middle one holds t = 0
NONE = -1


@dataclass(frozen=True)
class TransitModel:
    """Densities of the transit times between the cameras of a district.

    A row holds those of two cameras a <= b by the time from a to b; the other direction is its mirror. Cameras without
    walks between them share the row of their distance.
    """

    cameras: Int64[np.ndarray, " camera"]  # numbers, ascending
    row_of: Int32[np.ndarray, "camera camera"]  # symmetric; -1: no evidence
    one_person: Float32[np.ndarray, "row step"]  # f: share of each step; a row adds up to 1
    strangers: Float32[np.ndarray, "row step"]  # g
    num_walks: Float32[np.ndarray, " row"]  # pairs of visits that were counted
    background: float  # w, 0..1
    width: float  # of the kernel, in steps

    @cached_property
    def table(self) -> Float32[np.ndarray, "row step"]:
        """r at each step."""
        ratios = (1 - self.background) * self.one_person / self.strangers + self.background
        table = np.log(ratios).clip(max=LARGEST).astype(np.float32)
        own = self.row_of.diagonal()
        table[np.ix_(own[own != NONE], np.abs(step_times_s()) <= VISIT_GAP_S)] = 0
        return table

    def log_ratios(
        self,
        query_cameras: Int[np.ndarray, " query"],
        query_times_s: Float[np.ndarray, " query"],
        gallery_cameras: Int[np.ndarray, " gallery"],
        gallery_times_s: Float[np.ndarray, " gallery"],
    ) -> Float32[np.ndarray, "query gallery"]:
        """r of each pair, in nats: ln w to `LARGEST`; 0 where a time is NaN, or a camera unknown.

        Args:
            query_cameras: numbers as in `cameras`.
            query_times_s: on the clock of the walks that the model was fitted to.
            gallery_cameras: as for the queries.
            gallery_times_s: as for the queries.
        """
        query, gallery = places_of(query_cameras, self.cameras), places_of(gallery_cameras, self.cameras)
        ratios = np.empty((len(query), len(gallery)), np.float32)
        for row, (place, time_s) in enumerate(zip(query, query_times_s, strict=True)):
            ratios[row] = self._at(np.broadcast_to(place, gallery.shape), gallery, gallery_times_s - time_s)
        return ratios

    def of_walks(
        self,
        from_cameras: Int[np.ndarray, " walk"],
        to_cameras: Int[np.ndarray, " walk"],
        times_s: Float[np.ndarray, " walk"],
    ) -> Float32[np.ndarray, " walk"]:
        """r of single pairs; as `log_ratios`."""
        return self._at(places_of(from_cameras, self.cameras), places_of(to_cameras, self.cameras), times_s)

    def has_evidence(
        self, from_cameras: Int[np.ndarray, " walk"], to_cameras: Int[np.ndarray, " walk"]
    ) -> Bool[np.ndarray, " walk"]:
        """Whether something is known of the times between two cameras, from walks or from their distance."""
        first, second = places_of(from_cameras, self.cameras), places_of(to_cameras, self.cameras)
        return (first != NONE) & (second != NONE) & (self.row_of[first, second] != NONE)

    def arrivals(
        self, from_camera: int, to_camera: int, edges_s: Float[np.ndarray, " edge"]
    ) -> tuple[float, Float64[np.ndarray, " step"]]:
        """Walks known from one camera to another, and when they arrive: the share of them between each two edges.

        Args:
            from_camera: number of the first camera.
            to_camera: number of the second.
            edges_s: rising times since the first camera, from 0 on.
        """
        first, second = places_of(np.array([from_camera, to_camera]), self.cameras)
        row = NONE if NONE in (first, second) else self.row_of[first, second]
        if row == NONE:
            return 0.0, np.zeros(len(edges_s) - 1)
        shares = self.one_person[row] if first <= second else self.one_person[row, ::-1]
        later = shares[HALF:].astype(np.float64)
        later[0] /= 2  # the middle step holds as many before
        until = np.cumsum(later)
        middles_s = step_times_s()[HALF:]
        arrived = np.interp(edges_s, middles_s, until / until[-1], left=0.0)
        return float(self.num_walks[row] * until[-1]), np.diff(arrived)

    def without(self, cameras: Sequence[int]) -> "TransitModel":
        """The same model, with no evidence about `cameras`."""
        left_out = np.isin(self.cameras, cameras)
        return replace(self, row_of=np.where(left_out[:, None] | left_out, np.int32(NONE), self.row_of))

    def _at(
        self, first: Int64[np.ndarray, " walk"], second: Int64[np.ndarray, " walk"], times_s: Float[np.ndarray, " walk"]
    ) -> Float32[np.ndarray, " walk"]:
        steps = steps_of(np.where(first <= second, times_s, -times_s))
        rows = np.where((first == NONE) | (second == NONE), NONE, self.row_of[first, second])
        known = (rows != NONE) & (steps != NONE)
        ratios = np.zeros(known.shape, np.float32)
        ratios[known] = self.table[rows[known], steps[known]]
        return ratios


def places_of(numbers: Int[np.ndarray, " item"], cameras: Int64[np.ndarray, " camera"]) -> Int64[np.ndarray, " item"]:
    """Index of each number in the ascending, not empty `cameras`; -1 for one that is not there.

    Example:
        >>> places_of(np.array([7, 2, 3]), np.array([2, 7])).tolist()
        [1, 0, -1]
    """
    places = np.searchsorted(cameras, numbers).clip(max=len(cameras) - 1)
    return np.where(cameras[places] == numbers, places, NONE)


def step_times_s() -> Float64[np.ndarray, " step"]:
    """Time in the middle of each step."""
    return SCALE_S * np.sinh(STEP * np.arange(-HALF, HALF + 1))


def steps_of(times_s: Float[np.ndarray, "*any"]) -> Int64[np.ndarray, "*any"]:
    """Step of each time; -1 beyond a day, and for NaN."""
    steps = np.round(np.arcsinh(np.nan_to_num(times_s, nan=np.inf) / SCALE_S) / STEP) + HALF
    return np.where((steps >= 0) & (steps < NUM_STEPS), steps, NONE).astype(np.int64)
