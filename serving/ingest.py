"""Takes in video files: each becomes a segment of its camera, with a job for `serving.worker` to look at it.

    python -m serving.ingest                                           # the videos of the district of params.yaml
    python -m serving.ingest data/demo --district demo                 # a district's folder: district.yaml and videos/
    python -m serving.ingest recordings/ gate.mkv --district demo      # files, or folders of files, of a known district
    python -m serving.ingest gate.mkv --district demo --camera c1 --start 2026-05-12T18:40:00+09:00
    python -m serving.ingest recordings/ --district demo --again       # with another model, or after a wrong start

Of which camera a file is and when it starts is said, in this order, by the arguments, by a sidecar `<file>.yaml` (see
`serving.video.recordings`), or by the file's name (`serving.ingest.file_name`). A file whose content is a segment
of that camera already is not taken twice; one that failed is tried again. Files that cannot be taken are named at the
end, and all others are taken.

With `--again` files that are done are looked at once more: what is seen then takes the place of what was seen before,
at once, and until then that stays. It may be as of another camera or time. Sightings get new numbers, so confirmed ones
leave their cases and have to be judged anew; a case under legal hold forbids it. Settings: section `serving` of
params.yaml in the current folder.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from districts.layout import read_district
from domain.errors import InputError
from domain.paths import DATA
from domain.settings import read_params
from domain.stage import run_stage
from export.engines.files import sha256_of
from serving.database import audit, jobs, segments
from serving.database.segments import VideoFile
from serving.database.store import Store, open_store
from serving.deployment import ServingSettings
from serving.video.files import VideoReader
from serving.video.recordings import Naming, Recording, files_of, recordings_of_district


@dataclass(frozen=True)
class Taken:
    """What became of the files of one call, by what their segments were before: new, waiting, failed or done."""

    before: Counter[str]
    refused: list[InputError]


def main(argv: Sequence[str] = ()) -> None:
    """Read the command line, register the files, say how many.

    Raises:
        InputError: if the district is not known, or for all files that cannot be taken.
    """
    arguments = _arguments(argv)
    settings = ServingSettings.from_params("serving")
    district, paths = arguments.district, arguments.paths
    if district is None:
        if paths:
            raise InputError(f"files and folders must come with the name of their --district, got {paths[0]} without")
        district = read_params()["district"]["name"]
        paths = [DATA / district]
    with open_store(settings.store_folder) as store:
        found = find_recordings(
            store,
            paths,
            district,
            settings.ingest.file_name,
            camera_id=arguments.camera,
            start=arguments.start,
        )
        taken = take_in(store, district, found, again=arguments.again)
    print(
        f"{district}: {taken.before['new']} videos are new, {taken.before['done']} were done already"
        f"{' and are looked at again' if arguments.again else ''}, "
        f"{taken.before['waiting']} wait already, {taken.before['failed']} failed before and are tried again"
    )
    if taken.refused:
        reasons = "\n".join(f"  {reason}" for reason in taken.refused)
        raise InputError(
            f"all files must be videos of a known camera and time, {len(taken.refused)} are not:\n{reasons}"
        )


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
        store.add_cameras(district, described.cameras, time_zone=described.time_zone)
        found += recordings_of_district(described, path)
    if start is not None and len(files) != 1:
        raise InputError(f"--start must come with a single video file, got {len(files)}")
    zones = {one.name: one.time_zone for one in store.districts()}
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
    cameras = {camera.id for one in store.districts() if one.name == district for camera in one.cameras}
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
        segment, before = segments.take_in(connection, district, video, again=again)
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


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.ingest", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("--district", help="name of the district")
    parser.add_argument("--camera", help="id of the camera that took all the files")
    parser.add_argument("--start", help="when the file starts, ISO 8601; without an offset in the district's time zone")
    parser.add_argument("--again", action="store_true", help="replace what was seen in files that are done")
    return parser.parse_args(list(argv))


if __name__ == "__main__":
    run_stage(main)
