"""Who waits for whom. Taken in this order: removers, a segment's crops, writers, cases, rows, audit.

Slow storage of crops is touched under the first two only, so it holds up nobody who writes rows of another segment.
All but `hold_removers` end with the transaction that took them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

_WRITERS, _AUDIT, _REMOVERS = 2023, 2024, 2025  # any numbers but that of serving.database.connection
_CROPS, _FILES = 2026, 2027  # with another number beside them


@contextmanager
def hold_removers(engine: sa.Engine) -> Iterator[None]:
    """Nobody else replaces a district or runs the retention meanwhile."""
    with engine.begin() as guard:
        guard.execute(sa.select(sa.func.pg_advisory_xact_lock(_REMOVERS)))
        yield


def lock_crops(connection: sa.Connection, segment_id: int) -> None:
    """Let nobody else write or remove crops of the segment."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CROPS, _number(segment_id))))


def try_lock_crops(connection: sa.Connection, segment_id: int) -> bool:
    """As `lock_crops`, or False when somebody else has them."""
    return bool(connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_CROPS, _number(segment_id)))).scalar())


def lock_file(connection: sa.Connection, checksum: str) -> None:
    """Let nobody else take in a file of this content."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_FILES, sa.func.hashtext(checksum))))


def lock_writers(connection: sa.Connection) -> None:
    """Let nobody else write rows of tracklets, make partitions or drop them."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))


def lock_cases(connection: sa.Connection) -> None:
    """Let nobody put a sighting into a case, or a case under hold."""
    connection.execute(sa.text("LOCK TABLE cases, case_sightings IN SHARE ROW EXCLUSIVE MODE"))


def lock_audit(connection: sa.Connection) -> None:
    """Let nobody else add a record to the audit."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_AUDIT)))


def _number(segment_id: int) -> sa.ColumnElement[int]:
    """PostgreSQL takes two numbers of 32 bits; segments that share one wait for each other, which does no harm."""
    return sa.cast(segment_id % 2**31, sa.Integer)
