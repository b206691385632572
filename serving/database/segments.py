"""Segments of video that were ingested, and the gaps between them: what may be searched at all.

A segment is a file, or a piece of a stream. It is registered before anybody looks at it, and is done when all it shows
is stored, so a killed ingest knows what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.errors import InputError
from serving.database import tables
from serving.tracking.tracklet import Tracklet

IDS_A_SEGMENT = 1_000_000  # a tracklet's id is its segment's times this, plus its number there


@dataclass(frozen=True)
class WatchedVideo:
    """A piece of video in which everybody has been followed."""

    source: str  # path or stream's name, never with a password
    checksum: str  # sha256 of the file; of a stream "<name>@<start>"
    start: datetime  # with a time zone
    end: datetime
    frames: int | None = None
    damage: str | None = None  # what could not be read


@dataclass(frozen=True)
class RegisteredSegment:
    """A segment as the database knows it."""

    id: int
    district: str
    camera_id: str
    state: str  # waiting, done or failed


def register(
    connection: sa.Connection, district: str, camera_id: str, source: str, checksum: str, start: datetime
) -> RegisteredSegment:
    """The segment of this camera and checksum, `waiting` when it is new.

    Raises:
        InputError: if the district has no such camera.
    """
    table, places = tables.segments, tables.cameras
    same = (table.c.district == district) & (table.c.camera_id == camera_id) & (table.c.checksum == checksum)
    known = sa.select(table).where(same)
    row = connection.execute(known).first()
    if row is None:
        at_place = (places.c.district == district) & (places.c.id == camera_id)
        if connection.execute(sa.select(places.c.id).where(at_place)).first() is None:
            raise InputError(f"a segment must be of a stored camera, got {district}/{camera_id}; add the camera first")
        new = {"source": source, "checksum": checksum, "start": start, "state": "waiting"}
        values = {"district": district, "camera_id": camera_id, **new}
        connection.execute(insert(table).values(values).on_conflict_do_nothing())  # another may have been faster
        row = connection.execute(known).one()
    return RegisteredSegment(row.id, row.district, row.camera_id, row.state)


def locked(connection: sa.Connection, segment_id: int) -> RegisteredSegment:
    """A segment that nobody else can change before this transaction ends.

    Raises:
        InputError: if it is not registered.
    """
    table = tables.segments
    row = connection.execute(sa.select(table).where(table.c.id == segment_id).with_for_update()).first()
    if row is None:
        raise InputError(f"segments must be registered before anything is added to them, got {segment_id}")
    return RegisteredSegment(row.id, row.district, row.camera_id, row.state)


def finish(
    connection: sa.Connection,
    segment_id: int,
    tracklets: Sequence[Tracklet],
    model_version: str,
    *,
    frames: int | None,
    end: datetime,
    damage: str | None,
) -> None:
    """Set a segment done. Its times are widened to those of its tracklets, for searches in time rely on that."""
    table = tables.segments
    done: dict[str, Any] = {
        "state": "done",
        "start": sa.func.least(table.c.start, *(one.first_seen for one in tracklets)),
        "end": max([end, *(one.last_seen for one in tracklets)]),
        "frames": frames,
        "damage": damage,
        "error": None,
        "model_version": model_version,
    }
    connection.execute(sa.update(table).where(table.c.id == segment_id).values(done))


def fail(connection: sa.Connection, segment_id: int, error: str) -> None:
    """Set a segment failed, unless it is done."""
    table = tables.segments
    failing = (table.c.id == segment_id) & (table.c.state != "done")
    connection.execute(sa.update(table).where(failing).values(state="failed", error=error))


def open_gap(connection: sa.Connection, district: str, camera_id: str, since: datetime, reason: str) -> None:
    """Say that a camera shows nothing from `since` on; nothing changes if that is said already."""
    values = {"district": district, "camera_id": camera_id, "since": since, "reason": reason}
    connection.execute(insert(tables.gaps).values(values).on_conflict_do_nothing())


def close_gap(connection: sa.Connection, district: str, camera_id: str, until: datetime) -> None:
    """Say that a camera shows something again; nothing changes if it has no open gap."""
    table = tables.gaps
    is_open = (table.c.district == district) & (table.c.camera_id == camera_id) & table.c.until.is_(None)
    connection.execute(sa.update(table).where(is_open).values(until=sa.func.greatest(table.c.since, until)))


def resume_stream(connection: sa.Connection, district: str, camera_id: str, source: str) -> datetime | None:
    """End of the last segment of a stream or gap of its camera, of an open gap the beginning; unfinished ones fail."""
    table, gaps = tables.segments, tables.gaps
    of_stream = (table.c.district == district) & (table.c.camera_id == camera_id) & (table.c.source == source)
    ended = {"state": "failed", "error": "the process ended before what was seen was stored"}
    connection.execute(sa.update(table).where(of_stream, table.c.state == "waiting").values(ended))
    at_camera = (gaps.c.district == district) & (gaps.c.camera_id == camera_id)
    last_seen = sa.select(sa.func.max(table.c.end)).where(of_stream, table.c.state == "done")
    last_gap = sa.select(sa.func.max(sa.func.coalesce(gaps.c.until, gaps.c.since))).where(at_camera)
    latest = sa.func.greatest(last_seen.scalar_subquery(), last_gap.scalar_subquery())  # passes over NULL
    moment: datetime | None = connection.execute(sa.select(latest)).scalar_one()
    return moment


def remove_before(connection: sa.Connection, cutoff: datetime) -> None:
    """Remove segments that ended before `cutoff` and have no tracklets left, and gaps that were closed before it."""
    table, gaps = tables.segments, tables.gaps
    is_used = sa.exists().where(tables.tracklets.c.segment_id == table.c.id)
    ended = sa.func.coalesce(table.c.end, table.c.start) < cutoff
    connection.execute(sa.delete(table).where(table.c.state != "waiting", ended, ~is_used))
    connection.execute(sa.delete(gaps).where(gaps.c.until < cutoff))
