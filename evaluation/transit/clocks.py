"""Offsets of cameras' clocks, from walks whose times are known from before, or from distances.

Nothing here changes a stored time: an offset is told, with an error bar.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.signal import correlate

from evaluation.transit.model import NONE, TransitModel
from evaluation.transit.walks import Walks

_STEP_S = 2.0
_REACH = 2_700  # steps; offsets up to 90 minutes are looked at
_LONGEST = 2 * _REACH  # steps of a walk, and of what an offset of its length can have made of one
_SHIFTS_S = _STEP_S * np.arange(-_REACH, _REACH + 1)
_SWEEPS = 3
_LEAST_GAIN = 5.0  # nats by which an offset must be likelier than none; as much as one walk can give


@dataclass(frozen=True)
class ClockOffsets:
    """How far each camera's clock is ahead of the others'; of two cameras, only the difference is known."""

    cameras: Int64[np.ndarray, " camera"]
    offsets_s: Float64[np.ndarray, " camera"]  # positive: fast; 0 unless another is clearly likelier
    errors_s: Float64[np.ndarray, " camera"]  # standard error; infinite for a camera without walks


def clock_offsets(model: TransitModel, walks: Walks) -> ClockOffsets:
    """The offsets, up to 90 minutes, that make `walks` likeliest under a model of right clocks.

    That is a model of earlier walks, or one fitted to none, from distances alone. The clock that explains most is set
    first, then the others given it, three times around. The model's background bounds what a wrong walk says, so that
    likely walks do beside confirmed ones. The walks of a group, such as a person, count as one, and the error is the
    standard deviation of the likelihood, widened by how few walks the model was fitted to.
    """
    offsets_s = np.zeros(len(model.cameras))
    gains = [_profile(model, walks, offsets_s, place) for place in range(len(offsets_s))]
    order = np.argsort([-float(np.ptp(each)) for each in gains], kind="stable")
    for _ in range(_SWEEPS):
        for place in order.tolist():
            profile = _profile(model, walks, offsets_s, place)
            best = int(profile.argmax())
            is_clear = profile[best] > profile[len(profile) // 2] + _LEAST_GAIN
            offsets_s[place] = _SHIFTS_S[best] if is_clear else 0.0
    errors_s = [
        _error(model, walks, place, _profile(model, walks, offsets_s, place)) for place in range(len(offsets_s))
    ]
    return ClockOffsets(model.cameras, offsets_s, np.array(errors_s))


def _profile(
    model: TransitModel, walks: Walks, offsets_s: Float64[np.ndarray, " camera"], place: int
) -> Float64[np.ndarray, " shift"]:
    """Log-likelihood of each offset of one camera, given those of the others."""
    profile = np.zeros(len(_SHIFTS_S))
    grid_s = _STEP_S * np.arange(-_LONGEST - _REACH, _LONGEST + _REACH + 1)
    for other in range(len(model.cameras)):
        pair = model.cameras[[other, place]]
        there, back = ((walks.from_cameras == first) & (walks.to_cameras == last) for first, last in (pair, pair[::-1]))
        if other == place or not (there | back).any():
            continue
        times_s = np.concatenate([walks.times_s[there], -walks.times_s[back]]) + offsets_s[other]
        weights = np.concatenate([walks.weights[there], walks.weights[back]])
        steps = np.round(times_s / _STEP_S).astype(int) + _LONGEST
        near = (steps >= 0) & (steps <= 2 * _LONGEST)
        counts = np.bincount(steps[near], weights[near], minlength=2 * _LONGEST + 1)
        ratios = model.of_walks(np.full(len(grid_s), pair[0]), np.full(len(grid_s), pair[1]), grid_s)
        profile += correlate(ratios.astype(np.float64), counts, mode="valid", method="fft")[::-1]
    return profile * _independent_share(walks, model.cameras[place])


def _independent_share(walks: Walks, camera: int) -> float:
    """Groups in proportion to the walks of a camera: what they say together is one thing only."""
    here = (walks.from_cameras == camera) != (walks.to_cameras == camera)
    total = float(walks.weights[here].sum())
    return min(1.0, len(np.unique(walks.groups[here])) / total) if total > 0 else 1.0


def _error(model: TransitModel, walks: Walks, place: int, profile: Float64[np.ndarray, " shift"]) -> float:
    if not profile.any():
        return float(np.inf)
    chances = np.exp(profile - profile.max())
    chances /= chances.sum()
    mean = chances @ _SHIFTS_S
    variance = chances @ (_SHIFTS_S - mean) ** 2 + _STEP_S**2 / 12
    camera = model.cameras[place]
    now = walks.weights[(walks.from_cameras == camera) != (walks.to_cameras == camera)].sum()
    rows = np.delete(model.row_of[place], place)
    learnt = model.num_walks[rows[rows != NONE]].sum()
    return float(np.sqrt(variance * (1 + now / learnt if learnt > 0 else 1)))
