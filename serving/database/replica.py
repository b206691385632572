"""A read replica of the database, from which searches take their candidates while it keeps up."""

import logging
import threading
import time

import sqlalchemy as sa

_LOOK_EVERY_S = 2.0  # so also how far behind, at most, a replica is that is in use
_LOOK_AGAIN_S = 10.0  # after it did not answer
_WRITTEN = sa.text("SELECT pg_current_wal_lsn()::text")
_REPLAYED = sa.text("SELECT coalesce(pg_last_wal_replay_lsn() >= CAST(:written AS pg_lsn), false)")
_log = logging.getLogger(__name__)


class Replica:
    """A standby that follows the database by PostgreSQL's streaming replication. Safe to share between threads.

    It keeps up if it has replayed all that the database had written at the look before, two seconds ago.

    Args:
        engine: of the replica; connects when it is first needed.
        primary: engine of the database.
    """

    def __init__(self, engine: sa.Engine, primary: sa.Engine) -> None:
        self.engine = engine
        self._primary = primary
        self._looks = threading.Lock()
        self._keeps_up, self._why_not = False, "it was not looked at yet"
        self._written: tuple[float, str] | None = None  # when, and up to where in its log, the database had written
        self._next_look = 0.0

    def keeps_up(self) -> bool:
        """Whether searches may read from it. One thread looks, every other second; the others take what it last saw."""
        if time.monotonic() >= self._next_look and self._looks.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looks.release()
        return self._keeps_up

    def warning(self) -> str | None:
        """A sentence while it does not keep up; None while it does."""
        if self.keeps_up():
            return None
        return f"the replica at DATABASE_REPLICA_URL must keep up; searches do without it: {self._why_not}"

    def give_up(self, error: sa.exc.DBAPIError) -> None:
        """Leave it alone for some seconds, because a query failed there."""
        self._set(False, f"a query failed there: {type(error.orig).__name__}")
        self._next_look = time.monotonic() + _LOOK_AGAIN_S

    def _look(self) -> None:
        began, before = time.monotonic(), self._written
        try:
            with self._primary.begin() as connection:
                now_written = str(connection.execute(_WRITTEN).scalar_one())
        except sa.exc.DBAPIError:
            return  # whoever asks hears it from the database itself
        is_recent = before is not None and began - before[0] < 2 * _LOOK_EVERY_S
        must_have = before[1] if before is not None and is_recent else now_written
        self._written, self._next_look = (began, now_written), began + _LOOK_EVERY_S
        try:
            with self.engine.begin() as connection:
                has_it = bool(connection.execute(_REPLAYED, {"written": must_have}).scalar_one())
        except sa.exc.DBAPIError as error:
            self._set(False, f"it does not answer: {type(error.orig).__name__}")
            self._next_look = time.monotonic() + _LOOK_AGAIN_S
        else:
            self._set(has_it, "it is behind, or no replica of this database")

    def _set(self, keeps_up: bool, why_not: str) -> None:
        if keeps_up and not self._keeps_up:
            _log.info("searches read from the replica")
        elif self._keeps_up and not keeps_up:
            _log.warning("searches read from the database itself, not from its replica: %s", why_not)
        self._keeps_up, self._why_not = keeps_up, why_not
