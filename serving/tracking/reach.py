"""Where a person who is lost can appear again."""

import numpy as np
from jaxtyping import Bool, Float32, Float64

from serving.tracking.kalman import Motion
from serving.tracking.settings import TrackerSettings

_MAX_HEIGHT_RATIO = 1.6  # between two boxes of the same person
_REACH_AT_ONCE_HEIGHTS = 0.5  # distance that a box may move in any time, however short


def within_reach(
    last_xyxy: Float32[np.ndarray, "track 4"],
    boxes_xyxy: Float32[np.ndarray, "box 4"],
    unobserved_s: Float64[np.ndarray, " track"],
    settings: TrackerSettings,
) -> Bool[np.ndarray, "track box"]:
    """Whether a person can have walked from the last box of a track to a box, and has its height.

    The reach grows with the time, up to `reach_heights`.
    """
    heights, box_heights = _heights(last_xyxy)[:, None], _heights(boxes_xyxy)[None]
    walked = np.linalg.norm(_centres(boxes_xyxy)[None] - _centres(last_xyxy)[:, None], axis=2)
    walk_heights = np.minimum(settings.reach_heights_per_s * unobserved_s, settings.reach_heights)[:, None]
    similar_height = np.maximum(heights, box_heights) <= _MAX_HEIGHT_RATIO * np.minimum(heights, box_heights)
    return similar_height & (walked <= heights * (_REACH_AT_ONCE_HEIGHTS + walk_heights))


def has_left(predicted: Motion, size_px: tuple[int, int] | None) -> Bool[np.ndarray, " track"]:
    """Whether the centre of a predicted box is outside the picture, whose width and height are `size_px`.

    Without a size nobody has left. Who walks out and comes back is a new tracklet, for it may be somebody else.
    """
    if size_px is None:
        return np.zeros(len(predicted), bool)
    centres = predicted.position[:, :2]
    outside: Bool[np.ndarray, "track 2"] = (centres < 0) | (centres > np.array(size_px))
    return np.asarray(outside.any(axis=1), bool)


def _heights(boxes_xyxy: Float32[np.ndarray, "box 4"]) -> Float32[np.ndarray, " box"]:
    return boxes_xyxy[:, 3] - boxes_xyxy[:, 1]


def _centres(boxes_xyxy: Float32[np.ndarray, "box 4"]) -> Float32[np.ndarray, "box 2"]:
    return (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
