"""How far the workers are with the recordings that are registered, how fast they are, and what failed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from serving.database import jobs, tables

_WINDOW = timedelta(minutes=30)  # in which the speed is measured
_MOST_LISTED = 20  # recordings that failed, and that are put off
_SEGMENT_OF_JOB: sa.ColumnElement[int] = sa.literal_column(
    "(procrastinate_jobs.args->>'segment_id')::bigint", sa.BigInteger
)


@dataclass(frozen=True)
class Troubled:
    """A recording that failed or is put off."""

    source: str
    error: str


@dataclass(frozen=True)
class Progress:
    """Recordings by state, and hours of their video."""

    done: int
    failed: int
    waiting: int
    in_work: int  # of those that wait
    hours_done: float
    hours_waiting: float  # a recording of unknown length counts as the average one
    workers: int  # that are alive
    speed: float | None  # hours of video an hour, measured over the last half hour; None if too few are done
    failures: list[Troubled]  # the latest of those that failed
    put_off: list[Troubled]  # of those that wait: their file, share or disk is away

    @property
    def remaining(self) -> timedelta | None:
        """Time until no recording waits, at the speed of now; None if it is unknown."""
        if not self.speed or not self.workers:
            return None
        return timedelta(hours=self.hours_waiting / self.speed)


def progress_of(connection: sa.Connection, dead_after_s: float, district: str | None = None) -> Progress:
    """The progress of the recordings of `district`, or of all; live cameras are left out.

    Args:
        connection: to the database.
        dead_after_s: time since its last heartbeat after which a worker counts as dead.
        district: name of a district.
    """
    table = tables.segments
    recordings = [table.c.checksum.not_like("%@%"), *([table.c.district == district] if district else [])]
    hours = sa.extract("epoch", table.c.end - table.c.start) / 3600
    is_done, is_waiting = table.c.state == "done", table.c.state == "waiting"
    row = connection.execute(
        sa.select(
            sa.func.count().filter(is_done).label("done"),
            sa.func.count().filter(table.c.state == "failed").label("failed"),
            sa.func.count().filter(is_waiting).label("waiting"),
            sa.func.coalesce(sa.func.sum(hours).filter(is_done), 0).label("hours_done"),
            sa.func.coalesce(sa.func.sum(hours).filter(is_waiting), 0).label("hours_known"),
            sa.func.count().filter(is_waiting, table.c.end.is_(None)).label("num_unknown"),
            sa.func.coalesce(sa.func.avg(hours), 0).label("average"),
        ).where(*recordings)
    ).one()

    def troubled(condition: sa.ColumnElement[bool], order: sa.ColumnElement[datetime]) -> list[Troubled]:
        listed = sa.select(table.c.source, table.c.error).where(condition, *recordings)
        rows = connection.execute(listed.order_by(order.desc().nulls_last(), table.c.id).limit(_MOST_LISTED))
        return [Troubled(source, error or "") for source, error in rows]

    return Progress(
        done=row.done,
        failed=row.failed,
        waiting=row.waiting,
        in_work=_in_work(connection, recordings),
        hours_done=float(row.hours_done),
        hours_waiting=float(row.hours_known + row.num_unknown * row.average),
        workers=_workers(connection, dead_after_s),
        speed=_speed(connection, recordings),
        failures=troubled(table.c.state == "failed", table.c.ended),
        put_off=troubled(is_waiting & table.c.postponed_since.is_not(None), table.c.postponed_since),
    )


def _in_work(connection: sa.Connection, recordings: list[sa.ColumnElement[bool]]) -> int:
    running = sa.table("procrastinate_jobs", sa.column("status"), schema=jobs.SCHEMA)
    query = (
        sa.select(sa.func.count())
        .select_from(tables.segments.join(running, tables.segments.c.id == _SEGMENT_OF_JOB))
        .where(sa.cast(running.c.status, sa.Text) == "doing", *recordings)
    )
    return int(connection.execute(query).scalar_one())


def _workers(connection: sa.Connection, dead_after_s: float) -> int:
    workers = sa.table("procrastinate_workers", sa.column("last_heartbeat"), schema=jobs.SCHEMA)
    is_alive = workers.c.last_heartbeat > sa.func.now() - timedelta(seconds=dead_after_s)
    return int(connection.execute(sa.select(sa.func.count()).select_from(workers).where(is_alive)).scalar_one())


def _speed(connection: sa.Connection, recordings: list[sa.ColumnElement[bool]]) -> float | None:
    """Hours of video an hour since the first end in the window; the recording that ended first was begun before."""
    table = tables.segments
    lately = [*recordings, table.c.state == "done", table.c.ended > sa.func.now() - _WINDOW]
    first = sa.select(sa.func.min(table.c.ended)).where(*lately).scalar_subquery()
    video = sa.func.sum(table.c.end - table.c.start).filter(table.c.ended > first)
    spent = sa.func.now() - first
    row = connection.execute(sa.select(video, spent).where(*lately)).one()
    return float(row[0] / row[1]) if row[0] is not None and row[1] else None
