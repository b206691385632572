"""Partitions of the table `tracklets`, one per UTC day, so that a search of some days reads no others.

The index over embeddings belongs to the whole table (`tables.create_embedding_index`), so PostgreSQL creates it in each
new partition, one graph per day.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from serving.database import tables

_PREFIX = "tracklets_"


def day_of(moment: datetime) -> date:
    """UTC day of the partition that holds a tracklet last seen at `moment`."""
    return moment.astimezone(UTC).date()


def partition_name(day: date) -> str:
    """Name of the table of `day`, such as `tracklets_20260501`."""
    return f"{_PREFIX}{day:%Y%m%d}"


def create_partitions(connection: sa.Connection, days: Iterable[date]) -> None:
    """Creates the missing partitions of `days`.

    The caller has locked writers and cases (`serving.database.locks`), so no other process creates the same partition.
    If one is created, searches wait until the transaction ends.
    """
    for day in sorted(set(days) - set(existing_partitions(connection))):
        connection.exec_driver_sql(
            f"CREATE TABLE {partition_name(day)} PARTITION OF tracklets FOR VALUES IN ('{day.isoformat()}')"
        )


def existing_partitions(connection: sa.Connection) -> list[date]:
    """Days that have a partition, ascending."""
    children = connection.exec_driver_sql(
        "SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid "
        "WHERE inhparent = 'tracklets'::regclass ORDER BY 1"
    )
    return [date.fromisoformat(name.removeprefix(_PREFIX)) for name in children.scalars()]


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
    table = partition_name(day)
    count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
    for referring in (tables.case_sightings, tables.tracklet_attributes):
        connection.execute(sa.delete(referring).where(referring.c.day == day))
    connection.exec_driver_sql(f"ALTER TABLE tracklets DETACH PARTITION {table}")  # else the foreign keys forbid it
    connection.exec_driver_sql(f"DROP TABLE {table}")
    return int(count)
