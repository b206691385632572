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
from collections.abc import Sequence
from pathlib import Path

from domain.errors import InputError
from domain.paths import DATA
from domain.settings import read_params
from domain.stage import run_stage
from serving.database.store import open_store
from serving.deployment import ServingSettings
from serving.ingestion.registration import find_recordings, take_in


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
