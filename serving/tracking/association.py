"""Assigns boxes to tracks by costs `[track, box]` in 0..1."""

import numpy as np
from jaxtyping import Float, Int64
from scipy.optimize import linear_sum_assignment

Pairs = tuple[Int64[np.ndarray, " pair"], Int64[np.ndarray, " pair"]]  # indices of tracks and of boxes

_FORBIDDEN = 1e6  # above any sum of real costs


def clear_pairs(costs: Float[np.ndarray, "track box"], margin: float) -> Pairs:
    """Unambiguous pairs of a track and a box: they need no comparison of appearance.

    Args:
        costs: infinite where a pair is impossible.
        margin: a pair's cost must be at least this much below every other cost of its track and of its box.

    Example:
        >>> clear_pairs(np.array([[0.1, 0.9], [0.8, 0.3]]), margin=0.3)
        (array([0, 1]), array([0, 1]))
        >>> clear_pairs(np.array([[0.1, 0.3], [0.2, np.inf]]), margin=0.3)
        (array([], dtype=int64), array([], dtype=int64))
    """
    num_tracks, num_boxes = costs.shape
    if not num_tracks or not num_boxes:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    best = costs.argmin(axis=1)
    tracks = np.arange(num_tracks)
    lowest = costs[tracks, best]
    others = costs.copy()
    others[tracks, best] = np.inf
    rivals = np.minimum(others.min(axis=1), _lowest_of_other_tracks(costs)[tracks, best])
    clear = np.isfinite(lowest) & (lowest + margin <= rivals)
    return np.flatnonzero(clear), best[clear].astype(np.int64)


def cheapest_pairs(costs: Float[np.ndarray, "track box"], max_cost: float) -> Pairs:
    """Pairs of a track and a box: as many as possible, at the lowest total cost.

    A pair costs `max_cost` at most. Each track and each box is in at most one pair.
    Source: linear assignment (Hungarian algorithm).

    Example:
        >>> cheapest_pairs(np.array([[0.1, 0.2], [0.2, 0.9]]), max_cost=0.5)
        (array([0, 1]), array([1, 0]))
    """
    allowed = costs <= max_cost
    if not allowed.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    tracks, boxes = linear_sum_assignment(np.where(allowed, costs, _FORBIDDEN))
    is_allowed = allowed[tracks, boxes]
    return tracks[is_allowed].astype(np.int64), boxes[is_allowed].astype(np.int64)


def _lowest_of_other_tracks(costs: Float[np.ndarray, "track box"]) -> Float[np.ndarray, "track box"]:
    """Lowest cost of the box with any other track, for each pair; infinite without other tracks."""
    if len(costs) == 1:
        return np.full_like(costs, np.inf)
    two_lowest = np.partition(costs, 1, axis=0)
    is_lowest = np.arange(len(costs))[:, None] == costs.argmin(axis=0)[None]
    return np.where(is_lowest, two_lowest[1], two_lowest[0])
