"""Orphans: crops that no row names, which removed rows and killed processes leave."""

from collections.abc import Iterable
from itertools import groupby

import sqlalchemy as sa

from serving.database import tables
from serving.database.crops import Crops, segment_of
from serving.database.locks import try_lock_crops


def delete_orphans(engine: sa.Engine, crops: Crops, districts: Iterable[str]) -> tuple[int, list[OSError]]:
    """Deletes the crops of `districts` that no row names; returns their number, and the errors of the others.

    The caller holds `serving.database.locks.hold_removers`. Segments may be added meanwhile: a segment that is being
    stored keeps its crops, and waits only for its own lock.
    """
    deleted, failures = 0, []
    for district in districts:
        stored = crops.of_district(district)
        with engine.begin() as connection:
            suspects = stored - _named(connection, tables.tracklets.c.district == district)
        for segment_id, paths in groupby(sorted(suspects, key=segment_of), segment_of):
            with engine.begin() as connection:
                if not try_lock_crops(connection, segment_id):
                    continue
                orphans = sorted(set(paths) - _named(connection, tables.tracklets.c.segment_id == segment_id))
                failed = crops.delete(orphans)
            deleted += len(orphans) - len(failed)
            failures += failed
    return deleted, failures


def _named(connection: sa.Connection, which: sa.ColumnElement[bool]) -> set[str]:
    return set(connection.execute(sa.select(tables.tracklets.c.crop).where(which)).scalars())
