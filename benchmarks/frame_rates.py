"""Following the people of a street camera that is looked at ever more seldom, against ground truth, as JSON.

    python -m benchmarks.frame_rates --video vtest.avi --truth gt.txt --detector engines/coco --reid engines/msmt17

For each rate the tracker gets every n-th frame, from several first frames, as `serving.worker` does with
`tracking.frame_stride=n`; the video is read up to the last frame of the ground truth (MOTChallenge text). Tracklets are
scored in all frames, with their boxes interpolated between the looks, at an IoU of 0.5:

- `idf1`;
- `least_covered`: of each person the longest part of his time in view that a single tracklet covers, the least of them;
- `half_covered`: people of whom a single tracklet covers half;
- `mixed`: tracklets longer than a second that show a second person for more than a fifth of their frames.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from districts.box_files import TrackTable, read_tracks
from domain.boxes import Detections, pairwise_iou
from domain.tracklets import Tracklet
from evaluation.tracking import score_tracking
from serving.ingestion.following import StageClock, TrackingSettings, advance, new_tracker
from serving.perception.perception import Perception, open_engines
from serving.tracking.tracker import Tracker
from serving.video.files import Frame, VideoReader

_START = datetime(2026, 5, 12, tzinfo=UTC)
_MIN_IOU = 0.5
_LONG_S, _MIXED_SHARE = 1.0, 0.2


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each rate."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frame_rates", description=__doc__.split("\n")[0])
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True, help="MOTChallenge text")
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--reid", type=Path, required=True)
    parser.add_argument("--looks-per-s", type=float, nargs="+", default=[10, 5, 2, 1, 0.5])
    parser.add_argument("--beginnings", type=int, default=3, help="first frames within the first interval")
    parser.add_argument("overrides", nargs="*", help="settings, such as tracking.tracker.motion_s=0.5")
    chosen = parser.parse_intermixed_args(argv)
    settings = TrackingSettings.from_params("tracking", chosen.overrides)
    engines = open_engines(chosen.detector, chosen.reid, None, settings.perception.without_plan)
    print(json.dumps(measure(chosen, Perception(*engines, settings.perception), settings), indent=2))


def measure(chosen: argparse.Namespace, perception: Perception, settings: TrackingSettings) -> list[dict[str, Any]]:
    """A row for each rate."""
    truth = read_tracks(chosen.truth)
    detections: dict[int, Detections] = {}  # by frame, shared by all rates
    rows = []
    with VideoReader(chosen.video, limits=settings.video, whole=False) as reader:
        fps = reader.fps
    for rate in chosen.looks_per_s:
        stride = max(1, round(fps / rate))
        firsts = sorted({1 + stride * number // chosen.beginnings for number in range(chosen.beginnings)})
        scores = [
            scores_of(truth, list(follow(chosen.video, perception, settings, looks, detections)))
            for looks in (range(first, int(truth.frames.max()) + 1, stride) for first in firsts)
        ]
        rows.append({"looks_per_s": round(fps / stride, 3), "first_frames": firsts})
        rows[-1] |= {name: [one[name] for one in scores] for name in scores[0]}
    return rows


def follow(
    video: Path, perception: Perception, settings: TrackingSettings, looks: range, detections: dict[int, Detections]
) -> Iterator[Tracklet]:
    """Yield the tracklets of the people in the frames `looks`; detections are taken from `detections`, or added."""
    tracker = new_tracker("camera", _START, perception, settings)
    with VideoReader(video, limits=settings.video) as reader:
        for frame in reader:
            if frame.number > looks[-1]:
                break
            if frame.number in looks:
                yield from _look(tracker, frame, perception, detections)
    yield from tracker.close()


def scores_of(truth: TrackTable, tracklets: Sequence[Tracklet]) -> dict[str, float]:
    """The figures of a row."""
    result = interpolated(tracklets)
    together = _frames_together(truth, result)
    in_view = np.array([(truth.tracks == person).sum() for person in np.unique(truth.tracks)])
    covered = together.max(axis=1, initial=0) / in_view
    second = np.sort(np.pad(together, ((2, 0), (0, 0))), axis=0)[-2]
    is_long = np.array([tracklet.duration_s > _LONG_S for tracklet in tracklets], bool)
    lengths = np.bincount(result.tracks, minlength=len(tracklets))[: len(tracklets)]
    return {
        "idf1": round(score_tracking(truth, result, _MIN_IOU).idf1, 3),
        "tracklets": len(tracklets),
        "least_covered": round(float(covered.min()), 2),
        "half_covered": int((covered >= 0.5).sum()),
        "mixed": int((is_long & (second > _MIXED_SHARE * lengths)).sum()),
    }


def interpolated(tracklets: Sequence[Tracklet]) -> TrackTable:
    """The tracklets, numbered from 0, with a box in each frame from the first to the last."""
    frames = [np.arange(one.first_frame, one.last_frame + 1) for one in tracklets]
    boxes = [
        np.stack([np.interp(span, one.frames, side) for side in one.boxes_xyxy.T], axis=1)
        for one, span in zip(tracklets, frames, strict=True)
    ]
    return TrackTable(
        frames=np.concatenate([np.empty(0, np.int64), *frames]),
        tracks=np.repeat(np.arange(len(frames)), [len(span) for span in frames]).astype(np.int64),
        boxes_xyxy=np.concatenate([np.empty((0, 4)), *boxes]).astype(np.float32),
        confidences=np.ones(sum(map(len, frames)), np.float32),
    )


def _look(tracker: Tracker, frame: Frame, perception: Perception, detections: dict[int, Detections]) -> list[Tracklet]:
    if frame.number not in detections:
        [detections[frame.number]] = perception.detect([frame.image])
    [ended] = advance([(tracker, frame, detections[frame.number])], perception, StageClock())
    return ended


def _frames_together(truth: TrackTable, result: TrackTable) -> np.ndarray:
    """`int [person, tracklet]`: frames in which a tracklet's box is a person's, each box in one pair."""
    people, person_of = np.unique(truth.tracks, return_inverse=True)
    together = np.zeros((len(people), int(result.tracks.max(initial=-1)) + 1), np.int64)
    for frame in np.unique(truth.frames):
        true, found = np.flatnonzero(truth.frames == frame), np.flatnonzero(result.frames == frame)
        ious = pairwise_iou(truth.boxes_xyxy[true], result.boxes_xyxy[found])
        rows, columns = linear_sum_assignment(np.where(ious >= _MIN_IOU, -ious, 0))
        for row, column in zip(rows, columns, strict=True):
            if ious[row, column] >= _MIN_IOU:
                together[person_of[true[row]], result.tracks[found[column]]] += 1
    return together


if __name__ == "__main__":
    main()
