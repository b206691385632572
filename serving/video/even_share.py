"""Which frames of a camera are looked at when there are more than can be: evenly spaced ones, as many as fit."""

import time
from collections.abc import Callable

_WINDOW, _WINDOW_S = 16, 8.0  # chosen frames, or seconds, after which the share is measured anew
_BUSY = 0.9  # part of the time from which on the consumer counts as fully used
_MOST_GROWTH, _LEAST_KEPT = 4.0, 0.1  # of the share in one step


class EvenShare:
    """Chooses a share of the frames at even distances, such as two in three; the consumer's speed sets the share.

    The share shrinks if chosen frames were replaced by newer ones while the consumer worked all the time, and grows as
    soon as the consumer waits. Frames that come in bursts to a consumer with time to spare change nothing. Every camera
    has its own; as cameras take turns at the engines, those that need less than an equal part keep all their frames.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.share = 1.0
        self._clock = clock
        self._credit = 1.0  # of which a chosen frame takes one
        self._working_since: float | None = None
        self._begin_window()

    def chooses(self) -> bool:
        """Whether the next frame is chosen."""
        if self._num_chosen >= _WINDOW or self._clock() - self._since >= _WINDOW_S:
            self._measure()
        self._credit = min(self._credit + self.share, 1.0 + self.share)
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        self._num_chosen += 1
        return True

    def replace(self) -> None:
        """Count a chosen frame that the consumer did not read in time."""
        self._num_replaced += 1

    def begin_work(self) -> None:
        """The consumer got a frame."""
        self._working_since = self._clock()

    def end_work(self) -> None:
        """The consumer is done with it."""
        if self._working_since is not None:
            self._worked_s += self._clock() - max(self._working_since, self._since)
            self._working_since = None

    def _begin_window(self) -> None:
        self._since, self._worked_s = self._clock(), 0.0
        self._num_chosen = self._num_replaced = 0

    def _measure(self) -> None:
        now = self._clock()
        working_s = now - max(self._working_since, self._since) if self._working_since is not None else 0.0
        used = (self._worked_s + working_s) / max(now - self._since, 1e-9)
        if used < _BUSY:
            self.share = min(1.0, self.share * min(_MOST_GROWTH, _BUSY / max(used, 1e-9)))
        elif self._num_replaced:
            self.share *= max(_LEAST_KEPT, 1 - self._num_replaced / self._num_chosen)
        self._begin_window()
