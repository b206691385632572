"""Fits a transit model to walks; see `evaluation.transit.model` for what is fitted."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int32, Int64
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr

from domain.errors import InputError, require_shape
from evaluation.transit.model import HALF, NONE, NUM_STEPS, SCALE_S, STEP, TransitModel, places_of, steps_of
from evaluation.transit.walks import Walks

_WIDTHS = (16.0, 8.0, 5.0, 3.0, 2.0, 1.0)  # of the kernel, in steps; without data the first holds
_WIDTH_OF_STRANGERS = 32.0  # who has nothing to do with each other comes at no exact time
_FOLDS = 5
_PRIOR_WALKS = 5.0
_PRIOR_BACKGROUND = 0.5  # worth `_PRIOR_WALKS` walks, too; people stay, turn, or are seen elsewhere on the way
_LEAST_BACKGROUND = 0.02  # clocks jump and roads are closed, even where no walk has shown it yet
_ROUNDS = 50  # of the maximum-likelihood background
_MOST_STRANGERS = 20_000_000  # pairs of sightings that are counted at most, evenly drawn from each camera
_WALKING_M_S, _WALKING_SPREAD = 1.1, 0.35  # median and log-deviation of the speed along the straight line
_VIEW_M = 10.0  # how far a camera sees
_PATHS = 16  # lengths of way between two views that are averaged
_METRES_SCALE, _METRES_STEP = 10.0, 0.1  # distances count in steps of asinh(metres / 10) / 0.1


def fit_transits(
    walks: Walks,
    cameras: Int[np.ndarray, " sighting"],
    times_s: Float[np.ndarray, " sighting"],
    *,
    metres: Float[np.ndarray, "camera camera"] | None = None,
) -> TransitModel:
    """The transit model of `walks`, against the strangers among all sightings.

    Time grows with walks, with pairs of cameras that have some, and with at most `_MOST_STRANGERS`; memory with the
    pairs: 23 kB each.

    Args:
        walks: of one person, surely or probably.
        cameras: number of each sighting's camera, whoever it shows.
        times_s: seconds on one clock; sightings without a time (NaN) are left out.
        metres: distance between the cameras with sightings, in the order of their numbers; NaN where it is unknown.

    Raises:
        InputError: if `metres` does not fit the cameras, or a walk is in a camera without sightings.
    """
    seen = ~np.isnan(times_s)
    numbers = np.unique(cameras[seen]).astype(np.int64)
    if metres is None:
        metres = np.full((len(numbers), len(numbers)), np.nan)
    require_shape("metres", metres, (len(numbers), len(numbers)))
    walks = walks.chosen(steps_of(walks.times_s) != NONE)
    row_of, row_metres, ends = _rows(walks, numbers, metres)
    of_camera = [np.sort(times_s[seen & (cameras == number)].astype(np.float64)) for number in numbers]
    counts = _Counts.of(walks, numbers, row_of, _meetings(of_camera, ends, len(row_metres)), row_metres)
    strangers = counts.strangers()
    width, background = _likeliest_width(counts, strangers, walks.groups)
    one_person = counts.one_person(np.ones(len(walks), bool), width, strangers)
    return TransitModel(
        cameras=numbers,
        row_of=row_of,
        one_person=one_person.astype(np.float32),
        strangers=strangers.astype(np.float32),
        num_walks=np.bincount(counts.rows, walks.weights, minlength=len(row_metres)).astype(np.float32),
        background=background,
        width=width,
    )


@dataclass(frozen=True)
class _Counts:
    """What the densities are made of."""

    rows: Int64[np.ndarray, " walk"]
    steps: Int64[np.ndarray, " walk"]
    weights: Float64[np.ndarray, " walk"]
    own: Int64[np.ndarray, " own"]  # rows of one camera, the same in both directions
    meetings: Float64[np.ndarray, "row step"]  # pairs of any two sightings
    on_foot: Float64[np.ndarray, "row step"]  # walking times; NaN where the distance is unknown

    @classmethod
    def of(
        cls,
        walks: Walks,
        numbers: Int64[np.ndarray, " camera"],
        row_of: Int32[np.ndarray, "camera camera"],
        meetings: Float64[np.ndarray, "row step"],
        row_metres: Float64[np.ndarray, " row"],
    ) -> "_Counts":
        first, second = places_of(walks.from_cameras, numbers), places_of(walks.to_cameras, numbers)
        own = row_of.diagonal().astype(np.int64)
        return cls(
            rows=row_of[first, second].astype(np.int64),
            steps=steps_of(np.where(first <= second, walks.times_s, -walks.times_s)),
            weights=walks.weights,
            own=own[own != NONE],
            meetings=meetings,
            on_foot=_walking_densities(row_metres),
        )

    def strangers(self) -> Float64[np.ndarray, "row step"]:
        """g; a pair of cameras with few sightings follows the mean of all."""
        seconds = np.cosh(STEP * np.arange(-HALF, HALF + 1))  # a step's length, up to a factor
        pooled = _smooth(self.meetings.sum(axis=0, keepdims=True), _WIDTH_OF_STRANGERS)
        return _mixed(_smooth(self.meetings, _WIDTH_OF_STRANGERS), _mixed(pooled, seconds / seconds.sum()))

    def one_person(
        self, kept: Bool[np.ndarray, " walk"], width: float, strangers: Float64[np.ndarray, "row step"]
    ) -> Float64[np.ndarray, "row step"]:
        """f of the walks `kept`."""
        cells = self.rows[kept] * NUM_STEPS + self.steps[kept]
        counts = np.bincount(cells, self.weights[kept], minlength=self.meetings.size).astype(np.float64)
        counts = counts.reshape(self.meetings.shape)
        counts[self.own] = (counts[self.own] + counts[self.own, ::-1]) / 2
        return _mixed(_smooth(counts, width), np.where(np.isnan(self.on_foot), strangers, self.on_foot))


def _likeliest_width(
    counts: _Counts, strangers: Float64[np.ndarray, "row step"], groups: Int64[np.ndarray, " walk"]
) -> tuple[float, float]:
    """Width of the kernel and background under which the walks of held-out groups are likeliest."""
    folds = np.unique(groups, return_inverse=True)[1] % _FOLDS
    best = (-np.inf, _WIDTHS[0], _PRIOR_BACKGROUND)
    for width in _WIDTHS:
        ratios = np.ones(len(folds))
        for fold in np.unique(folds):
            held_out = folds == fold
            cells = counts.rows[held_out], counts.steps[held_out]
            ratios[held_out] = counts.one_person(~held_out, width, strangers)[cells] / strangers[cells]
        background = _likeliest_background(ratios, counts.weights)
        likelihood = float(counts.weights @ np.log((1 - background) * ratios + background))
        best = max(best, (likelihood, width, background), key=lambda each: each[0])
    return best[1], best[2]


def _likeliest_background(ratios: Float64[np.ndarray, " walk"], weights: Float64[np.ndarray, " walk"]) -> float:
    """w of walks with the ratio f / g, by expectation-maximisation from its prior, which is worth some walks."""
    background = _PRIOR_BACKGROUND
    for _ in range(_ROUNDS):
        by_chance = float(weights @ (background / ((1 - background) * ratios + background)))
        background = (by_chance + _PRIOR_WALKS * _PRIOR_BACKGROUND) / (weights.sum() + _PRIOR_WALKS)
    return max(float(background), _LEAST_BACKGROUND)


def _rows(
    walks: Walks, numbers: Int64[np.ndarray, " camera"], metres: Float[np.ndarray, "camera camera"]
) -> tuple[Int32[np.ndarray, "camera camera"], Float64[np.ndarray, " row"], list[tuple[int, int]]]:
    """Row of each pair of cameras, metres of each row (NaN: unknown), and the cameras of the rows with walks.

    Those come first. Other pairs of a known distance share rows by distance.
    """
    first, second = places_of(walks.from_cameras, numbers), places_of(walks.to_cameras, numbers)
    if NONE in first or NONE in second:
        raise InputError("walks must be between cameras with sightings, got one in another camera")
    walked = np.zeros(metres.shape, bool)
    walked[np.minimum(first, second), np.maximum(first, second)] = True
    ends = np.argwhere(walked)
    row_of = np.full(metres.shape, NONE, np.int32)
    row_of[walked] = np.arange(len(ends))
    classes = np.round(np.arcsinh(metres / _METRES_SCALE) / _METRES_STEP)
    np.fill_diagonal(classes, np.nan)  # how people come back does not depend on a distance
    shared = np.triu(~walked & ~np.isnan(classes))
    kinds, of_pair = np.unique(classes[shared], return_inverse=True)
    row_of[shared] = len(ends) + of_pair
    row_classes = np.concatenate([classes[walked], kinds])
    return (
        np.maximum(row_of, row_of.T),
        _METRES_SCALE * np.sinh(_METRES_STEP * row_classes),
        [(first, second) for first, second in ends.tolist()],
    )


def _meetings(
    of_camera: list[np.ndarray], ends: list[tuple[int, int]], num_rows: int
) -> Float64[np.ndarray, "row step"]:
    """How many pairs of sightings lie in each step; of cameras with many sightings, a part evenly drawn in time."""
    most = max(2, int(np.sqrt(_MOST_STRANGERS / max(len(ends), 1))))
    drawn = [times[np.linspace(0, len(times) - 1, min(len(times), most)).astype(int)] for times in of_camera]
    counts = np.zeros((num_rows, NUM_STEPS))
    for row, (first, second) in enumerate(ends):
        steps = steps_of(drawn[second] - drawn[first][:, None])
        if first == second:
            np.fill_diagonal(steps, NONE)
        counts[row] = np.bincount(steps[steps != NONE], minlength=NUM_STEPS)
    return counts


def _walking_densities(metres: Float64[np.ndarray, " row"]) -> Float64[np.ndarray, "row step"]:
    """Share of each step of the times to walk the way between two cameras, either way; NaN of an unknown distance.

    The way, from the last place in one view to the first in the other, is uniform over distance ± both views; the speed
    is log-normal.
    """
    edges_s = SCALE_S * np.sinh(STEP * (np.arange(HALF + 2) - 0.5)).clip(min=1e-9)
    middles = (np.arange(_PATHS) + 0.5) / _PATHS
    kinds, of_row = np.unique(metres, return_inverse=True)
    densities = np.full((len(kinds), NUM_STEPS), np.nan)
    for kind in np.flatnonzero(~np.isnan(kinds)):
        shortest = max(kinds[kind] - 2 * _VIEW_M, 0.0)
        ways_m = shortest + middles * (kinds[kind] + 2 * _VIEW_M - shortest)
        arrived = ndtr(np.log(edges_s * _WALKING_M_S / ways_m[:, None]) / _WALKING_SPREAD).mean(axis=0)
        later = np.diff(arrived, prepend=0)[1:]  # NUM_STEPS // 2 + 1 steps from t = 0
        densities[kind] = np.concatenate([later[:0:-1], [2 * later[0]], later[1:]]) / 2
    return densities[of_row]


def _mixed(
    counts: Float64[np.ndarray, "row step"], prior: Float64[np.ndarray, "*row step"]
) -> Float64[np.ndarray, "row step"]:
    """Density of counts and of a prior that is worth `_PRIOR_WALKS`."""
    mixed = counts + _PRIOR_WALKS * prior
    return mixed / mixed.sum(axis=1, keepdims=True)


def _smooth(counts: Float64[np.ndarray, "row step"], width: float) -> Float64[np.ndarray, "row step"]:
    return gaussian_filter1d(counts, width, axis=1, mode="nearest")
