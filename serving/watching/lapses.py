"""Closes cases that were opened in an emergency and to which no reviewer agreed in time."""

from collections.abc import Callable

from serving.cases.emergency import close_lapsed
from serving.database.store import Store
from serving.watching.rounds import Rounds


class Lapses(Rounds):
    """Closes them in a thread of its own, which ends with `close`.

    Nobody can work on them from the moment on at which the time is over: this records that they are closed.

    Args:
        store: returns the open store.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        super().__init__("lapses", self.close_next, "cases that were opened in an emergency cannot be closed")
        self._store = store

    def close_next(self) -> bool:
        """Close what has lapsed; False, as nothing is left to do."""
        with self._store().begin() as connection:
            close_lapsed(connection)
        return False
