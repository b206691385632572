"""Coverage of a search: per camera, the searched time spans, the thin ones and the missing ones with the reason.

A time is thin if it was looked at so seldom that a person may have passed unseen, see
`serving.database.tables.processed`; its sightings are searched, but it does not count as searched. Time without a
segment or gap is missing too: no video of it was registered. A camera of which no video has ever come counts apart: a
list of such cameras would hide what is missing of the others. An answer and the stored search contain a shortened
coverage, whose size has a limit, see `shorten_coverage`.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from domain.cameras import CameraKey
from domain.errors import InputError
from serving.database.cameras import InService, in_service
from serving.database.districts import stored_districts
from serving.database.rollout import only_by
from serving.database.store import Store

_MAX_SPANS = 1000  # of all cameras: about 80 kB
_MAX_HOLE = timedelta(seconds=1)  # between spans that are merged: segments of a stream are one frame apart
_KINDS = ("searched", "thin", "waiting", "failed", "gaps")
_ALL = 0.999  # from this share on, all of the time counts as searched
_OPEN_END = datetime.max.replace(tzinfo=UTC)
_ALWAYS = InService(None, None)
Window = tuple[datetime | None, datetime | None]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Answer):
    """Time span, with the reason if it is missing."""

    since: datetime
    until: datetime | None  # None: a gap that has not ended, or video of unknown length
    reason: str = ""
    looks_per_s: float | None = None  # of a thin time: at least so many times a second it was looked at


class CameraCoverage(_Answer):
    """Coverage of one camera; spans are in order of time."""

    district: str
    camera_id: str
    share: float  # searched part of its window, 0..1; without what was seen thinly
    searched: list[Span]
    waiting: list[Span]  # video that is not processed yet
    failed: list[Span]  # video that could not be processed, or has embeddings by another model only
    gaps: list[Span]  # the camera delivered no pictures
    num_left_out: int = 0  # spans that `shorten_coverage` has dropped
    thin: list[Span] = []  # video that was looked at too seldom to say that nobody passed; searched as far as it goes
    thin_share: float = 0.0  # thin part of its window, 0..1
    since: datetime | None = None  # its window: the request's, or from its own first video, while it is in service
    until: datetime | None = None
    has_video: bool = True  # False: no video of it has ever come, so it does not count


class Coverage(_Answer):
    """Coverage of all cameras of a request."""

    since: datetime | None  # begin of the first window of a camera; None if there is no video
    until: datetime | None
    share: float  # searched part of the windows of the cameras that have video, 0..1
    cameras: list[CameraCoverage]
    thin_share: float = 0.0  # thin part of these windows
    also_by: list[str] = []  # other re-ID models, which searched the times that only they have seen
    statement: str = ""  # the same in a sentence; "" in searches of earlier versions


def coverage_of(
    store: Store,
    model_version: str | None,
    cameras: Collection[CameraKey] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    also: Sequence[str] = (),
) -> Coverage:
    """Coverage of a time window by sightings that the model `model_version` has embedded.

    Args:
        store: the store of the sightings.
        model_version: re-ID model whose embeddings are searched; None for a search by words, which needs none.
        cameras: cameras to report; None for all.
        since: begin of the window; None for the begin of each camera's own first video or gap.
        also: re-ID models that search the times that `model_version` has not embedded.
        until: end of the window; None for the end of the last one in the camera's district, which is now if a gap has
            not ended.

    Raises:
        InputError: if the window ends before it begins.
    """
    if since is not None and until is not None and until < since:
        raise InputError(
            f"until must not be before since, got {until.isoformat()} and {since.isoformat()}", code="time_order"
        )
    names = None if cameras is None else [f"{district}/{camera_id}" for district, camera_id in cameras]
    models = None if model_version is None else [model_version, *also]
    parameters: dict[str, Any] = {"models": models, "cameras": names}
    with store.begin() as connection:
        windows = _windows(connection.execute(_ENDS, parameters).all(), _in_utc(since), _in_utc(until))
        begin = min((first for first, _ in windows.values()), default=_in_utc(since or until))
        end = max((last for _, last in windows.values()), default=_in_utc(until or since))
        parameters |= {"since": begin, "until": end}
        rows = [*connection.execute(_SEARCHED, parameters), *connection.execute(_MISSING, parameters)]
        also_by = [
            other
            for other in (also if model_version is not None else ())
            if any(
                cameras is None or camera in cameras
                for camera, _, _ in only_by(connection, other, model_version or "", begin, end)
            )
        ]
        districts, services = stored_districts(connection), in_service(connection)
    spans: dict[tuple[str, str], dict[str, list[Span]]] = {}
    for row in rows:
        of_kind = spans.setdefault((row.district, row.camera_id), {}).setdefault(row.kind, [])
        until_utc, rate = _in_utc(row.until), row.looks_per_s
        of_kind.append(Span(since=row.since.astimezone(UTC), until=until_utc, reason=row.reason, looks_per_s=rate))
    coverages = []
    for key in ((district.name, camera.id) for district in districts for camera in district.cameras):
        of_camera = spans.get(key, {})
        window = _in_service(windows.get(key, (begin, end)), services.get(key, _ALWAYS), of_camera)
        if (cameras is None or key in cameras) and window is not None:
            coverages.append(_camera_coverage(*key, window, of_camera, has_video=key in windows))
    counted = [(camera, _length((camera.since, camera.until))) for camera in coverages if camera.has_video]
    whole = sum((length for _, length in counted), timedelta()) or timedelta.resolution
    share = sum((camera.share * length for camera, length in counted), timedelta()) / whole
    thin_share = sum((camera.thin_share * length for camera, length in counted), timedelta()) / whole
    covered = Coverage(since=begin, until=end, share=share, cameras=coverages, thin_share=thin_share, also_by=also_by)
    return covered.model_copy(update={"statement": _statement(covered)})


def shorten_coverage(coverage: Coverage) -> Coverage:
    """`coverage` with adjacent spans merged; of more than 1000 spans, the longest of each camera and kind.

    Each camera's `num_left_out` counts its dropped spans. Shares do not change.
    """
    merged = [{kind: _merged(getattr(camera, kind)) for kind in _KINDS} for camera in coverage.cameras]
    lengths = [len(spans) for spans_of_kind in merged for spans in spans_of_kind.values() if spans]
    most = max(1, _MAX_SPANS // len(lengths)) if sum(lengths) > _MAX_SPANS else _MAX_SPANS
    cameras = [_shortened(camera, spans, most) for camera, spans in zip(coverage.cameras, merged, strict=True)]
    return coverage.model_copy(update={"cameras": cameras})


def _shortened(camera: CameraCoverage, merged: dict[str, list[Span]], most: int) -> CameraCoverage:
    listed = {kind: _longest(spans, most) for kind, spans in merged.items()}
    num_left_out = sum(len(merged[kind]) - len(listed[kind]) for kind in _KINDS)
    return camera.model_copy(update={**listed, "num_left_out": num_left_out})


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Merges adjacent spans of the same reason. `spans` is in order of time; spans without an end stay as they are.

    Merged thin spans have the lowest rate among them.
    """
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last is None or last.until is None or span.until is None or last.reason != span.reason:
            merged.append(span)
        elif span.since - last.until < _MAX_HOLE:
            rates = [rate for rate in (last.looks_per_s, span.looks_per_s) if rate is not None]
            both = {"until": max(last.until, span.until), "looks_per_s": min(rates, default=None)}
            merged[-1] = last.model_copy(update=both)
        else:
            merged.append(span)
    return merged


