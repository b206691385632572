"""Registration of video files, each of which becomes a segment of its camera once, whatever it is called."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from domain.errors import InputError
from serving.database import segments, tables
from serving.database.holds import cases_with, require_no_hold
from serving.database.locks import lock_file
from serving.database.overlaps import Span, lock_camera, of_same_source, overlap_of
from serving.database.segments import RegisteredSegment, VideoFile

_LEAST_SPAN = timedelta(seconds=1)  # of a file that does not say how long it lasts
_LEAST_OVERLAP_S = 0.5  # shorter overlaps are no news


@dataclass(frozen=True)
class FileRegistration:
    """A registered file."""

    segment: RegisteredSegment
    previous_state: str  # of its segment: new, waiting, failed, done, or changed: the file's content was another
    remark: str | None = None  # what the user should know


def register_file(
    connection: sa.Connection, district: str, video: VideoFile, *, again: bool = False
) -> FileRegistration:
    """Registers a file. Its segment waits now, unless it is done already.

    With `again=True`, a file that is done gets a second segment that replaces the first when it is done; the file may
    then have been registered for another camera. So does a file that has grown since it was done.

    Raises:
        InputError: if the district has no such camera; if the content is registered for another camera, or other
            recordings have all of its time; if a case has sightings of a file that has changed; with `again`, if the
            file is registered for several other cameras, or a case under legal hold has sightings of it.
    """
    lock_file(connection, video.checksum)
    lock_camera(connection, district, video.camera_id)
    known = _segment_of_content(connection, district, video, of_any_camera=again)
    if known is not None:
        return _register_known(connection, district, video, known, again=again)
    if not again:
        _require_one_camera(connection, district, video)
    span = video.start, max(video.end or video.start, video.start + _LEAST_SPAN)
    former = of_same_source(connection, district, video.camera_id, video.source, span)
    if former is not None:
        return _register_changed(connection, district, video, former, again=again)
    remark = _remark_on_overlap(connection, district, video, span)
    return FileRegistration(segments.insert(connection, district, video), "new", remark)


def _register_known(
    connection: sa.Connection, district: str, video: VideoFile, known: sa.Row[Any], *, again: bool
) -> FileRegistration:
    if known.state == "done":
        if not again:
            moved = abs(known.start - video.start) >= _LEAST_SPAN
            remark = (
                f"{video.source} is done already, with the start {known.start.isoformat()} instead of "
                f"{video.start.isoformat()}; --again corrects it"
            )
            return FileRegistration(segments.registered(known), "done", remark if moved else None)
        require_no_hold(connection, district, known.id)
        return FileRegistration(segments.insert(connection, district, video, replaces=known.id), "done")
    table = tables.segments
    if (known.camera_id, known.start) != (video.camera_id, video.start):  # a worker's result for it is refused
        connection.execute(sa.delete(table).where(table.c.id == known.id))
        renewed_segment = segments.insert(connection, district, video, replaces=known.replaces)
        return FileRegistration(renewed_segment, known.state)
    renewed: dict[str, Any] = {"state": "waiting", "error": None, "postponed_since": None, "ended": None}
    renewed |= {"source": video.source, "end": video.end}
    if known.state == "failed":
        renewed["created"] = sa.func.now()
    connection.execute(sa.update(table).where(table.c.id == known.id).values(renewed))
    return FileRegistration(replace(segments.registered(known), state="waiting"), known.state)


def _register_changed(
    connection: sa.Connection, district: str, video: VideoFile, former: sa.Row[Any], *, again: bool
) -> FileRegistration:
    """Registers a file that had another content when it was registered, as a file that was still being written."""
    if former.state != "done":  # a worker's result for it is refused
        connection.execute(sa.delete(tables.segments).where(tables.segments.c.id == former.id))
        segment = segments.insert(connection, district, video, replaces=former.replaces)
        return FileRegistration(segment, "changed", f"{video.source} has changed since it was registered")
    require_no_hold(connection, district, former.id)
    reasons = []
    if former.end is not None and video.end is not None and former.end - video.end >= _LEAST_SPAN:
        reasons.append(f"ends at {video.end.isoformat()} instead of {former.end.isoformat()} now")
    cases = list(connection.execute(cases_with(district, former.id)).scalars())
    if cases:
        reasons.append(f"has sightings in the cases {', '.join(map(str, cases))}")
    if reasons and not again:
        raise InputError(
            f"{video.source} must not change after it was processed: it {' and '.join(reasons)}; give --again to "
            "replace its sightings"
        )
    segment = segments.insert(connection, district, video, replaces=former.id)
    return FileRegistration(
        segment, "changed", f"{video.source} has changed since it was processed; its sightings are replaced"
    )


def _remark_on_overlap(connection: sa.Connection, district: str, video: VideoFile, span: Span) -> str | None:
    overlap = overlap_of(connection, district, video.camera_id, span)
    sources = ", ".join(overlap.sources[:3]) + (" and others" if len(overlap.sources) > 3 else "")
    if overlap.covers and video.end is not None:
        raise InputError(
            f"{video.source} must add time to the recordings of {video.camera_id}: {sources} already has "
            f"{span[0].isoformat()} to {span[1].isoformat()}; if it is not a copy, its start or camera is wrong "
            "(--start, --camera)"
        )
    if overlap.share_s < _LEAST_OVERLAP_S:
        return None
    return f"{video.source} overlaps {sources} by {overlap.share_s:.0f} s, in which it is not looked at"


def _require_one_camera(connection: sa.Connection, district: str, video: VideoFile) -> None:
    table = tables.segments
    same = (table.c.district == district) & (table.c.checksum == video.checksum) & (table.c.state != "failed")
    other = connection.execute(sa.select(table).where(same, table.c.camera_id != video.camera_id).limit(1)).first()
    if other is not None:
        raise InputError(
            f"{video.source} must be a recording of one camera: {other.source}, of {other.camera_id}, has the same "
            "content; if that camera is wrong, give --again"
        )


def _segment_of_content(
    connection: sa.Connection, district: str, video: VideoFile, *, of_any_camera: bool
) -> sa.Row[Any] | None:
    """The content's first segment of its camera; with `of_any_camera` the newest that replaced each other.

    Of several cameras, the file's own comes first.
    """
    table, later = tables.segments, tables.segments.alias()
    of_file = sa.select(table).where(table.c.district == district, table.c.checksum == video.checksum)
    if not of_any_camera:
        of_camera = of_file.where(table.c.camera_id == video.camera_id).order_by(table.c.replaces.nulls_first())
        return connection.execute(of_camera.limit(1).with_for_update()).first()
    last = of_file.where(~sa.exists().where(later.c.replaces == table.c.id)).order_by(table.c.id)
    rows = connection.execute(last.with_for_update()).all()
    candidates = [row for row in rows if row.camera_id == video.camera_id] or rows
    if len(candidates) > 1:
        cameras = ", ".join(row.camera_id for row in candidates)
        raise InputError(f"{video.source} must be registered for one camera to be processed again, got {cameras}")
    return candidates[0] if candidates else None
