"""Partitions of the tracklets and of their embeddings, one per UTC day, so that a search of some days reads no others.

An index over embeddings belongs to the whole table (`tables.create_embedding_index`), so PostgreSQL creates it in each
new partition, one graph per day.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from serving.database import tables

_TABLES = ("tracklets", "tracklet_embeddings")  # the second refers to the first


def day_of(moment: datetime) -> date:
    """UTC day of the partition that holds a tracklet last seen at `moment`."""
    return moment.astimezone(UTC).date()


def partition_name(table: str, day: date) -> str:
    """Name of the partition of `table` for `day`, such as `tracklets_20260501`."""
    return f"{table}_{day:%Y%m%d}"


def create_partitions(connection: sa.Connection, days: Iterable[date]) -> None:
    """Creates the missing partitions of `days`.

    The caller has locked writers and cases (`serving.database.locks`), so no other process creates the same partition.
    If one is created, searches wait until the transaction ends.
    """
    for day in sorted(set(days) - set(existing_partitions(connection))):
        for table in _TABLES:
            connection.exec_driver_sql(
                f"CREATE TABLE {partition_name(table, day)} PARTITION OF {table} FOR VALUES IN ('{day.isoformat()}')"
            )


def existing_partitions(connection: sa.Connection) -> list[date]:
    """Days that have a partition, ascending."""
    children = connection.exec_driver_sql(
        "SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid "
        "WHERE inhparent = 'tracklets'::regclass ORDER BY 1"
    )
    return [date.fromisoformat(name.removeprefix("tracklets_")) for name in children.scalars()]


def days_between(connection: sa.Connection, since: datetime | None, until: datetime | None) -> list[date]:
    """Days, ascending, that can hold tracklets which ended at `since` or later and began at `until` or earlier.

    A tracklet lies within its segment, so it ends after `until` by at most the length of the longest segment.
    """
    latest = None
    if until is not None:
        table = tables.segments
        lengths = sa.select(sa.func.max(table.c.end - table.c.start)).where(table.c.state == "done")
        longest = connection.execute(lengths).scalar_one()
        latest = day_of(until + (longest or timedelta()))
    return [
        day
        for day in existing_partitions(connection)
        if (since is None or day >= day_of(since)) and (latest is None or day <= latest)
    ]


def drop_partition(connection: sa.Connection, day: date) -> int:
    """Removes all tracklets of `day`, also from cases; returns their number. Needs the locks of `create_partitions`."""
    count = connection.exec_driver_sql(f"SELECT count(*) FROM {partition_name('tracklets', day)}").scalar_one()
    for referring in (tables.case_sightings, tables.tracklet_attributes):
        connection.execute(sa.delete(referring).where(referring.c.day == day))
    for table in reversed(_TABLES):
        partition = partition_name(table, day)
        connection.exec_driver_sql(f"ALTER TABLE {table} DETACH PARTITION {partition}")  # else foreign keys forbid it
        connection.exec_driver_sql(f"DROP TABLE {partition}")
    return int(count)
