"""Times of a camera that several recordings have: only one of them is looked at there, so nobody is stored twice.

Recorders let files overlap by some seconds, copies are packed into another container or have another name, and a file
may be taken in while it is still written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from serving.database import tables

Span = tuple[datetime, datetime]

_OWN_S = timedelta(seconds=1)  # a recording that adds less than this to others adds nothing
# Times that segments of a camera look at, or will: of those that wait, as far as their files say how long they last.
_LOOKED_AT = sa.text(
    """
    SELECT id, source, lower(part) AS since, upper(part) AS until
    FROM segments CROSS JOIN LATERAL unnest(
        tstzmultirange(tstzrange(start, greatest(start, "end"))) - coalesce(left_out, tstzmultirange())
    ) AS part
    WHERE district = :district AND camera_id = :camera AND (state = 'done' OR state = 'waiting' AND id < :before)
    AND id <> ALL(CAST(:without AS bigint[])) AND "end" > :since
    AND (CAST(:until AS timestamptz) IS NULL OR start < :until)
    ORDER BY since
    """
)


@dataclass(frozen=True)
class Overlap:
    """The part of a recording's time that other recordings of its camera have."""

    share_s: float
    covers: bool  # all of it, but for less than a second
    sources: tuple[str, ...]  # files or streams that have it


def lock_camera(connection: sa.Connection, district: str, camera_id: str) -> None:
    """Lets no other transaction register a recording of this camera before this one ends."""
    table = tables.cameras
    camera = sa.select(table.c.id).where(table.c.district == district, table.c.id == camera_id)
    connection.execute(camera.with_for_update(key_share=True))


def of_same_source(
    connection: sa.Connection, district: str, camera_id: str, source: str, span: Span
) -> sa.Row[Any] | None:
    """The newest segment of the file `source` and this camera whose time overlaps `span`."""
    table, (begin, end) = tables.segments, span
    overlaps = (table.c.start <= end) & (sa.func.coalesce(table.c.end, table.c.start) >= begin)
    same = (table.c.district == district) & (table.c.camera_id == camera_id) & (table.c.source == source)
    newest = sa.select(table).where(same, overlaps).order_by(table.c.id.desc()).limit(1)
    return connection.execute(newest.with_for_update()).first()


def overlap_of(connection: sa.Connection, district: str, camera_id: str, span: Span) -> Overlap:
    """How much of `span` recordings of the camera have that are done or wait."""
    rows = _looked_at(connection, district, camera_id, span, without=())
    covered = sum(((end - begin) for begin, end in _merged([_cut(row, span) for row in rows])), timedelta())
    sources = tuple(sorted({row.source for row in rows}))
    return Overlap(covered.total_seconds(), bool(rows) and span[1] - span[0] - covered < _OWN_S, sources)


def looked_at_by_others(connection: sa.Connection, segment: sa.Row[Any]) -> list[Span]:
    """Times from the start of `segment` on that other segments of its camera look at, in order.

    Of two that wait, the one that was registered first has the time that both have.
    """
    without = [segment.id, *([] if segment.replaces is None else [segment.replaces])]
    span = segment.start, None
    rows = _looked_at(connection, segment.district, segment.camera_id, span, without=without, before=segment.id)
    return _merged([(max(row.since, segment.start), row.until) for row in rows])


def _looked_at(
    connection: sa.Connection,
    district: str,
    camera_id: str,
    span: tuple[datetime, datetime | None],
    *,
    without: Sequence[int],
    before: int = 2**62,
) -> list[sa.Row[Any]]:
    since, until = span
    parameters = {"district": district, "camera": camera_id, "since": since, "until": until}
    rows = connection.execute(_LOOKED_AT, parameters | {"without": list(without), "before": before})
    return [row for row in rows if row.until > since and (until is None or row.since < until)]


def _cut(row: sa.Row[Any], span: Span) -> Span:
    return max(row.since, span[0]), min(row.until, span[1])


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged
