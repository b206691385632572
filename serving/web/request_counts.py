"""Counts what a client has sent in the last minute, in this process or in a Redis server that replicas share."""

import logging
import math
import os
import time
from collections.abc import Callable
from typing import TypeVar

from limits import RateLimitItem
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from starlette.concurrency import run_in_threadpool

from domain.errors import InputError

_ADDRESS = "DONGSEON_LIMITS"
_ANSWERS_WITHIN_S = 0.5  # Redis; a request waits for it
_LOOK_AGAIN_S = 10.0  # after it did not answer
_STEP_S = 1.0  # by which a clock that is set back is told from one that is adjusted
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class RequestCounts:
    """Counts by limit and client, in a window that moves. Safe to share between threads.

    The environment's `DONGSEON_LIMITS`, such as `redis://host:6379/0`, names a Redis server in which all replicas of a
    service count together. While it does not answer, each counts for itself, and the log says so.

    Raises:
        InputError: if the address is malformed.
    """

    def __init__(self) -> None:
        self._own, self._clock = _new_window(), _clock()
        self._shared = _shared(os.environ.get(_ADDRESS))
        self._answers_from = 0.0  # when Redis is asked again

    def hit(self, limit: RateLimitItem, *client: str) -> int | None:
        """Count one for the client; None if that was within the limit, else the seconds until another one is."""
        return self._with_counts(lambda counts: None if counts.hit(limit, *client) else _wait_s(counts, limit, client))

    async def hit_from_loop(self, limit: RateLimitItem, *client: str) -> int | None:
        """As `hit`, from an event loop, which goes on while Redis is asked."""
        if self._shared is None:
            return self.hit(limit, *client)
        return await run_in_threadpool(self.hit, limit, *client)

    def wait_s(self, limit: RateLimitItem, *client: str) -> int | None:
        """Seconds until another one is within the limit; None if it is now. Nothing is counted."""
        return self._with_counts(lambda counts: None if counts.test(limit, *client) else _wait_s(counts, limit, client))

    def _with_counts(self, ask: Callable[[MovingWindowRateLimiter], _T]) -> _T:
        if self._shared is not None and time.monotonic() >= self._answers_from:
            try:
                return ask(self._shared)
            except StorageError as error:
                self._answers_from = time.monotonic() + _LOOK_AGAIN_S
                kind = type(error.storage_error).__name__
                _log.warning("Redis at %s must answer, got %s; this replica counts requests for itself", _ADDRESS, kind)
        was, self._clock = self._clock, _clock()
        if self._clock < was - _STEP_S:  # the window is of the wall clock: it would be full until that is where it was
            self._own = _new_window()
        return ask(self._own)


def _new_window() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())


def _clock() -> float:
    """The wall clock in seconds, less what passed; it changes when somebody sets the clock."""
    return time.time() - time.monotonic()


def _shared(address: str | None) -> MovingWindowRateLimiter | None:
    if not address:
        return None
    limits = {"socket_timeout": _ANSWERS_WITHIN_S, "socket_connect_timeout": _ANSWERS_WITHIN_S}
    try:
        storage = storage_from_string(address, wrap_exceptions=True, **limits)
    except Exception as error:  # the library raises its own and Redis's
        raise InputError(
            f"{_ADDRESS} must look like redis://user:password@host:6379/0 (it is not shown), got {type(error).__name__}"
        ) from error
    return MovingWindowRateLimiter(storage)


def _wait_s(counts: MovingWindowRateLimiter, limit: RateLimitItem, client: tuple[str, ...]) -> int:
    return max(1, math.ceil(counts.get_window_stats(limit, *client).reset_time - time.time()))