def _longest(spans: Sequence[Span], most: int) -> list[Span]:
    longest = sorted(spans, key=lambda span: (span.until or _OPEN_END) - span.since, reverse=True)[:most]
    return sorted(longest, key=lambda span: span.since)


def _windows(
    ends: Sequence[sa.Row[Any]], since: datetime | None, until: datetime | None
) -> dict[CameraKey, tuple[datetime, datetime]]:
    """The window of each camera that has video: the request's; else from its own first to its district's last.

    A camera that has been silent since its last video is missing while others of its district have some.
    """
    lasts: dict[str, datetime] = {}
    for row in ends:
        lasts[row.district] = max(row.last, lasts.get(row.district, row.last)).astimezone(UTC)
    windows = {}
    for row in ends:
        begin = since or (min(row.first, until) if until else row.first).astimezone(UTC)
        windows[row.district, row.camera_id] = (begin, until or max(begin, lasts[row.district]))
    return windows


def _in_service(window: Window, service: InService, spans: Mapping[str, list[Span]]) -> Window | None:
    """The part of `window` in which the camera is in service or has video; None if there is none."""
    begin, end = window
    if begin is None or end is None:
        return window
    videos = [span for kind in _KINDS[:-1] for span in spans.get(kind, [])]
    if service.begun is not None:
        begin = max(begin, min([service.begun, *(span.since for span in videos)]))
    if service.retired is not None:
        end = min(end, max([service.retired, *(span.until or span.since for span in videos)]))
    return (begin, end) if begin < end or videos or window[0] == window[1] else None


