"""Tracks people in any video: writes tracklets as MOTChallenge text, their best crops and an annotated video.

    python -m serving.track_video --video FILE --detector ENGINE --reid ENGINE --out DIR [--attributes ENGINE]

ENGINE is a folder such as engines/demo/detector, or a file in it; `export.import_weights` makes one of foreign weights.
DIR is written when all is done and replaces the result of an earlier run. Settings: section `tracking` of params.yaml
in the current folder; `key=value` arguments override them.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from districts.box_files import track_table, write_tracks
from domain.atomic import atomic_folder
from domain.errors import InputError
from domain.images import write_image
from domain.stage import run_stage
from domain.tracklets import Tracklet, renumber
from serving.ingestion.annotate import annotate_video
from serving.ingestion.following import CameraVideo, FollowedVideo, StageClock, TrackingSettings, follow
from serving.perception.perception import Perception, open_engines
from serving.video.files import VideoReader

_LONG_S = 1.0  # tracklets longer than this are also counted separately
_NO_START = datetime(1970, 1, 1, tzinfo=UTC)  # for a video without a start time
_SUMMARY = "summary.json"
_log = logging.getLogger(__name__)


def main(argv: Sequence[str] = ()) -> None:
    """Read the command line, track the people in the video, write the folder, print the summary.

    Raises:
        InputError: if the video is missing or unreadable, or `--out` is a folder with other content.
        ArtifactError: if an engine is missing or for another task.
    """
    arguments = _arguments(argv)
    settings = TrackingSettings.from_params("tracking", arguments.overrides)
    if arguments.out.exists() and any(arguments.out.iterdir()) and not (arguments.out / _SUMMARY).is_file():
        raise InputError(
            f"--out must be a new folder or the result of an earlier run; {arguments.out} has other content"
        )
    engines = open_engines(arguments.detector, arguments.reid, arguments.attributes, settings.perception.without_plan)
    perception = Perception(*engines, settings.perception)
    with atomic_folder(arguments.out) as folder:
        summary = track_video(arguments.video, perception, settings, folder)
    print(json.dumps(summary, indent=2))


def track_video(video: Path, perception: Perception, settings: TrackingSettings, folder: Path) -> dict[str, Any]:
    """Write tracks.txt, crops/<id>_<n>.jpg, annotated.mp4 and summary.json into `folder`; returns the summary.

    With an attribute engine also attributes.json: id -> group -> label -> probability.
    """
    clock = StageClock()
    with VideoReader(video, limits=settings.video, whole=False) as reader:
        num_frames = reader.declared_frames or None
    start = time.perf_counter()
    with tqdm(total=num_frames, unit="frame", desc=video.name, disable=None) as progress:
        camera = CameraVideo(video.stem, video, _NO_START)
        [followed] = follow(
            [camera],
            perception,
            settings,
            on_frames=progress.update,
            clock=clock,
            num_crops=settings.tracker.best_crops,
        )
    seconds = time.perf_counter() - start
    if followed.damage:
        _log.warning("%s", followed.damage)
    followed = replace(followed, tracklets=renumber([followed.tracklets]))
    write_tracks(folder / "tracks.txt", track_table(followed.tracklets))
    for tracklet in followed.tracklets:
        for number, crop in enumerate(tracklet.crops, start=1):
            write_image(folder / "crops" / f"{tracklet.id}_{number}.jpg", crop)
    if perception.describes:
        described = {tracklet.id: tracklet.attributes for tracklet in followed.tracklets}
        (folder / "attributes.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    with clock.timed("annotate"):
        annotate_video(video, followed.tracklets, folder / "annotated.mp4", settings.video)
    summary = _summary(video, followed, seconds, clock)
    (folder / _SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def _summary(video: Path, followed: FollowedVideo, seconds: float, clock: StageClock) -> dict[str, Any]:
    """Counts, and times without those of annotation; `stage_share` is independent of the machine's speed."""
    annotate_s = clock.seconds["annotate"]
    stages = {stage: spent for stage, spent in clock.seconds.items() if stage != "annotate"}
    return {
        "video": video.name,
        "video_fps": followed.fps,
        "frames": followed.num_frames,
        "video_seconds": round(followed.end_s, 3),
        "geometry": followed.geometry,
        "damage": followed.damage,
        "seconds": round(seconds, 3),
        "frames_per_second": round(followed.num_frames / seconds, 2),
        "annotate_seconds": round(annotate_s, 3),
        "stage_ms_per_frame": {name: round(1e3 * spent / followed.num_frames, 3) for name, spent in stages.items()},
        "stage_share": {name: round(spent / sum(stages.values()), 4) for name, spent in stages.items()},
        "tracklets": len(followed.tracklets),
        "tracklets_longer_than_1s": sum(_is_long(tracklet) for tracklet in followed.tracklets),
    }


def _is_long(tracklet: Tracklet) -> bool:
    return tracklet.duration_s > _LONG_S


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.track_video", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--video", type=Path, required=True, help="any video file")
    parser.add_argument("--detector", type=Path, required=True, help="detector engine")
    parser.add_argument("--reid", type=Path, required=True, help="re-ID engine")
    parser.add_argument("--attributes", type=Path, help="attribute engine")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("overrides", nargs="*", help="settings, such as tracking.frame_stride=2")
    return parser.parse_args(list(argv))


if __name__ == "__main__":
    run_stage(main)
