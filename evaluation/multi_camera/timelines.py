"""Times of a video's frames, by which visits and windows are measured: the rate of a video may vary."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64


class Timeline:
    """Times of the frames of one camera's video.

    Args:
        times_s: of each frame since the first, rising.

    Example:
        >>> timeline = Timeline([0.0, 0.1, 0.2, 5.2])
        >>> timeline.at(np.array([1, 4, 6])).round(3).tolist()   # frame 6 is after the last, which comes 0.1 s apart
        [0.0, 5.2, 5.4]
    """

    def __init__(self, times_s: Sequence[float]) -> None:
        self._times_s = np.array(times_s, np.float64)
        self.interval_s = float(np.median(np.diff(self._times_s))) if len(times_s) > 1 else 0.0

    def at(self, frames: Int64[np.ndarray, " frame"]) -> Float64[np.ndarray, " frame"]:
        """Seconds at `frames`, which count from 1; frames after the last one follow at the usual interval."""
        last = len(self._times_s)
        within = self._times_s[np.clip(frames, 1, last) - 1] if last else np.zeros(len(frames))
        return within + np.maximum(frames - last, 0) * self.interval_s

    def of(self, frame: int) -> float:
        """Seconds at one frame."""
        return float(self.at(np.array([frame]))[0])
