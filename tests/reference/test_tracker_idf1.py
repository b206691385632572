"""The tracker on the ground truth of real streets, scored by py-motmetrics: jittered boxes, noisy embeddings."""

from datetime import UTC, datetime
from pathlib import Path

import motmetrics
import numpy as np
import pytest

from districts.box_files import TrackTable, read_tracks, track_table
from domain.boxes import Detections, pairwise_iou
from domain.embeddings import unit_length
from serving.tracking.crop_quality import CropFeatures
from serving.tracking.tracker import Tracker
from tests.helpers.walkers import settings

START = datetime(2026, 5, 1, tzinfo=UTC)
FPS = 25  # of both TUD videos
FEATURE = 128


def idf1(truth: TrackTable, result: TrackTable) -> float:
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in range(1, int(truth.frames.max()) + 1):
        true, found = truth.frames == frame, result.frames == frame
        distances = 1 - pairwise_iou(truth.boxes_xyxy[true], result.boxes_xyxy[found]).astype(float)
        distances[distances > 0.5] = np.nan
        accumulator.update(truth.tracks[true], result.tracks[found], distances)
    summary = motmetrics.metrics.create().compute(accumulator, metrics=["idf1"])
    return float(summary["idf1"].iloc[0])


def follow(
    truth: TrackTable, *, stride: int = 1, missed: float = 0.1, jitter: float = 0.03, blind: bool = False
) -> TrackTable:
    """Track the boxes of `truth`, some missed, all shaken, with noisy embeddings (or the same embedding for all)."""
    rng = np.random.default_rng(0)
    faces = unit_length(rng.normal(size=(int(truth.tracks.max()) + 1, FEATURE)))
    tracker = Tracker("c1", START, settings().tracker, strong_score=0.5, match_distance=0.4)
    tracklets = []
    for frame in range(1, int(truth.frames.max()) + 1, stride):
        seen = np.flatnonzero(truth.frames == frame)
        seen = seen[rng.random(len(seen)) >= missed]
        heights = truth.boxes_xyxy[seen, 3:] - truth.boxes_xyxy[seen, 1:2]
        boxes = (truth.boxes_xyxy[seen] + rng.normal(0, jitter, (len(seen), 4)) * heights).astype(np.float32)
        scores = rng.uniform(0.6, 0.9, len(seen)).astype(np.float32)
        plan = tracker.plan(frame, frame / FPS, Detections(boxes, scores, np.zeros(len(seen), np.int64)))
        who = [truth.tracks[seen[np.abs(boxes - box).sum(axis=1).argmin()]] for box in plan.boxes_xyxy[plan.to_embed]]
        noise = rng.normal(size=(len(who), FEATURE)) * 0.6 / np.sqrt(FEATURE)
        embeddings = unit_length(faces[np.zeros(len(who), int) if blind else who] + (0 if blind else noise))
        crops = [np.zeros((4, 4, 3), np.uint8)] * len(who)
        tracklets += tracker.update(plan, CropFeatures(embeddings.reshape(-1, FEATURE), np.full(len(who), 0.5), crops))
    return track_table(tracklets + tracker.close())


@pytest.mark.parametrize(
    ("video", "expected"), [("TUD-Campus", 0.557659), ("TUD-Stadtmitte", 0.644619)], ids=["campus", "stadtmitte"]
)
def test_the_judge_gives_the_published_figures(real_data: Path, video: str, expected: float) -> None:
    folder = real_data / "mot" / video
    assert idf1(read_tracks(folder / "gt.txt"), read_tracks(folder / "test.txt")) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("video", ["TUD-Campus", "TUD-Stadtmitte"])
@pytest.mark.parametrize(("stride", "least"), [(1, 0.98), (2, 0.97), (4, 0.93)], ids=["25fps", "12fps", "6fps"])
def test_people_of_a_real_street_keep_their_ids(real_data: Path, video: str, stride: int, least: float) -> None:
    truth = read_tracks(real_data / "mot" / video / "gt.txt")
    assert idf1(truth, follow(truth, stride=stride)) >= least


def test_the_judge_notices_shuffled_ids(real_data: Path) -> None:
    truth = read_tracks(real_data / "mot" / "TUD-Stadtmitte" / "gt.txt")
    result = follow(truth)
    shuffled = np.random.default_rng(0).permutation(result.tracks)
    assert idf1(truth, TrackTable(result.frames, shuffled, result.boxes_xyxy, result.confidences)) < 0.5


def test_appearance_helps(real_data: Path) -> None:
    truth = read_tracks(real_data / "mot" / "TUD-Campus" / "gt.txt")
    seeing, blind = (follow(truth, stride=4, missed=0.2, blind=blind) for blind in (False, True))
    assert idf1(truth, seeing) > idf1(truth, blind)
