"""Request deadlines: work stops at its next stage once the deadline of the request has passed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from domain.errors import DongseonError

_ends: ContextVar[float] = ContextVar("deadline", default=float("inf"))  # time.monotonic(); threads inherit a copy


class OverdueError(DongseonError):
    """The request's deadline has passed."""


@contextmanager
def deadline_after(seconds: float) -> Iterator[None]:
    """Set a deadline in `seconds` from now for work started in this block, including its tasks and threads."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def require_time() -> None:
    """Raise `OverdueError` if the deadline of the current work has passed; without a deadline, do nothing."""
    if time.monotonic() >= _ends.get():
        raise OverdueError("the answer must be ready by its deadline, which has passed")


def remaining_s() -> float | None:
    """Seconds until the deadline of the current work, 0 once it has passed; None without a deadline."""
    ends = _ends.get()
    return None if ends == float("inf") else max(0.0, ends - time.monotonic())
