"""Segments of video and the gaps between them, which together say what can be searched.

A segment is a file, or a piece of a stream. It is registered before it is processed, and is done when its tracklets are
stored, so that work which a killed process left is found again.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from domain.errors import InputError
from domain.tracklets import Tracklet
from serving.database import tables

_UNKNOWN_SOURCE = "unknown"
IDS_A_SEGMENT = 1_000_000  # a tracklet's id is its segment's id times this, plus its number in the segment


@dataclass(frozen=True)
class Looks:
    """How densely a piece of video was looked at."""

    looked_at: int  # frames
    due: int  # frames that should have been: every n-th by the configured stride, and what could not be read
    unreadable: int = 0  # packets that could not be decoded


@dataclass(frozen=True)
class ProcessedVideo:
    """A piece of video whose tracklets are known."""

    source: str  # path or stream's name, never with a password
    checksum: str  # sha256 of the file; of a stream "<name>@<start>"
    start: datetime  # with a time zone
    end: datetime
    frames: int | None = None
    damage: str | None = None  # what could not be decoded
    looks: Looks | None = None
    left_out: Sequence[tuple[datetime, datetime]] = ()  # times within it that were not looked at, in order


@dataclass(frozen=True)
class VideoFile:
    """A video file of a camera, to be processed."""

    camera_id: str
    source: str  # path
    checksum: str  # sha256
    start: datetime  # with a time zone
    end: datetime | None  # as the file declares it, if it does


@dataclass(frozen=True)
class RegisteredSegment:
    """A segment as the database has it."""

    id: int
    district: str
    camera_id: str
    state: str  # waiting, done or failed
    replaces: int | None = None  # segment that is removed when this one is done


def register(
    connection: sa.Connection,
    district: str,
    camera_id: str,
    source: str,
    checksum: str,
    start: datetime,
    end: datetime | None = None,
) -> RegisteredSegment:
    """Returns the segment of this camera and checksum, and registers it as `waiting` if it is new.

    Args:
        connection: to the database.
        district: name of the district.
        camera_id: id of a stored camera.
        source: path or stream's name, never with a password.
        checksum: sha256 of the file; of a stream "<name>@<start>".
        start: start of the segment, with a time zone.
        end: end of the segment, if it is known already.

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
        connection.execute(
            postgresql.insert(table).values(values).on_conflict_do_nothing()
        )  # another process may have been faster
        row = connection.execute(known).one()
    return registered(row)


def next_id(connection: sa.Connection) -> int:
    """Reserves the id of a segment that is inserted later, so that its crops can be written first."""
    return int(connection.execute(sa.text("SELECT nextval(pg_get_serial_sequence('segments', 'id'))")).scalar_one())


def insert(connection: sa.Connection, district: str, video: VideoFile, **more: int | None) -> RegisteredSegment:
    """Inserts a segment that waits; `more` are further columns."""
    _require_camera(connection, district, video.camera_id)
    new = {**vars(video), "district": district, "state": "waiting", **more}
    return registered(connection.execute(sa.insert(tables.segments).values(new).returning(tables.segments)).one())


def insert_processed(
    connection: sa.Connection, segment_id: int, district: str, camera_id: str, video: ProcessedVideo
) -> RegisteredSegment:
    """Inserts a segment with this id, to be finished in the same transaction."""
    new = VideoFile(camera_id, video.source, video.checksum, video.start, video.end)
    return insert(connection, district, new, id=segment_id)


def of(connection: sa.Connection, segment_id: int, *, locked: bool = False) -> RegisteredSegment:
    """Returns a segment; `locked` lets no other transaction change it before this one ends.

    Raises:
        InputError: if the segment is not registered.
    """
    query = sa.select(tables.segments).where(tables.segments.c.id == segment_id)
    row = connection.execute(query.with_for_update() if locked else query).first()
    if row is None:
        raise InputError(f"segments must be registered before tracklets are added to them, got {segment_id}")
    return registered(row)


