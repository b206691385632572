"""Registration of video files: each becomes a segment of its camera, with a job for a worker."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from districts.layout import read_district
from domain.errors import InputError
from export.engines.files import sha256_of
from serving.database import audit, jobs, segments
from serving.database.districts import add_cameras, camera_ids, stored_districts
from serving.database.segments import VideoFile
from serving.database.store import Store
from serving.video.files import VideoReader
from serving.video.recordings import Naming, Recording, files_of, recordings_of_district


@dataclass(frozen=True)
class Taken:
    """What became of the files of one call, by what their segments were before: new, waiting, failed or done."""

    before: Counter[str]
    refused: list[InputError]


def find_recordings(
    store: Store,
    paths: Sequence[Path],
    district: str,
    file_name: str,
    *,
    camera_id: str | None = None,
    start: str | None = None,
) -> list[Recording | InputError]:
    """The recordings at `paths`, or why one cannot be taken. A district's folder makes its cameras known to `store`.

    Raises:
        InputError: if the district is neither stored nor among `paths`, or `start` is given for several files.
    """
    found: list[Recording | InputError] = []
    files: list[Path] = []
    for path in paths:
        if not (path / "district.yaml").is_file():
            files += files_of(path)
            continue
        described = read_district(path)
        if described.name != district:
            raise InputError(f"--district must be {described.name}, as {path / 'district.yaml'} says, got {district}")
        with store.begin() as connection:
            add_cameras(connection, district, described.cameras, time_zone=described.time_zone)
        found += recordings_of_district(described, path)
    if start is not None and len(files) != 1:
        raise InputError(f"--start must come with a single video file, got {len(files)}")
    with store.begin() as connection:
        zones = {stored.name: stored.time_zone for stored in stored_districts(connection)}
    if district not in zones:
        raise InputError(
            f"--district must be one that is stored ({', '.join(sorted(zones)) or 'there is none yet'}), "
            f"got {district}; give its folder with district.yaml first"
        )
    naming = Naming(file_name, zones[district], camera_id, start)
    for file in files:
        try:
            found.append(naming.recording(file))
        except InputError as error:
            found.append(error)
    return found


def take_in(store: Store, district: str, found: Iterable[Recording | InputError], *, again: bool = False) -> Taken:
    """Register each recording that can be opened, with its job; what is done stays as it is, but for `again`."""
    with store.begin() as connection:
        cameras = camera_ids(connection, district)
    taken = Taken(Counter(), [])
    for one in found:
        if isinstance(one, InputError):
            taken.refused.append(one)
            continue
        try:
            if one.camera_id not in cameras:
                known = ", ".join(sorted(cameras))
                raise InputError(f"{one.file} must be of a camera of {district} ({known}), got {one.camera_id!r}")
            taken.before[_register(store, district, one, again=again)] += 1
        except InputError as error:
            taken.refused.append(error)
    return taken


def _register(store: Store, district: str, recording: Recording, *, again: bool) -> str:
    """The state that the segment of `recording` had before, or `new`."""
    with VideoReader(recording.file) as reader:  # refuses what is no video
        end = _end(recording.start, reader.declared_s)
    try:
        checksum = sha256_of(recording.file)
    except OSError as error:
        raise InputError(f"{recording.file} must stay readable: {error.strerror}") from error
    video = VideoFile(recording.camera_id, str(recording.file), checksum, recording.start, end)
    with store.begin() as connection:
        segment, before = segments.register_file(connection, district, video, again=again)
        if segment.state == "waiting":
            jobs.defer_segment(connection, segment.id)
        if segment.replaces is not None:
            asked = {"again": segment.replaces, "as": segment.id, "district": district}
            told = {"camera_id": video.camera_id, "source": video.source, "start": video.start.isoformat()}
            audit.append_replacement(connection, asked | told)
    return before


def _end(start: datetime, declared_s: float | None) -> datetime | None:
    """When a recording ended; None where its container says nothing, or that it goes on in the future."""
    if declared_s is None or declared_s > (datetime.now(UTC) - start).total_seconds():
        return None
    return start + timedelta(seconds=declared_s)
