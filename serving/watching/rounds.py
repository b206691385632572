"""Work that a thread of its own does again and again."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from domain.errors import DongseonError

_EVERY_S = 1.0
_log = logging.getLogger(__name__)


class Rounds:
    """Calls `work` in a thread: at once while it returns true, else every second. An error ends no later round.

    An error is logged when it is not that of the round before.

    Args:
        name: name of the thread.
        work: one round; returns whether more is waiting.
        failure: what the log says before the reason, such as "alerts cannot be sent".
    """

    def __init__(self, name: str, work: Callable[[], bool], failure: str) -> None:
        self._name, self._work, self._failure = name, work, failure
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End after the round that is in work."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        last, has_more = "", False
        with ThreadPoolExecutor(1, thread_name_prefix=self._name) as pool:
            while not self._is_over.wait(0 if has_more else _EVERY_S):
                done = pool.submit(self._work)
                error = done.exception()
                has_more = error is None and done.result()
                reason = "" if error is None else str(getattr(error, "orig", error))
                if error is not None and reason != last:
                    is_known = isinstance(error, (DongseonError, sa.exc.SQLAlchemyError))
                    _log.error("%s: %s", self._failure, reason, exc_info=None if is_known else error)
                last = reason
