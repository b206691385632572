"""Which box continues which track: costs `[track, box]` in 0..1 and the pairs of least total cost."""

import numpy as np
from scipy.optimize import linear_sum_assignment

_FORBIDDEN = 1e6  # above any sum of real costs


def clear_pairs(costs: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Tracks and boxes that choose each other so plainly that nothing more need be known, two `int64 [pair]`.

    Args:
        costs: `[track, box]`; infinite where a pair is impossible.
        margin: the pair's cost is at least this much below any other of its track and of its box.

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


def cheapest_pairs(costs: np.ndarray, max_cost: float) -> tuple[np.ndarray, np.ndarray]:
    """Tracks and boxes, two `int64 [pair]`, that give the most pairs at or below `max_cost` at least total cost.

    Each track and each box is in one pair at most; infinite costs are never paired. Source: Hungarian algorithm.

    Example:
        >>> cheapest_pairs(np.array([[0.1, 0.2], [0.2, 0.9]]), max_cost=0.5)
        (array([0, 1]), array([1, 0]))
    """
    allowed = costs <= max_cost
    if not allowed.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    tracks, boxes = linear_sum_assignment(np.where(allowed, costs, _FORBIDDEN))
    kept = allowed[tracks, boxes]
    return tracks[kept].astype(np.int64), boxes[kept].astype(np.int64)


def _lowest_of_other_tracks(costs: np.ndarray) -> np.ndarray:
    """For each pair the lowest cost of its box with any other track, `[track, box]`; infinite if there is none."""
    if len(costs) == 1:
        return np.full_like(costs, np.inf)
    two = np.partition(costs, 1, axis=0)
    is_lowest = np.arange(len(costs))[:, None] == costs.argmin(axis=0)[None]
    return np.where(is_lowest, two[1], two[0])
