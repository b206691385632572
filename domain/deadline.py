"""Until when the answer to a request is wanted: work for one that nobody waits for any more stops at its next stage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from domain.errors import DongseonError

_ends: ContextVar[float] = ContextVar("deadline", default=float("inf"))  # of time.monotonic; threads get a copy


class OverdueError(DongseonError):
    """The request's deadline has passed."""


@contextmanager
def deadline_after(seconds: float) -> Iterator[None]:
    """Work that begins in this block, in its tasks and threads too, has so long."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def require_time() -> None:
    """Raise `OverdueError` once the deadline of the work in hand has passed; without a deadline never."""
    if time.monotonic() >= _ends.get():
        raise OverdueError("the answer must be ready by its deadline, which has passed")