def _camera_coverage(
    district: str,
    camera_id: str,
    window: Window,
    spans: Mapping[str, list[Span]],
    *,
    has_video: bool,
) -> CameraCoverage:
    searched, thin, length = spans.get("searched", []), spans.get("thin", []), _length(window)
    return CameraCoverage(
        district=district,
        camera_id=camera_id,
        share=_duration(searched) / length if length else 0.0,
        thin_share=_duration(thin) / length if length else 0.0,
        searched=searched,
        thin=thin,
        waiting=_uncovered(spans.get("waiting", []), searched, window),
        failed=_uncovered(spans.get("failed", []), searched, window),
        gaps=spans.get("gaps", []),
        since=window[0],
        until=window[1],
        has_video=has_video,
    )


def _length(window: Window) -> timedelta:
    begin, end = window
    return end - begin if begin is not None and end is not None else timedelta()


def _duration(spans: Sequence[Span]) -> timedelta:
    return sum((span.until - span.since for span in spans if span.until is not None), timedelta())


def _statement(coverage: Coverage) -> str:
    """The coverage in a sentence, which says that nothing is missing only if nothing is."""
    if coverage.since is None or coverage.until is None:
        return "There is no video of these cameras and times."
    times = f"{coverage.since.isoformat()} to {coverage.until.isoformat()}"
    silent = sum(not camera.has_video for camera in coverage.cameras)
    said = [f"Of {len(coverage.cameras) - silent} cameras from {times}, {_percent(coverage.share)} was searched"]
    rates = [span.looks_per_s for camera in coverage.cameras for span in camera.thin if span.looks_per_s is not None]
    if rates:
        seldom = f"{min(rates):g}" if min(rates) == max(rates) else f"{min(rates):g} to {max(rates):g}"
        said.append(
            f"{_percent(coverage.thin_share)} was seen thinly ({seldom} looks a second): a person may have "
            "passed unseen"
        )
    counts = {kind: sum(len(getattr(camera, kind)) for camera in coverage.cameras) for kind in _KINDS[2:]}
    said += [f"{kind}: {count}" for kind, count in counts.items() if count]
    if len(said) == 1:
        said.append("nothing is missing" if coverage.share > _ALL else "of the rest there is no video")
    if coverage.also_by:
        said.append(f"what only {' and '.join(coverage.also_by)} has seen was compared by that model")
    if silent:
        said.append(f"no video has ever come from {silent} other camera{'s' * (silent > 1)}")
    return "; ".join(said) + "."


def _percent(share: float) -> str:
    """Rounded down, so that 100 % is all."""
    return f"{int(1000 * share + 1e-6) / 10:g} %"


def _uncovered(videos: Sequence[Span], searched: Sequence[Span], window: Window) -> list[Span]:
    """Videos whose time `searched` does not cover; it may cover a file that failed twice or waits for reprocessing.

    `searched` is in order of time, without overlaps.
    """
    begin, end = window
    if begin is None or end is None:
        return list(videos)
    begins = [span.since for span in searched]

    def is_covered(video: Span) -> bool:
        place = bisect_right(begins, max(video.since, begin)) - 1
        return video.until is not None and place >= 0 and min(video.until, end) <= (searched[place].until or end)

    return [video for video in videos if not is_covered(video)]


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment is not None else None