def finish(
    connection: sa.Connection,
    segment_id: int,
    tracklets: Sequence[Tracklet],
    model_version: str,
    attributes_version: str,
    *,
    previous_version: str = "",
    deployment_version: str | None,
    frames: int | None,
    end: datetime,
    damage: str | None,
    looks: Looks | None,
    left_out: Sequence[tuple[datetime, datetime]] = (),
) -> None:
    """Sets a segment done. Its times are widened to those of its tracklets, for searches by time rely on that."""
    table = tables.segments
    done: dict[str, Any] = {
        "state": "done",
        "start": sa.func.least(table.c.start, *(tracklet.first_seen for tracklet in tracklets)),
        "end": max([end, *(tracklet.last_seen for tracklet in tracklets)]),
        "frames": frames,
        "damage": damage,
        "left_out": [postgresql.Range(*span) for span in left_out],
        "error": None,
        "postponed_since": None,
        "ended": sa.func.now(),
        "model_version": model_version,
        "deployment_version": deployment_version,
        **(asdict(looks) if looks is not None else {}),
    }
    models = tables.segment_models
    connection.execute(sa.delete(models).where(models.c.segment_id == segment_id))  # of an attempt that failed
    made_by = {previous_version: "reid", model_version: "reid", attributes_version: "attributes"}
    of_task = [{"segment_id": segment_id, "task": task, "model_version": one} for one, task in made_by.items() if one]
    connection.execute(sa.insert(models), of_task)
    connection.execute(sa.update(table).where(table.c.id == segment_id).values(done))


def fail(connection: sa.Connection, segment_id: int, error: str) -> None:
    """Sets a segment failed, unless it is done."""
    table = tables.segments
    failing = (table.c.id == segment_id) & (table.c.state != "done")
    failed = {"state": "failed", "error": error, "postponed_since": None, "ended": sa.func.now()}
    connection.execute(sa.update(table).where(failing).values(failed))


def postpone(connection: sa.Connection, segment_id: int, error: str) -> timedelta:
    """Records why a waiting segment is postponed; returns the time since it was postponed first."""
    table = tables.segments
    since = sa.func.coalesce(table.c.postponed_since, sa.func.now())
    waiting = sa.update(table).where(table.c.id == segment_id, table.c.state == "waiting")
    postponed = waiting.values(error=error, postponed_since=since).returning(sa.func.now(), table.c.postponed_since)
    row = connection.execute(postponed).first()
    return row[0] - row[1] if row is not None else timedelta()


def open_gap(connection: sa.Connection, district: str, camera_id: str, since: datetime, reason: str) -> None:
    """Records the start of a camera's gap; does nothing if the camera has an open gap."""
    values = {"district": district, "camera_id": camera_id, "since": since, "reason": reason}
    connection.execute(postgresql.insert(tables.gaps).values(values).on_conflict_do_nothing())


def close_gap(connection: sa.Connection, district: str, camera_id: str, until: datetime) -> None:
    """Records the end of a camera's open gap; does nothing if the camera has none."""
    table = tables.gaps
    is_open = (table.c.district == district) & (table.c.camera_id == camera_id) & table.c.until.is_(None)
    connection.execute(sa.update(table).where(is_open).values(until=sa.func.greatest(table.c.since, until)))


