"""Where next: what was searched since the last sure sighting, and what it leaves of the person's ways."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from jaxtyping import Float64

from domain.cameras import Camera, CameraKey, metres_between
from domain.errors import InputError
from serving.matching.transits import Seen, Transits
from serving.matching.where_next import next_cameras, walked_to
from serving.search.coverage import Coverage
from serving.search.messages import LastSeen, NextCamera, SearchArea
from serving.search.search import Hit

LONGEST = timedelta(hours=3)
USUAL = timedelta(minutes=30)
_NEAREST = 40  # cameras that are told of
_AREA_MINUTES = (5, 15, 30, 60, 120, 180)


def near_cameras(
    last: Seen, cameras: Mapping[CameraKey, Camera], transits: Transits, minutes: int
) -> dict[CameraKey, Camera]:
    """The nearest cameras that can be reached on foot or were learnt to be, but not that of `last` itself."""
    reach_m = transits.walking.max_walking_speed_m_s * 60 * minutes + last.radius_m
    metres = {key: metres_between(last, camera) for key, camera in cameras.items() if key != last.camera}
    learnt = transits.numbers if last.camera in transits.numbers else {}
    within = [key for key, apart_m in metres.items() if apart_m <= reach_m or key in learnt]
    return {key: cameras[key] for key in sorted(within, key=metres.__getitem__)[:_NEAREST]}


def whole_minutes(last: Seen, until: datetime | None) -> int:
    """Minutes from `last` to `until`.

    Raises:
        InputError: unless they are 1 to 180.
    """
    begin = moment_of(last)
    end = until or begin + USUAL
    if not begin < end <= begin + LONGEST:
        raise InputError(
            f"until must be within {LONGEST.seconds // 3600} hours after the person was last seen, at "
            f"{begin.isoformat()}, got {end.isoformat()}"
        )
    return int(np.ceil((end - begin) / timedelta(minutes=1)))


def moment_of(seen: Seen) -> datetime:
    """The time of `seen`."""
    return datetime.fromtimestamp(seen.time_s, UTC)


def last_seen(last: Seen) -> LastSeen:
    """`last` as an answer has it."""
    camera = "/".join(last.camera) if last.camera is not None else None
    return LastSeen(
        latitude=last.latitude,
        longitude=last.longitude,
        radius_m=last.radius_m,
        time=moment_of(last),
        camera=camera,
    )


def searched_minutes(
    last: Seen, cameras: Mapping[CameraKey, Camera], coverage: Coverage, minutes: int
) -> Float64[np.ndarray, "camera minute"]:
    """Share of each minute after `last` of each camera that was searched, 0..1; a thin time does not count."""
    rows = {key: row for row, key in enumerate(cameras)}
    searched = np.zeros((len(cameras), minutes))
    begins_s = last.time_s + 60.0 * np.arange(minutes)
    for camera in coverage.cameras:
        row = rows.get((camera.district, camera.camera_id))
        if row is None:
            continue
        for span in camera.searched:
            until_s = span.until.timestamp() if span.until is not None else np.inf
            overlap_s = np.minimum(begins_s + 60, until_s) - np.maximum(begins_s, span.since.timestamp())
            searched[row] += overlap_s.clip(min=0) / 60
    return searched.clip(max=1)


def maybe_there(
    last: Seen, cameras: Mapping[CameraKey, Camera], hits: Sequence[Hit], minutes: int
) -> Float64[np.ndarray, "camera minute"]:
    """Highest match probability of a sighting in each minute of each camera."""
    rows = {key: row for row, key in enumerate(cameras)}
    maybe = np.zeros((len(cameras), minutes))
    for hit in hits:
        row = rows.get((hit.district, hit.camera_id))
        minute = int((hit.first_seen.timestamp() - last.time_s) // 60)
        if row is not None and 0 <= minute < minutes:
            maybe[row, minute] = max(maybe[row, minute], hit.match_probability)
    return maybe


def expected(
    last: Seen,
    cameras: Mapping[CameraKey, Camera],
    transits: Transits,
    searched: Float64[np.ndarray, "camera minute"],
    maybe: Float64[np.ndarray, "camera minute"],
) -> tuple[list[NextCamera], float, list[SearchArea]]:
    """Cameras, likeliest first; the probability of none of them; and the areas."""
    found = next_cameras(last, cameras, transits, searched, maybe)
    listed = [
        NextCamera(
            district=district,
            camera_id=camera_id,
            latitude=camera.latitude,
            longitude=camera.longitude,
            probability=float(passes.sum()),
            minutes=passes.round(6).tolist(),
            searched=float(of_camera.mean()),
        )
        for ((district, camera_id), camera), passes, of_camera in zip(
            cameras.items(), found.passes, searched, strict=True
        )
    ]
    areas = []
    for minute in [*(each for each in _AREA_MINUTES if each < searched.shape[1]), searched.shape[1]]:
        walked = walked_to(last, 60.0 * minute, cameras, transits, searched * (1 - maybe))
        places = [(latitude, longitude) for latitude, longitude in walked.places[walked.is_likely].round(6).tolist()]
        time = moment_of(last) + timedelta(minutes=minute)
        areas.append(SearchArea(time=time, area_m2=walked.area_m2, places=places))
    return sorted(listed, key=lambda each: -each.probability), found.unseen, areas