_AT_CAMERAS = "(CAST(:cameras AS text[]) IS NULL OR district || '/' || camera_id = ANY(CAST(:cameras AS text[])))"


def _within(begin: str, end: str) -> str:
    """SQL condition: the camera is in the request, and the time overlaps the window."""
    return (
        f"{_AT_CAMERAS} AND (CAST(:since AS timestamptz) IS NULL OR {end} IS NULL OR {end} >= :since) "
        f"AND (CAST(:until AS timestamptz) IS NULL OR {begin} <= :until)"
    )


_VIDEOS, _GAPS = _within("start", 'coalesce("end", start)'), _within("since", "until")
_UNPROCESSED = f"segments WHERE state <> 'done' AND {_VIDEOS}"
_WINDOW = "tstzmultirange(tstzrange(:since, :until))"
_ENDS = sa.text(
    f"""
    SELECT district, camera_id, min(first) AS first, max(last) AS last FROM (
        SELECT district, camera_id, lower(times) AS first, upper(times) AS last FROM processed
        UNION ALL SELECT district, camera_id, start, greatest(start, "end") FROM segments WHERE state <> 'done'
        UNION ALL SELECT district, camera_id, since, greatest(since, coalesce(until, now())) FROM gaps
    ) AS ends
    WHERE {_AT_CAMERAS} AND first IS NOT NULL GROUP BY district, camera_id
    """
)
_SEARCHABLE = f"""
    SELECT district, camera_id, looks_per_s, range_agg(part) AS times FROM processed, unnest(times) AS part
    WHERE (CAST(:models AS text[]) IS NULL OR model_version = ANY(CAST(:models AS text[]))) AND {_AT_CAMERAS}
    GROUP BY 1, 2, 3
"""
_SEARCHED = sa.text(  # PostgreSQL merges and subtracts times far faster than we could
    f"""
    WITH searchable AS MATERIALIZED ({_SEARCHABLE})
    SELECT district, camera_id, CASE WHEN looks_per_s = 'infinity' THEN 'searched' ELSE 'thin' END AS kind,
        lower(part) AS since, upper(part) AS until, '' AS reason, nullif(looks_per_s, 'infinity') AS looks_per_s
    FROM (
        SELECT district, camera_id, looks_per_s, times, (
            SELECT range_agg(other) FROM searchable AS denser, unnest(denser.times) AS other
            WHERE (denser.district, denser.camera_id) = (processed.district, processed.camera_id)
            AND denser.looks_per_s > processed.looks_per_s
        ) AS seen_better
        FROM searchable AS processed
    ) AS looked_at
    LEFT JOIN (
        SELECT district, camera_id, range_agg(tstzrange(since, until)) AS missing
        FROM gaps WHERE {_GAPS} GROUP BY district, camera_id
    ) AS silent USING (district, camera_id)
    CROSS JOIN LATERAL unnest(
        times * {_WINDOW} - coalesce(missing, tstzmultirange()) - coalesce(seen_better, tstzmultirange())
    ) AS part
    ORDER BY district, camera_id, since
    """
)
_MISSING = sa.text(
    f"""
    WITH searchable AS MATERIALIZED (
        SELECT district, camera_id, range_agg(part) AS searched
        FROM ({_SEARCHABLE}) AS of_each, unnest(times) AS part GROUP BY 1, 2
    )
    SELECT district, camera_id, 'failed' AS kind, lower(part) AS since, upper(part) AS until,
        'processed by the model ' || model_version || ' only' AS reason, NULL::float8 AS looks_per_s
    FROM processed LEFT JOIN searchable USING (district, camera_id)
    CROSS JOIN LATERAL unnest(times * {_WINDOW} - coalesce(searched, tstzmultirange())) AS part
    WHERE model_version <> ALL(CAST(:models AS text[])) AND {_AT_CAMERAS}
    UNION ALL SELECT district, camera_id, state, start, "end", coalesce(error, ''), NULL FROM {_UNPROCESSED}
    UNION ALL SELECT district, camera_id, 'gaps', since, until, reason, NULL FROM gaps WHERE {_GAPS}
    ORDER BY district, camera_id, since
    """
)
