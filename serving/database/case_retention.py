"""Removes cases that were closed long ago, with their searches, verdicts and reasons, which may name people.

A case under legal hold stays, and so does an open one. The audit records which cases went, without their text.
"""

from datetime import datetime

import sqlalchemy as sa

from domain.errors import InputError
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.clocks import INSIST
from serving.database.locks import lock_cases


def remove_closed_cases(connection: sa.Connection, cutoff: datetime, reason: str, most_days: int | None) -> int:
    """Removes cases that were closed before `cutoff`; returns their number.

    Args:
        connection: in a transaction of its own.
        cutoff: a time with a time zone.
        reason: for the audit.
        most_days: greatest number of days on which these cases were closed; None for any.

    Raises:
        InputError: if they were closed on more days.
    """
    lock_cases(connection)
    rows = connection.execute(sa.select(tables.cases.c.id, tables.cases.c.closed).where(_old(cutoff))).all()
    days = {row.closed.date() for row in rows}
    if most_days is not None and len(days) > most_days:
        raise InputError(
            f"one run may remove cases that were closed on at most {most_days} days (serving.retention.most_days), got "
            f"{len(rows)} cases of {len(days)} days, so none is removed; check the clock and the settings, then run "
            f"python -m serving.retention {INSIST}"
        )
    if not rows:
        return 0
    numbers = sorted(row.id for row in rows)
    counts = {
        one.name: connection.execute(
            sa.select(sa.func.count()).select_from(one).where(one.c.case_id.in_(numbers))
        ).scalar_one()
        for one in (tables.searches, tables.verdicts)
    }
    connection.execute(sa.delete(tables.cases).where(tables.cases.c.id.in_(numbers)))
    details = {"cases": numbers, **counts, "cutoff": cutoff.isoformat(), "reason": reason}
    audit.append(connection, audit.command_account(), Action.RETENTION, details)
    return len(rows)


def has_old_cases(connection: sa.Connection, cutoff: datetime) -> bool:
    """Whether there is a case to remove."""
    return bool(connection.execute(sa.select(sa.exists().where(_old(cutoff)))).scalar())


def _old(cutoff: datetime) -> sa.ColumnElement[bool]:
    return (tables.cases.c.closed < cutoff) & ~tables.cases.c.legal_hold
