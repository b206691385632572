"""How long the tracker waits for people: in seconds, and in looks where the looks are rare."""

from collections import deque

import numpy as np

from serving.tracking.settings import TrackerSettings

_RECENT_LOOKS = 9  # whose median interval is the usual one, so that a single pause changes nothing


class Patience:
    """Measures the intervals between the looks of one camera; its times follow from the usual interval.

    Example: looked at once a second, a track is active for 2.5 s (`active_looks`) instead of 0.6 s (`active_s`).
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._intervals_s: deque[float] = deque(maxlen=_RECENT_LOOKS)

    def add_interval(self, seconds: float) -> None:
        """Take the time between two looks into account."""
        self._intervals_s.append(seconds)

    @property
    def active_s(self) -> float:
        """Time without a box after which a track is lost."""
        return max(self._settings.active_s, self._time_of(self._settings.active_looks))

    @property
    def interpolate_s(self) -> float:
        """Longest break whose missing boxes are interpolated."""
        return max(self._settings.interpolate_s, self._time_of(self._settings.interpolate_looks))

    @property
    def confirm_observations(self) -> int:
        """Strong boxes that confirm a track; in proportion fewer where looks are more than `rare_s` apart.

        One before a second look.
        """
        interval_s = self._interval_s or np.inf
        share = min(1.0, self._settings.rare_s / interval_s)
        return max(1, round(self._settings.confirm_observations * share))

    @property
    def _interval_s(self) -> float:
        return float(np.median(self._intervals_s)) if self._intervals_s else 0.0

    def _time_of(self, looks: float) -> float:
        """Time of so many looks, but never longer than a person may be lost."""
        return min(looks * self._interval_s, self._settings.max_lost_s)
