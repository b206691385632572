"""Whether this machine's clock may decide what is old: the database's newest records are a second clock.

A clock that is wrong by days would remove people who are still to be found, or keep them too long. Records are taken in
the order in which they were written, so that one wrong hour of the past does not count for ever.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from domain.errors import InputError
from serving.database import tables

_APART = timedelta(days=1)
INSIST = "--clock-is-right"


def require_right_clock(connection: sa.Connection) -> None:
    """Raise `InputError` if this machine's clock is more than a day from the database's, or from its newest record."""
    now = datetime.now(UTC)
    database = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    if abs(now - database) > _APART:
        raise InputError(_message("the clock of the database", database, now))
    newest = _newest_record(connection)
    if newest is not None and abs(now - newest) > _APART:
        raise InputError(_message("the newest record of audit, segments and removals", newest, now))


def correct_times_to_come(connection: sa.Connection) -> None:
    """Set times that are still to come to now: a clock that ran ahead wrote them, and they would never be old."""
    for column, are_to_come in _times_to_come():
        connection.execute(sa.update(column.table).where(are_to_come).values({column.name: sa.func.now()}))


def has_times_to_come(connection: sa.Connection) -> bool:
    """Whether there is a time to correct."""
    return any(connection.execute(sa.select(sa.exists().where(found))).scalar() for _, found in _times_to_come())


def _times_to_come() -> list[tuple[sa.Column[datetime], sa.ColumnElement[bool]]]:
    columns = tables.segments.c.created, tables.cases.c.closed
    return [(column, column > sa.func.now() + _APART) for column in columns]


def _newest_record(connection: sa.Connection) -> datetime | None:
    audit, removals, segments = tables.audit, tables.removals, tables.segments
    last = [
        sa.select(audit.c.at).order_by(audit.c.number.desc()).limit(1),
        sa.select(removals.c.removed).order_by(removals.c.id.desc()).limit(1),
        sa.select(segments.c.created).order_by(segments.c.id.desc()).limit(1),
    ]
    newest = sa.func.greatest(*(query.scalar_subquery() for query in last))  # ignores NULL
    moment: datetime | None = connection.execute(sa.select(newest)).scalar_one()
    return moment


def _message(what: str, moment: datetime, now: datetime) -> str:
    return (
        f"this machine's clock must agree with {what} within a day, got {now:%Y-%m-%d %H:%M} and "
        f"{moment:%Y-%m-%d %H:%M} UTC, so nothing is removed; set the clock, or, if it is right, run "
        f"python -m serving.retention {INSIST}"
    )
