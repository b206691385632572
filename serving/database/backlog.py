"""How far the workers are behind the recordings that keep coming."""

from datetime import timedelta

import sqlalchemy as sa

from serving.database import tables


def times_too_many(connection: sa.Connection, segment_id: int, keep_up_s: float) -> int:
    """How many times as many frames come as the workers can look at: a whole number, 1 if they keep up.

    It is the time that the segment has waited, in units of `keep_up_s`: if segments that wait twice as long are looked
    at in every second frame, the wait stops growing. If no recording was registered within `keep_up_s`, the backlog
    ends by itself, and the number is 1; so it is for a segment whose file or disk was away.
    """
    table = tables.segments
    newest = sa.select(sa.func.max(table.c.created)).scalar_subquery()
    waited = sa.select(sa.func.now() - table.c.created, sa.func.now() - newest, table.c.postponed_since)
    row = connection.execute(waited.where(table.c.id == segment_id)).one()
    keep_up = timedelta(seconds=keep_up_s)
    if row[1] > keep_up or row[2] is not None:
        return 1
    return max(1, -(-row[0] // keep_up))
