"""Scans of a search by embedding: one scan of an HNSW graph per daily partition, each no longer than needed.

Two connections share the days, because a scan keeps one core of the database busy; their rows are merged by distance.
"""

import math
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from domain.cameras import CameraKey
from serving.database import tables
from serving.database.partitions import days_between
from serving.database.tracklet_filter import TrackletFilter, at_cameras
from serving.database.tracklet_rows import whole

_CONNECTIONS = 2
_LEAST_EF_SEARCH = 103
_MAX_EF_SEARCH = 1000  # pgvector's limit of candidates a scan keeps in view
_LEAST_SHARE = 1e-6
_SETTINGS = sa.text(
    "SELECT set_config('hnsw.ef_search', :ef_search, true), set_config('hnsw.iterative_scan', 'strict_order', true),"
    " set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)"
)


@dataclass(frozen=True)
class PartitionScans:
    """Partitions and effort of the scans of a search."""

    days: list[date]  # ascending; partitions that can hold results
    ef_search: int  # size of each scan's list of candidates


def partition_scans(connection: sa.Connection, limit: int, where: TrackletFilter) -> PartitionScans:
    """Plans the scans for the `limit` nearest tracklets that pass the filter.

    The filter applies to the rows of a scan. If it leaves a share `s` of the tracklets, estimated from the numbers of
    cameras and hours, then the `limit` nearest lie among the `limit / s` nearest of all, and a day holds `1 / days` of
    these if they are spread evenly. A scan's list holds twice as many, and `_LEAST_EF_SEARCH` more for the candidates
    that a greedy walk through the graph misses: many small walks miss less than a long one (a graph of a million needs
    several times the effort of a graph of 30,000). If the results lie on few days only, the merge reads more rows of
    those days, and their iterative scans continue where they stopped.
    """
    days = days_between(connection, where.since, where.until)
    share = _share_of_cameras(connection, where.cameras) * _share_of_days(days, where.since, where.until)
    limit_per_day = limit / max(share, _LEAST_SHARE) / max(1, len(days))
    return PartitionScans(days, min(_MAX_EF_SEARCH, _LEAST_EF_SEARCH + math.ceil(2 * limit_per_day)))


def rows_of_scans(engine: sa.Engine, scans: PartitionScans, picked: sa.Select[Any]) -> list[sa.Row[Any]]:
    """Rows of `picked` (see `tracklet_rows.pick_embedded`) on the days of `scans`: its limit each, in any order."""
    query = whole(picked.where(tables.tracklet_embeddings.c.day.in_(sa.bindparam("days", expanding=True))))
    parts = [part for part in (scans.days[first::_CONNECTIONS] for first in range(_CONNECTIONS)) if part]

    def read(days: Sequence[date]) -> Sequence[sa.Row[Any]]:
        with engine.begin() as connection:
            _set_up(connection, scans.ef_search)
            return connection.execute(query, {"days": days}).all()

    if len(parts) < 2:
        return [row for part in parts for row in read(part)]
    with ThreadPoolExecutor(len(parts)) as readers:
        return [row for rows in readers.map(read, parts) for row in rows]


def _set_up(connection: sa.Connection, ef_search: int) -> None:
    """Sets the planner for this transaction; plans must be made for the actual values, or no day could be left out."""
    connection.execute(_SETTINGS, {"ef_search": str(ef_search)})


def _share_of_cameras(connection: sa.Connection, cameras: Collection[CameraKey] | None) -> float:
    if cameras is None:
        return 1.0
    table = tables.cameras
    selected = sa.func.count().filter(at_cameras(cameras, table.c.district, table.c.id))
    number, num_selected = connection.execute(sa.select(sa.func.count(), selected).select_from(table)).one()
    return num_selected / number if number else 1.0


def _share_of_days(days: Sequence[date], since: datetime | None, until: datetime | None) -> float:
    """Share of the time from the first to the last of `days` that lies between `since` and `until`, 0..1."""
    if not days:
        return 1.0
    first, last = (datetime.combine(day, time(), UTC) for day in (days[0], days[-1] + timedelta(days=1)))
    window = min(until or last, last) - max(since or first, first)
    return max(window / (last - first), 0.0)
