"""What a search could see at all: of each camera the times whose sightings are stored, and those that are missing, why.

Time without a segment or gap is missing too: nobody sent a video of it.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from domain.cameras import CameraKey
from domain.errors import InputError
from serving.database.store import Store


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Answer):
    """A time."""

    since: datetime
    until: datetime | None  # None: of a gap that it lasts, of video that nobody knows how long it is
    reason: str = ""  # why it is missing


class CameraCoverage(_Answer):
    """Of one camera, in order of time."""

    district: str
    camera_id: str
    share: float  # of the window, searched, 0..1
    searched: list[Span]
    waiting: list[Span]  # video that nobody has looked at yet
    failed: list[Span]  # video that could not be looked at, and such of another model
    gaps: list[Span]  # the camera showed nothing
    num_left_out: int = 0  # pieces that are not listed, see serving.search.coverage_statement


class Coverage(_Answer):
    """Of all cameras that were asked for."""

    since: datetime | None  # the window; where none was asked, from the first video to the last; None without any
    until: datetime | None
    share: float  # mean of the cameras' shares
    cameras: list[CameraCoverage]


def coverage_of(
    store: Store,
    model_version: str,
    cameras: Collection[CameraKey] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Coverage:
    """What sightings of the model `model_version` cover of a window of time.

    Args:
        store: of the sightings.
        model_version: whose sightings can be searched.
        cameras: only these; None for all.
        since: begin of the window; None: where the first video or gap of these cameras begins.
        until: its end; None: where the last ends, which is now if a gap lasts.

    Raises:
        InputError: if the window ends before it begins.
    """
    if since is not None and until is not None and until < since:
        raise InputError(f"until must not be before since, got {until.isoformat()} and {since.isoformat()}")
    names = None if cameras is None else [f"{district}/{camera_id}" for district, camera_id in cameras]
    asked: dict[str, Any] = {"model": model_version, "cameras": names}
    with store.begin() as connection:
        first, last = connection.execute(_ENDS, asked | {"since": since, "until": until}).one()
        begin, end = _in_utc(since or first or until), _in_utc(until or max(filter(None, (since, last)), default=None))
        asked |= {"since": begin, "until": end}
        rows = [*connection.execute(_SEARCHED, asked), *connection.execute(_MISSING, asked)]
    spans: dict[tuple[str, str], dict[str, list[Span]]] = {}
    for row in rows:
        of_kind = spans.setdefault((row.district, row.camera_id), {}).setdefault(row.kind, [])
        of_kind.append(Span(since=row.since.astimezone(UTC), until=_in_utc(row.until), reason=row.reason))
    answers = [
        _of_camera(district.name, camera.id, (begin, end), spans.get((district.name, camera.id), {}))
        for district in store.districts()
        for camera in district.cameras
        if cameras is None or (district.name, camera.id) in cameras
    ]
    share = sum(one.share for one in answers) / len(answers) if answers else 0.0
    return Coverage(since=begin, until=end, share=share, cameras=answers)


def _of_camera(
    district: str,
    camera_id: str,
    window: tuple[datetime | None, datetime | None],
    spans: Mapping[str, list[Span]],
) -> CameraCoverage:
    searched, (begin, end) = spans.get("searched", []), window
    seen = sum((span.until - span.since for span in searched if span.until is not None), timedelta())
    asked = end - begin if begin is not None and end is not None else timedelta()
    return CameraCoverage(
        district=district,
        camera_id=camera_id,
        share=seen / asked if asked else 0.0,
        searched=searched,
        waiting=_unseen(spans.get("waiting", []), searched, window),
        failed=_unseen(spans.get("failed", []), searched, window),
        gaps=spans.get("gaps", []),
    )


def _unseen(
    videos: Sequence[Span], searched: Sequence[Span], window: tuple[datetime | None, datetime | None]
) -> list[Span]:
    """Those of `videos` that are not seen otherwise: a file that fails twice, or waits to be looked at again, may be.

    Times in `searched` are apart and rise.
    """
    begin, end = window
    if begin is None or end is None:
        return list(videos)
    begins = [span.since for span in searched]

    def is_seen(video: Span) -> bool:
        place = bisect_right(begins, max(video.since, begin)) - 1
        return video.until is not None and place >= 0 and min(video.until, end) <= (searched[place].until or end)

    return [video for video in videos if not is_seen(video)]


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment is not None else None


_AT_CAMERAS = "(CAST(:cameras AS text[]) IS NULL OR district || '/' || camera_id = ANY(CAST(:cameras AS text[])))"


def _within(begin: str, end: str) -> str:
    """SQL: of the cameras that are asked for, and not outside the window."""
    return (
        f"{_AT_CAMERAS} AND (CAST(:since AS timestamptz) IS NULL OR {end} IS NULL OR {end} >= :since) "
        f"AND (CAST(:until AS timestamptz) IS NULL OR {begin} <= :until)"
    )


_VIDEOS, _GAPS = _within("start", 'coalesce("end", start)'), _within("since", "until")
_WATCHED = _within("lower(times)", "upper(times)")
_TO_WATCH = f"segments WHERE state <> 'done' AND {_VIDEOS}"
_WINDOW = "tstzmultirange(tstzrange(:since, :until))"
_ENDS = sa.text(
    f"""
    SELECT min(first), max(last) FROM (
        SELECT min(lower(times)) AS first, max(upper(times)) AS last FROM watched WHERE {_WATCHED}
        UNION ALL SELECT min(start), max(greatest(start, "end")) FROM {_TO_WATCH}
        UNION ALL SELECT min(since), max(greatest(since, coalesce(until, now()))) FROM gaps WHERE {_GAPS}
    ) AS ends
    """
)
_SEARCHED = sa.text(  # PostgreSQL merges and subtracts times far faster than we could
    f"""
    SELECT district, camera_id, 'searched' AS kind, lower(part) AS since, upper(part) AS until, '' AS reason
    FROM watched
    LEFT JOIN (
        SELECT district, camera_id, range_agg(tstzrange(since, until)) AS unseen
        FROM gaps WHERE {_GAPS} GROUP BY district, camera_id
    ) AS silent USING (district, camera_id)
    CROSS JOIN LATERAL unnest(times * {_WINDOW} - coalesce(unseen, tstzmultirange())) AS part
    WHERE model_version = :model AND {_AT_CAMERAS}
    ORDER BY district, camera_id, since
    """
)
_MISSING = sa.text(
    f"""
    SELECT district, camera_id, 'failed' AS kind, lower(part) AS since, upper(part) AS until,
        'only the model ' || model_version || ' has looked at it' AS reason
    FROM watched CROSS JOIN LATERAL unnest(times * {_WINDOW}) AS part
    WHERE model_version <> :model AND {_AT_CAMERAS}
    UNION ALL SELECT district, camera_id, state, start, "end", coalesce(error, '') FROM {_TO_WATCH}
    UNION ALL SELECT district, camera_id, 'gaps', since, until, reason FROM gaps WHERE {_GAPS}
    ORDER BY district, camera_id, since
    """
)