def resume_stream(connection: sa.Connection, district: str, camera_id: str, source: str) -> datetime | None:
    """Returns until when the store has segments of the live stream `source` or gaps of its camera; None without any.

    An open gap counts up to its start. Segments of the stream that the last process did not finish are set failed;
    where there is nothing else, it is the start of the first of them.
    """
    table, gaps = tables.segments, tables.gaps
    of_stream = (table.c.district == district) & (table.c.camera_id == camera_id) & (table.c.source == source)
    give_up_stream(connection, district, camera_id, source)
    at_camera = (gaps.c.district == district) & (gaps.c.camera_id == camera_id)
    last_seen = sa.select(sa.func.max(table.c.end)).where(of_stream, table.c.state == "done")
    last_gap = sa.select(sa.func.max(sa.func.coalesce(gaps.c.until, gaps.c.since))).where(at_camera)
    latest = sa.func.greatest(last_seen.scalar_subquery(), last_gap.scalar_subquery())  # ignores NULL
    first_failed = sa.select(sa.func.min(table.c.start)).where(of_stream)
    moment: datetime | None = connection.execute(
        sa.select(sa.func.coalesce(latest, first_failed.scalar_subquery()))
    ).scalar_one()
    return moment


def give_up_stream(connection: sa.Connection, district: str, camera_id: str, source: str) -> None:
    """Sets unfinished segments of the live stream `source` failed; sightings that were stored with them stay."""
    table = tables.segments
    of_stream = (table.c.district == district) & (table.c.camera_id == camera_id) & (table.c.source == source)
    reason = "it ended before all of its sightings were stored"
    ended = {"state": "failed", "error": reason, "ended": sa.func.now()}
    connection.execute(sa.update(table).where(of_stream, table.c.state == "waiting").values(ended))


def remove_before(connection: sa.Connection, cutoff: datetime, kept_districts: Collection[str] = ()) -> None:
    """Removes segments that ended or were registered before `cutoff` and have no tracklets left, and old gaps."""
    table, gaps = tables.segments, tables.gaps
    is_used = sa.exists().where(tables.tracklets.c.segment_id == table.c.id)
    ended = sa.func.least(sa.func.coalesce(table.c.end, table.c.start), table.c.created) < cutoff
    is_over = sa.and_(table.c.state != "waiting", ended, ~is_used)
    connection.execute(sa.delete(table).where(is_over, table.c.district.not_in(kept_districts)))
    connection.execute(sa.delete(gaps).where(gaps.c.until < cutoff, gaps.c.district.not_in(kept_districts)))


def require_storable(tracklets: Sequence[Tracklet], camera_ids: set[str]) -> None:
    """Raises `InputError` unless tracklets have embeddings of one length, distinct ids, and these cameras."""
    lengths = {len(tracklet.embedding) for tracklet in tracklets}
    if len(lengths) > 1:
        raise InputError(f"embeddings of one model must have one length, got {sorted(lengths)}")
    if len({tracklet.id for tracklet in tracklets}) < len(tracklets):
        raise InputError("tracklets of a district must have distinct ids; renumber them over all cameras")
    strange = {tracklet.camera_id for tracklet in tracklets} - camera_ids
    if strange:
        raise InputError(f"tracklets must come from the cameras {sorted(camera_ids)}, got {sorted(strange)}")


def videos_of(tracklets: Sequence[Tracklet]) -> dict[str, ProcessedVideo]:
    """Video of each camera that has tracklets, as far as the tracklets tell: from the first to the last of them."""
    return {
        camera_id: ProcessedVideo(
            _UNKNOWN_SOURCE,
            _UNKNOWN_SOURCE,
            start=min(tracklet.first_seen for tracklet in tracklets if tracklet.camera_id == camera_id),
            end=max(tracklet.last_seen for tracklet in tracklets if tracklet.camera_id == camera_id),
        )
        for camera_id in sorted({tracklet.camera_id for tracklet in tracklets})
    }


def _require_camera(connection: sa.Connection, district: str, camera_id: str) -> None:
    table = tables.cameras
    is_camera = (table.c.district == district) & (table.c.id == camera_id)
    if connection.execute(sa.select(table.c.id).where(is_camera)).first() is None:
        raise InputError(f"a segment must be of a stored camera, got {district}/{camera_id}; add the camera first")


def registered(row: sa.Row[Any]) -> RegisteredSegment:
    """The segment in a row of `segments`."""
    return RegisteredSegment(row.id, row.district, row.camera_id, row.state, row.replaces)
