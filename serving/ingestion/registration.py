"""Registration of video files: each becomes a segment of its camera, with a job for a worker."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from districts.layout import read_district
from domain.errors import InputError
from domain.files import sha256_of
from domain.videos import NO_SETTINGS, VideoLimits
from serving.database import audit, jobs
from serving.database.districts import add_cameras, camera_ids, stored_districts
from serving.database.file_registration import register_file
from serving.database.segments import VideoFile
from serving.database.store import Store
from serving.video.files import VideoReader
from serving.video.folders import files_of
from serving.video.recordings import Naming, Recording, passed_over_in_district, recordings_of_district


@dataclass(frozen=True)
class FoundRecordings:
    """What is at some paths."""

    recordings: list[Recording | InputError]
    remarks: list[str]  # on what was passed over


@dataclass(frozen=True)
class Registrations:
    """Result of registering files."""

    previous_states: Counter[str]  # of the segments, see `serving.database.file_registration`
    refused: list[InputError]  # one error per file that was not registered
    remarks: list[str]  # on files that were registered


def find_recordings(
    store: Store,
    paths: Sequence[Path],
    district: str,
    file_name: str,
    *,
    camera_id: str | None = None,
    start: str | None = None,
) -> FoundRecordings:
    """The recordings at `paths`, with an error in place of a file without camera or start time.

    The cameras of a district's folder are added to `store`.

    Raises:
        InputError: if the district is neither stored nor among `paths`, or `start` comes with several files.
    """
    recordings: list[Recording | InputError] = []
    files: list[tuple[Path, Path]] = []  # each with the path where it was found
    remarks: list[str] = []
    for path in paths:
        if not (path / "district.yaml").is_file():
            listing = files_of(path)
            files += [(file, path) for file in listing.files]
            recordings += listing.refused
            remarks += listing.passed_over
            continue
        described = read_district(path)
        if described.name != district:
            raise InputError(f"--district must be {described.name}, as {path / 'district.yaml'} says, got {district}")
        with store.begin() as connection:
            add_cameras(connection, district, described.cameras, time_zone=described.time_zone)
        recordings += recordings_of_district(described, path)
        remarks += passed_over_in_district(described, path)
    if start is not None and len(files) != 1:
        raise InputError(f"--start must come with a single video file, got {len(files)}")
    with store.begin() as connection:
        stored = {one.name: one for one in stored_districts(connection)}
    if district not in stored:
        raise InputError(
            f"--district must be a stored district ({', '.join(sorted(stored)) or 'there is none yet'}), "
            f"got {district}; first ingest its folder with district.yaml"
        )
    cameras = {camera.id for camera in stored[district].cameras}
    naming = Naming(file_name, stored[district].time_zone, camera_id, start, cameras)
    for file, path in files:
        try:
            recordings.append(naming.recording(file, path))
        except InputError as error:
            recordings.append(error)
        except OSError as error:  # such as a link that leads to itself
            recordings.append(InputError(f"{file} must be readable: {error.strerror}"))
        except (MemoryError, RuntimeError) as error:
            recordings.append(_too_much(file, error))
    return FoundRecordings(recordings, remarks)


def register_recordings(
    store: Store,
    district: str,
    recordings: Iterable[Recording | InputError],
    *,
    again: bool = False,
    limits: VideoLimits = NO_SETTINGS,
) -> Registrations:
    """Register each readable recording with a job; recordings that are done get a second segment with `again` only."""
    with store.begin() as connection:
        cameras = camera_ids(connection, district)
    result = Registrations(Counter(), [], [])
    for recording in recordings:
        if isinstance(recording, InputError):
            result.refused.append(recording)
            continue
        try:
            if recording.camera_id not in cameras:
                known = ", ".join(sorted(cameras))
                raise InputError(
                    f"{recording.file} must be of a camera of {district} ({known}), got {recording.camera_id!r}"
                )
            previous_state, remark = _register(store, district, recording, limits, again=again)
            result.previous_states[previous_state] += 1
            result.remarks.extend([remark] if remark else [])
        except InputError as error:
            result.refused.append(error)
        except (MemoryError, RecursionError) as error:  # one file is not the end of all others
            result.refused.append(_too_much(recording.file, error))
    return result


def _too_much(file: Path, error: Exception) -> InputError:
    return InputError(f"{file} must be a video that this machine can read; it ended with {type(error).__name__}")


def _register(
    store: Store, district: str, recording: Recording, limits: VideoLimits, *, again: bool
) -> tuple[str, str | None]:
    """Register one recording; returns the previous state of its segment, or `new`, and a remark."""
    size = _size_of(recording.file)
    with VideoReader(recording.file, limits=limits, whole=False) as reader:  # raises if the file is not a video
        end = _end(recording.start, reader.declared_s)
    try:
        checksum = sha256_of(recording.file)
    except OSError as error:
        raise InputError(f"{recording.file} must stay readable: {error.strerror}") from error
    if _size_of(recording.file) != size:
        raise InputError(f"{recording.file} must be whole, but it is still being written; take it in again later")
    video = VideoFile(recording.camera_id, str(recording.file), checksum, recording.start, end)
    with store.begin() as connection:
        registration = register_file(connection, district, video, again=again)
        segment = registration.segment
        if segment.state == "waiting":
            jobs.defer_segment(connection, segment.id)
        if segment.replaces is not None:
            replacement = {"again": segment.replaces, "as": segment.id, "district": district}
            recorded = {"camera_id": video.camera_id, "source": video.source, "start": video.start.isoformat()}
            audit.append_replacement(connection, replacement | recorded)
    return registration.previous_state, registration.remark


def _size_of(file: Path) -> int | None:
    """Size in bytes; None if the file is away, which its reader says better."""
    try:
        return file.stat().st_size
    except OSError:
        return None


def _end(start: datetime, declared_s: float | None) -> datetime | None:
    """End of a recording; None if its container declares no duration, or an end in the future."""
    if declared_s is None or declared_s > (datetime.now(UTC) - start).total_seconds():
        return None
    return start + timedelta(seconds=declared_s)
