"""What a search could see at all: of each camera the times whose sightings are stored, and those that are missing, why.

Time without a segment or gap is missing too: nobody sent a video of it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from domain.cameras import Camera
from domain.errors import InputError
from serving import tables
from serving.store import Store

Interval = tuple[datetime, datetime]  # from, to


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Answer):
    """A time."""

    since: datetime
    until: datetime | None  # None: not known yet
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


class Coverage(_Answer):
    """Of all cameras that were asked for."""

    since: datetime | None  # the window; where none was asked, from the first video to the last; None without any
    until: datetime | None
    share: float  # mean of the cameras' shares
    cameras: list[CameraCoverage]


class CameraShare(_Answer):
    """How much of one camera was searched, and how many pieces are missing."""

    district: str
    camera_id: str
    share: float
    num_waiting: int
    num_failed: int
    num_gaps: int


class CoverageSummary(_Answer):
    """A coverage without its times."""

    since: datetime | None
    until: datetime | None
    share: float
    cameras: list[CameraShare]

    @classmethod
    def of(cls, coverage: Coverage) -> "CoverageSummary":
        """That of `coverage`."""
        cameras = [
            CameraShare(
                district=one.district,
                camera_id=one.camera_id,
                share=one.share,
                num_waiting=len(one.waiting),
                num_failed=len(one.failed),
                num_gaps=len(one.gaps),
            )
            for one in coverage.cameras
        ]
        return cls(since=coverage.since, until=coverage.until, share=coverage.share, cameras=cameras)


def coverage_of(
    store: Store,
    model_version: str,
    cameras: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Coverage:
    """What sightings of the model `model_version` cover of a window of time.

    Args:
        store: of the sightings.
        model_version: whose sightings can be searched.
        cameras: their ids; None for all.
        since: begin of the window; None: where the first video or gap of these cameras begins.
        until: its end; None: where the last ends.

    Raises:
        InputError: if the window ends before it begins.
    """
    if since is not None and until is not None and until < since:
        raise InputError(f"until must not be before since, got {until.isoformat()} and {since.isoformat()}")
    segments, gaps = tables.segments, tables.gaps
    with store.begin() as connection:
        videos = connection.execute(_in_window(segments, segments.c.start, segments.c.end, cameras, since, until)).all()
        silent = connection.execute(_in_window(gaps, gaps.c.since, gaps.c.until, cameras, since, until)).all()
    times = [
        *(moment for row in videos for moment in (row.start, row.end)),
        *(moment for row in silent for moment in (row.since, row.until)),
    ]
    known = [moment.astimezone(UTC) for moment in times if moment is not None]
    begin, end = since or min(known, default=None), until or max(known, default=None)
    answers = [
        _of_camera(
            district.name,
            camera,
            [row for row in videos if (row.district, row.camera_id) == (district.name, camera.id)],
            [row for row in silent if (row.district, row.camera_id) == (district.name, camera.id)],
            (begin, end) if begin is not None and end is not None else None,
            model_version,
        )
        for district in store.districts()
        for camera in district.cameras
        if cameras is None or camera.id in cameras
    ]
    share = sum(one.share for one in answers) / len(answers) if answers else 0.0
    return Coverage(since=begin, until=end, share=share, cameras=answers)


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same times as intervals that neither overlap nor touch, in order.

    Example:
        >>> moments = [datetime(2026, 5, 1, hour) for hour in range(4)]
        >>> merged([(moments[2], moments[3]), (moments[0], moments[1]), (moments[1], moments[2])]) == [
        ...     (moments[0], moments[3])
        ... ]
        True
    """
    result: list[Interval] = []
    for begin, end in sorted(each for each in intervals if each[0] < each[1]):
        if result and begin <= result[-1][1]:
            result[-1] = result[-1][0], max(result[-1][1], end)
        else:
            result.append((begin, end))
    return result


def without(intervals: Iterable[Interval], removed: Iterable[Interval]) -> list[Interval]:
    """The times of `intervals` that are not in `removed`, merged.

    Example:
        >>> moments = [datetime(2026, 5, 1, hour) for hour in range(4)]
        >>> without([(moments[0], moments[3])], [(moments[1], moments[2])]) == [
        ...     (moments[0], moments[1]),
        ...     (moments[2], moments[3]),
        ... ]
        True
    """
    left = merged(intervals)
    for start, stop in merged(removed):
        parts = [part for begin, end in left for part in ((begin, min(end, start)), (max(begin, stop), end))]
        left = [(begin, end) for begin, end in parts if begin < end]
    return left


def _of_camera(
    district: str,
    camera: Camera,
    videos: Sequence[sa.Row[tuple[object, ...]]],
    silent: Sequence[sa.Row[tuple[object, ...]]],
    window: Interval | None,
    model_version: str,
) -> CameraCoverage:
    usable = [row for row in videos if row.state == "done" and row.model_version == model_version]
    searched: list[Interval] = []
    if window is not None:
        begin, end = window
        watched = [(max(row.start, begin), min(row.end, end)) for row in usable]
        searched = without(watched, [(row.since, row.until or end) for row in silent])
    seen = sum((end - begin for begin, end in searched), timedelta())
    others = [row for row in videos if row.state == "done" and row.model_version != model_version]
    unusable = [
        *((row.start, row.end, row.error or "") for row in videos if row.state == "failed"),
        *((row.start, row.end, f"only the model {row.model_version} has looked at it") for row in others),
    ]
    return CameraCoverage(
        district=district,
        camera_id=camera.id,
        share=seen / (window[1] - window[0]) if window is not None and window[0] < window[1] else 0.0,
        searched=[_span(begin, end) for begin, end in searched],
        waiting=[_span(row.start, row.end) for row in videos if row.state == "waiting"],
        failed=[_span(*each) for each in sorted(unusable, key=lambda each: each[0])],
        gaps=[_span(row.since, row.until, row.reason) for row in silent],
    )


def _span(since: datetime, until: datetime | None, reason: str = "") -> Span:
    return Span(since=since.astimezone(UTC), until=until.astimezone(UTC) if until else None, reason=reason)


def _in_window(
    table: sa.Table,
    begin: sa.ColumnElement[datetime],
    end: sa.ColumnElement[datetime],
    cameras: Sequence[str] | None,
    since: datetime | None,
    until: datetime | None,
) -> sa.Select[tuple[object, ...]]:
    wanted = [
        *([table.c.camera_id.in_(cameras)] if cameras is not None else []),
        *([sa.or_(end >= since, end.is_(None))] if since is not None else []),
        *([begin <= until] if until is not None else []),
    ]
    return sa.select(table).where(*wanted).order_by(begin)
