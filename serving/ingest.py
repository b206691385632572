"""Registers video files: each becomes a segment of its camera, with a job for `serving.worker` to process it.

    python -m serving.ingest                                           # the videos of the district of params.yaml
    python -m serving.ingest data/demo --district demo                 # a district's folder: district.yaml and videos/
    python -m serving.ingest recordings/ gate.mkv --district demo      # files, or folders of files, of a known district
    python -m serving.ingest gate.mkv --district demo --camera c1 --start 2026-05-12T18:40:00+09:00
    python -m serving.ingest recordings/ --district demo --again       # with another model, or a corrected start

Camera and start of a file come from the arguments, else from a sidecar `<file>.yaml` (see `serving.video.recordings`),
else from the file's name (`serving.ingest.file_name`), the camera also from its folder's. A file whose content is a
segment of that camera already is not registered again; a failed one is retried, and one that has grown replaces its
segment. Files that cannot be registered are listed at the end; all others are registered.

With `--again`, files that are done are processed again, with another camera or start if the arguments say so: the new
sightings replace the old ones in one transaction. Sightings get new numbers, so confirmed ones leave their cases and
have to be judged again; a case under legal hold forbids it. Settings: section `serving` of params.yaml in the current
folder.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from domain.errors import InputError
from domain.names import require_name
from domain.paths import district_folder
from domain.videos import VideoLimits
from serving.database.commands import run_command
from serving.database.store import open_store
from serving.deployment import ServingSettings
from serving.ingestion.registration import find_recordings, register_recordings


def main(argv: Sequence[str] = ()) -> None:
    """Register the files and print how many.

    Raises:
        InputError: if the district is unknown, or if files cannot be registered.
    """
    arguments = _arguments(argv)
    settings, limits = ServingSettings.from_params("serving"), VideoLimits.from_params("tracking.video")
    paths = arguments.paths
    if arguments.district is not None:
        district = require_name(arguments.district)
    elif paths:
        raise InputError(f"files and folders must come with --district, got {paths[0]} without it")
    else:
        folder = district_folder()
        district, paths = folder.name, [folder]
    with open_store(settings.store_folder) as store:
        found = find_recordings(
            store,
            paths,
            district,
            settings.ingest.file_name,
            camera_id=arguments.camera,
            start=arguments.start,
        )
        result = register_recordings(store, district, found.recordings, again=arguments.again, limits=limits)
    print(
        f"{district}: {result.previous_states['new']} new videos, {result.previous_states['done']} already done"
        f"{' and processed again' if arguments.again else ''}, "
        f"{result.previous_states['waiting']} already waiting, {result.previous_states['failed']} failed and retried, "
        f"{result.previous_states['changed']} changed and processed again"
    )
    for remark in (*found.remarks, *result.remarks):
        print(f"  {remark}")
    if result.refused:
        reasons = "\n".join(f"  {reason}" for reason in result.refused)
        raise InputError(
            f"all files must be videos of a known camera and time, {len(result.refused)} are not:\n{reasons}"
        )


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.ingest", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("--district", help="name of the district; default: the one of params.yaml, with its videos")
    parser.add_argument("--camera", help="id of the camera of all files")
    parser.add_argument("--start", help="start of the file, ISO 8601; without an offset in the district's time zone")
    parser.add_argument(
        "--again", action="store_true", help="process files again that are done, and replace their sightings"
    )
    return parser.parse_args(list(argv))


if __name__ == "__main__":
    run_command(main)
