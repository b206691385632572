"""Locks of the database, to be taken in this order: removers, a segment's crops, watches, writers, cases, rows, audit.

Slow storage of crops is used under the first two only, so it does not delay writers of another segment's rows. All
locks but `hold_removers` end with the transaction that took them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

_WRITERS, _AUDIT, _REMOVERS = 2023, 2024, 2025  # any numbers but that of serving.database.connection
_CROPS, _FILES = 2026, 2027  # each with a second number
_WATCHES = 2030
_MODELS = 2031  # with a second number


@contextmanager
def hold_removers(engine: sa.Engine) -> Iterator[None]:
    """Lets no other process replace a district or run the retention in this context; segments may be added."""
    with engine.begin() as guard:
        guard.execute(sa.select(sa.func.pg_advisory_xact_lock(_REMOVERS)))
        yield


def lock_crops(connection: sa.Connection, segment_id: int) -> None:
    """Lets no other transaction write or remove crops of the segment."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CROPS, _number(segment_id))))


def try_lock_crops(connection: sa.Connection, segment_id: int) -> bool:
    """As `lock_crops`, or False at once if another transaction has the lock."""
    return bool(connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_CROPS, _number(segment_id)))).scalar())


def lock_file(connection: sa.Connection, checksum: str) -> None:
    """Lets no other transaction register a file of this content."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_FILES, sa.func.hashtext(checksum))))


def lock_writers(connection: sa.Connection) -> None:
    """Lets no other transaction write rows of tracklets, or create or drop partitions."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))


def lock_watches(connection: sa.Connection) -> None:
    """Lets no other transaction look for the watches at new sightings, so that alerts have numbers in their order."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WATCHES)))


def lock_cases(connection: sa.Connection) -> None:
    """Lets no other transaction add a sighting to a case, or put a case under hold."""
    connection.execute(sa.text("LOCK TABLE cases, case_sightings IN SHARE ROW EXCLUSIVE MODE"))


def try_lock_models(connection: sa.Connection, versions: str) -> bool:
    """Lets no other transaction give sightings embeddings by these models; False if another does."""
    number = sa.func.hashtext(versions)
    return bool(connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_MODELS, number))).scalar())


def lock_audit(connection: sa.Connection) -> None:
    """Lets no other transaction add a record to the audit."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_AUDIT)))


def _number(segment_id: int) -> sa.ColumnElement[int]:
    """PostgreSQL takes two numbers of 32 bits; segments that share a number wait for each other, which is harmless."""
    return sa.cast(segment_id % 2**31, sa.Integer)
