"""Segments of video that were ingested, and the gaps between them: what may be searched at all.

A segment is a file, or a piece of a stream. It is registered before anybody looks at it, and is done when all it shows
is stored, so a killed ingest knows what is left.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.errors import InputError
from domain.tracklets import Tracklet
from serving.database import tables
from serving.database.holds import require_no_hold
from serving.database.locks import lock_file

_UNKNOWN_SOURCE = "unknown"
IDS_A_SEGMENT = 1_000_000  # a tracklet's id is its segment's times this, plus its number there


@dataclass(frozen=True)
class ProcessedVideo:
    """A piece of video in which everybody has been followed."""

    source: str  # path or stream's name, never with a password
    checksum: str  # sha256 of the file; of a stream "<name>@<start>"
    start: datetime  # with a time zone
    end: datetime
    frames: int | None = None
    damage: str | None = None  # what could not be read


@dataclass(frozen=True)
class VideoFile:
    """A file of a camera that somebody is to look at."""

    camera_id: str
    source: str  # path
    checksum: str  # sha256
    start: datetime  # with a time zone
    end: datetime | None  # as the file says, if it does


@dataclass(frozen=True)
class RegisteredSegment:
    """A segment as the database knows it."""

    id: int
    district: str
    camera_id: str
    state: str  # waiting, done or failed
    replaces: int | None = None  # the segment whose place it takes when it is done


def register(
    connection: sa.Connection,
    district: str,
    camera_id: str,
    source: str,
    checksum: str,
    start: datetime,
    end: datetime | None = None,
) -> RegisteredSegment:
    """The segment of this camera and checksum, `waiting` when it is new.

    Raises:
        InputError: if the district has no such camera.
    """
    table = tables.segments
    same = (table.c.district == district) & (table.c.camera_id == camera_id) & (table.c.checksum == checksum)
    known = sa.select(table).where(same, table.c.replaces.is_(None))
    row = connection.execute(known).first()
    if row is None:
        _require_camera(connection, district, camera_id)
        new = {"source": source, "checksum": checksum, "start": start, "end": end, "state": "waiting"}
        values = {"district": district, "camera_id": camera_id, **new}
        connection.execute(insert(table).values(values).on_conflict_do_nothing())  # another may have been faster
        row = connection.execute(known).one()
    return _registered(row)


def next_id(connection: sa.Connection) -> int:
    """A number for a segment that nobody knows of yet, so that its crops can be written first."""
    return int(connection.execute(sa.text("SELECT nextval(pg_get_serial_sequence('segments', 'id'))")).scalar_one())


def insert_processed(
    connection: sa.Connection, segment_id: int, district: str, camera_id: str, video: ProcessedVideo
) -> RegisteredSegment:
    """A new segment with this number, to be finished in the same transaction."""
    new = VideoFile(camera_id, video.source, video.checksum, video.start, video.end)
    return _insert(connection, district, new, id=segment_id)


def register_file(
    connection: sa.Connection, district: str, video: VideoFile, *, again: bool = False
) -> tuple[RegisteredSegment, str]:
    """The segment of a file, and what the file's was before: new, waiting, failed or done.

    It waits now, or is done already and stays as it is. `again`, another one waits to take the place of that, and a
    file that was taken for one of another camera is found.

    Raises:
        InputError: if the district has no such camera; `again`, if the file is known as one of several others, or a
            case under legal hold has its sightings.
    """
    lock_file(connection, video.checksum)
    known = _segment_of_file(connection, district, video, of_any_camera=again)
    if known is None:
        return _insert(connection, district, video), "new"
    if known.state == "done":
        if not again:
            return _registered(known), "done"
        require_no_hold(connection, district, known.id)
        return _insert(connection, district, video, replaces=known.id), "done"
    table = tables.segments
    if (known.camera_id, known.start) != (video.camera_id, video.start):  # whoever is at work on it is so in vain
        connection.execute(sa.delete(table).where(table.c.id == known.id))
        return _insert(connection, district, video, replaces=known.replaces), known.state
    renewed: dict[str, Any] = {"state": "waiting", "error": None, "postponed_since": None}
    renewed |= {"source": video.source, "end": video.end}
    if known.state == "failed":
        renewed["created"] = sa.func.now()
    connection.execute(sa.update(table).where(table.c.id == known.id).values(renewed))
    return replace(_registered(known), state="waiting"), known.state


def of(connection: sa.Connection, segment_id: int, *, locked: bool = False) -> RegisteredSegment:
    """A segment; `locked`, one that nobody else can change before this transaction ends.

    Raises:
        InputError: if it is not registered.
    """
    query = sa.select(tables.segments).where(tables.segments.c.id == segment_id)
    row = connection.execute(query.with_for_update() if locked else query).first()
    if row is None:
        raise InputError(f"segments must be registered before anything is added to them, got {segment_id}")
    return _registered(row)


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
        "postponed_since": None,
        "model_version": model_version,
    }
    connection.execute(sa.update(table).where(table.c.id == segment_id).values(done))


def fail(connection: sa.Connection, segment_id: int, error: str) -> None:
    """Set a segment failed, unless it is done."""
    table = tables.segments
    failing = (table.c.id == segment_id) & (table.c.state != "done")
    failed = {"state": "failed", "error": error, "postponed_since": None}
    connection.execute(sa.update(table).where(failing).values(failed))


def postpone(connection: sa.Connection, segment_id: int, error: str) -> timedelta:
    """Say why a segment that waits has to wait longer; for how long it has been so."""
    table = tables.segments
    since = sa.func.coalesce(table.c.postponed_since, sa.func.now())
    waiting = sa.update(table).where(table.c.id == segment_id, table.c.state == "waiting")
    postponed = waiting.values(error=error, postponed_since=since).returning(sa.func.now(), table.c.postponed_since)
    row = connection.execute(postponed).first()
    return row[0] - row[1] if row is not None else timedelta()


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


def remove_before(connection: sa.Connection, cutoff: datetime, kept_districts: Collection[str] = ()) -> None:
    """Remove segments that ended before `cutoff` and have no tracklets left, and gaps that were closed before it."""
    table, gaps = tables.segments, tables.gaps
    is_used = sa.exists().where(tables.tracklets.c.segment_id == table.c.id)
    ended = sa.func.coalesce(table.c.end, table.c.start) < cutoff
    is_over = sa.and_(table.c.state != "waiting", ended, ~is_used)
    connection.execute(sa.delete(table).where(is_over, table.c.district.not_in(kept_districts)))
    connection.execute(sa.delete(gaps).where(gaps.c.until < cutoff, gaps.c.district.not_in(kept_districts)))


def require_storable(tracklets: Sequence[Tracklet], camera_ids: set[str]) -> None:
    """Raise `InputError` unless tracklets have embeddings of one length, an id each, and come from these cameras."""
    lengths = {len(tracklet.embedding) for tracklet in tracklets}
    if len(lengths) > 1:
        raise InputError(f"embeddings of one model must have one length, got {sorted(lengths)}")
    if len({tracklet.id for tracklet in tracklets}) < len(tracklets):
        raise InputError("tracklets of a district must have an id each; renumber them over all cameras")
    strange = {tracklet.camera_id for tracklet in tracklets} - camera_ids
    if strange:
        raise InputError(f"tracklets must come from the cameras {sorted(camera_ids)}, got {sorted(strange)}")


def videos_of(tracklets: Sequence[Tracklet]) -> dict[str, ProcessedVideo]:
    """Of each camera that saw somebody: what is known of its video when nobody says where tracklets come from."""
    return {
        camera_id: ProcessedVideo(
            _UNKNOWN_SOURCE,
            _UNKNOWN_SOURCE,
            start=min(one.first_seen for one in tracklets if one.camera_id == camera_id),
            end=max(one.last_seen for one in tracklets if one.camera_id == camera_id),
        )
        for camera_id in sorted({one.camera_id for one in tracklets})
    }


def _segment_of_file(
    connection: sa.Connection, district: str, video: VideoFile, *, of_any_camera: bool
) -> sa.Row[Any] | None:
    """Of the file's camera the first; or, if that may be, of some camera the last of those that replace each other."""
    table, later = tables.segments, tables.segments.alias()
    of_file = sa.select(table).where(table.c.district == district, table.c.checksum == video.checksum)
    if not of_any_camera:
        of_camera = of_file.where(table.c.camera_id == video.camera_id).order_by(table.c.replaces.nulls_first())
        return connection.execute(of_camera.limit(1).with_for_update()).first()
    last = of_file.where(~sa.exists().where(later.c.replaces == table.c.id)).order_by(table.c.id)
    rows = connection.execute(last.with_for_update()).all()
    found = [row for row in rows if row.camera_id == video.camera_id] or rows
    if len(found) > 1:
        cameras = ", ".join(row.camera_id for row in found)
        raise InputError(f"{video.source} must be known of one camera to be looked at again, it is of {cameras}")
    return found[0] if found else None


def _insert(connection: sa.Connection, district: str, video: VideoFile, **more: int | None) -> RegisteredSegment:
    _require_camera(connection, district, video.camera_id)
    new = {**vars(video), "district": district, "state": "waiting", **more}
    return _registered(connection.execute(insert(tables.segments).values(new).returning(tables.segments)).one())


def _require_camera(connection: sa.Connection, district: str, camera_id: str) -> None:
    places = tables.cameras
    at_place = (places.c.district == district) & (places.c.id == camera_id)
    if connection.execute(sa.select(places.c.id).where(at_place)).first() is None:
        raise InputError(f"a segment must be of a stored camera, got {district}/{camera_id}; add the camera first")


def _registered(row: sa.Row[Any]) -> RegisteredSegment:
    return RegisteredSegment(row.id, row.district, row.camera_id, row.state, row.replaces)
