"""Watches of cases as the database has them, and the queue of sightings at which they have not looked."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from serving.database import tables
from serving.database.open_cases import closed_at


def is_active() -> sa.ColumnElement[bool]:
    """Condition of a watch that goes on: it was not ended, its time is not over, and its case is open."""
    watches, cases = tables.watches, tables.cases
    is_closed = sa.exists().where(cases.c.id == watches.c.case_id, closed_at().is_not(None))
    return watches.c.ended.is_(None) & (watches.c.until > sa.func.now()) & ~is_closed


def announce_sightings(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Queues stored sightings, rows of `tracklets`, for the watches; does nothing while there is none."""
    if not connection.execute(sa.select(sa.exists().where(is_active()))).scalar_one():
        return
    new = [{"district": row["district"], "tracklet_id": row["id"]} for row in rows]
    connection.execute(sa.insert(tables.new_sightings), new)


def take_new_sightings(connection: sa.Connection, most: int) -> list[tuple[str, int]]:
    """Takes the oldest sightings from the queue: district and number. They are back if the transaction fails."""
    queue = tables.new_sightings
    oldest = sa.select(queue.c.id).order_by(queue.c.id).limit(most).with_for_update(skip_locked=True)
    taken = sa.delete(queue).where(queue.c.id.in_(oldest)).returning(queue.c.district, queue.c.tracklet_id)
    return [(row.district, row.tracklet_id) for row in connection.execute(taken)]
