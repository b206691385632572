"""Request deadlines: work stops at its next stage once the deadline of the request has passed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from domain.errors import DongseonError


class _Deadline:
    """The end of a request's time, by `time.monotonic()`."""

    def __init__(self, ends: float = float("inf")) -> None:
        self.ends = ends


_deadline: ContextVar[_Deadline] = ContextVar("deadline", default=_Deadline())  # noqa: B039  tasks and threads share it


class OverdueError(DongseonError):
    """The request's deadline has passed."""


@contextmanager
def deadline_after(seconds: float) -> Iterator[Callable[[], None]]:
    """Set a deadline in `seconds` from now for work started in this block, including its tasks and threads.

    Yields a function that starts the seconds anew.
    """
    deadline = _Deadline()

    def start() -> None:
        deadline.ends = time.monotonic() + seconds

    start()
    token = _deadline.set(deadline)
    try:
        yield start
    finally:
        _deadline.reset(token)


def require_time() -> None:
    """Raise `OverdueError` if the deadline of the current work has passed; without a deadline, do nothing."""
    if time.monotonic() >= _deadline.get().ends:
        raise OverdueError("the answer must be ready by its deadline, which has passed")


def remaining_s() -> float | None:
    """Seconds until the deadline of the current work, 0 once it has passed; None without a deadline."""
    ends = _deadline.get().ends
    return None if ends == float("inf") else max(0.0, ends - time.monotonic())
