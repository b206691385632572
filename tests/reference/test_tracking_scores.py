"""Tracking scores against motmetrics and TrackEval, on random walks and on the two sequences motmetrics ships."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import motmetrics
import numpy as np
import pytest

from districts.box_files import TrackTable, read_tracks
from domain.boxes import pairwise_iou
from evaluation.multi_camera.identities import score_people
from evaluation.tracking import combine, count_tracking, score_tracking


def random_walks(seed: int) -> tuple[TrackTable, TrackTable]:
    """Ten people for forty frames, and tracklets that miss, wander, split and are sometimes nobody."""
    rng = np.random.default_rng(seed)
    truth, result = [], []
    for person in range(10):
        corner, speed = rng.uniform(0, 300, 2), rng.normal(0, 4, 2)
        track = person
        for frame in range(rng.integers(1, 10), rng.integers(20, 41)):
            corner = corner + speed
            size = np.array([40.0, 80.0])
            truth.append([frame, person, *corner, *(corner + size)])
            if rng.random() < 0.05:
                track = int(rng.integers(20, 60))
            noisy = corner + rng.normal(0, 6, 2)
            if rng.random() < 0.85:
                result.append([frame, track, *noisy, *(noisy + size)])
    unique = {(row[0], row[1]): row for row in result}
    return as_table(truth), as_table(list(unique.values()))


def as_table(rows: list[list[float]]) -> TrackTable:
    values = np.array(rows)
    return TrackTable(
        values[:, 0].astype(np.int64),
        values[:, 1].astype(np.int64),
        values[:, 2:].astype(np.float32),
        np.ones(len(values), np.float32),
    )


def motmetrics_scores(truth: TrackTable, result: TrackTable) -> tuple[float, float, int]:
    """IDF1, MOTA and switches by motmetrics."""
    accumulator = motmetrics.MOTAccumulator(auto_id=False)
    for frame in np.union1d(truth.frames, result.frames):
        mine, theirs = truth.frames == frame, result.frames == frame
        distances = 1 - pairwise_iou(truth.boxes_xyxy[mine], result.boxes_xyxy[theirs]).astype(float)
        distances[distances > 0.5 + 1e-6] = np.nan
        accumulator.update(truth.tracks[mine], result.tracks[theirs], distances, frameid=frame)
    summary = motmetrics.metrics.create().compute(accumulator, metrics=["idf1", "mota", "num_switches"])
    return tuple(summary.iloc[0])


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_motmetrics(seed: int) -> None:
    truth, result = random_walks(seed)
    idf1, mota, num_switches = motmetrics_scores(truth, result)
    scores = score_tracking(truth, result)
    assert (scores.idf1, scores.mota) == pytest.approx((idf1, mota), abs=1e-9)
    assert scores.num_switches == num_switches


def test_the_comparison_would_notice_tracklets_dealt_anew() -> None:
    truth, result = random_walks(0)
    idf1, _, _ = motmetrics_scores(truth, result)
    shuffled = np.random.default_rng(0).permutation(result.tracks)
    dealt = TrackTable(result.frames, shuffled, result.boxes_xyxy, result.confidences)
    assert score_tracking(truth, dealt).idf1 != pytest.approx(idf1, abs=0.1)


@pytest.mark.parametrize(
    ("sequence", "idf1", "mota"), [("TUD-Campus", 0.557659, 0.526462), ("TUD-Stadtmitte", 0.644619, 0.564014)]
)
def test_published_figures_are_met(real_data: Path, sequence: str, idf1: float, mota: float) -> None:
    folder = real_data / "mot" / sequence
    scores = score_tracking(read_tracks(folder / "gt.txt"), read_tracks(folder / "test.txt"))
    assert (scores.idf1, scores.mota) == pytest.approx((idf1, mota), abs=1e-6)


def literal_hota(truth: TrackTable, result: TrackTable, alpha: float) -> tuple[float, float, float]:
    """HOTA, DetA and AssA at one threshold from the paper's definitions, box by box, given the best pairing."""
    from scipy.optimize import linear_sum_assignment

    frames = np.union1d(truth.frames, result.frames)
    shared: dict[tuple[int, int], float] = {}
    ious = {}
    for frame in frames:
        mine, theirs = np.flatnonzero(truth.frames == frame), np.flatnonzero(result.frames == frame)
        ious[frame] = mine, theirs, pairwise_iou(truth.boxes_xyxy[mine], result.boxes_xyxy[theirs])
        for i, person in enumerate(truth.tracks[mine]):
            for j, track in enumerate(result.tracks[theirs]):
                overlaps = ious[frame][2]
                if overlaps[i, j] > 0:
                    share = overlaps[i, j] / (overlaps[i].sum() + overlaps[:, j].sum() - overlaps[i, j])
                    shared[person, track] = shared.get((person, track), 0) + share
    pairs = []
    for frame in frames:
        mine, theirs, overlaps = ious[frame]
        gains = np.zeros(overlaps.shape)
        for i, person in enumerate(truth.tracks[mine]):
            for j, track in enumerate(result.tracks[theirs]):
                both = shared.get((person, track), 0)
                count = (truth.tracks == person).sum() + (result.tracks == track).sum()
                gains[i, j] = both / (count - both) * overlaps[i, j]
        for i, j in zip(*linear_sum_assignment(gains, maximize=True), strict=True):
            if overlaps[i, j] >= alpha:
                pairs.append((truth.tracks[mine[i]], result.tracks[theirs[j]]))
    agreement = 0.0
    for person, track in pairs:
        both = pairs.count((person, track))
        agreement += both / ((truth.tracks == person).sum() + (result.tracks == track).sum() - both)
    detection = len(pairs) / (len(truth.tracks) + len(result.tracks) - len(pairs))
    association = agreement / len(pairs)
    return float(np.sqrt(detection * association)), detection, association


def test_hota_equals_its_definition_box_by_box() -> None:
    truth, result = random_walks(1)
    expected = np.mean([literal_hota(truth, result, alpha) for alpha in np.arange(0.05, 0.99, 0.05)], axis=0)
    scores = combine([count_tracking(truth, result)])
    np.testing.assert_allclose(
        [scores.hota, scores.detection_accuracy, scores.association_accuracy], expected, atol=1e-9
    )


def trackeval_scores(sequences: list[tuple[TrackTable, TrackTable]]) -> np.ndarray:
    """HOTA, DetA, AssA, LocA and IDF1 by TrackEval, of all sequences together."""
    metrics = pytest.importorskip("trackeval").metrics
    hota, identity = metrics.HOTA(), metrics.Identity({"PRINT_CONFIG": False})
    data = {str(number): trackeval_data(*tables) for number, tables in enumerate(sequences)}
    hotas = hota.combine_sequences({name: hota.eval_sequence(each) for name, each in data.items()})
    idf1 = identity.combine_sequences({name: identity.eval_sequence(each) for name, each in data.items()})["IDF1"]
    return np.array([*(hotas[name].mean() for name in ("HOTA", "DetA", "AssA", "LocA")), idf1])


def trackeval_data(truth: TrackTable, result: TrackTable) -> dict[str, Any]:
    """A sequence as TrackEval's metrics take it: ids from 0, lists by frame."""
    identities, people = np.unique(truth.tracks, return_inverse=True)
    tracklets, tracks = np.unique(result.tracks, return_inverse=True)
    frames = [(truth.frames == frame, result.frames == frame) for frame in np.union1d(truth.frames, result.frames)]
    return {
        "num_gt_ids": len(identities),
        "num_tracker_ids": len(tracklets),
        "num_gt_dets": len(people),
        "num_tracker_dets": len(tracks),
        "num_timesteps": len(frames),
        "gt_ids": [people[mine] for mine, _ in frames],
        "tracker_ids": [tracks[theirs] for _, theirs in frames],
        "similarity_scores": [
            pairwise_iou(truth.boxes_xyxy[mine], result.boxes_xyxy[theirs]).astype(float) for mine, theirs in frames
        ],
    }


def our_scores(sequences: list[tuple[TrackTable, TrackTable]]) -> np.ndarray:
    own = combine([count_tracking(*tables) for tables in sequences])
    return np.array([own.hota, own.detection_accuracy, own.association_accuracy, own.localisation_accuracy, own.idf1])


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_trackeval(seed: int) -> None:
    walks = [random_walks(seed)]
    np.testing.assert_allclose(our_scores(walks), trackeval_scores(walks), atol=1e-6)


def test_several_sequences_combine_as_in_trackeval() -> None:
    """In the last nobody is found."""
    truth, result = random_walks(6)
    nobody = TrackTable(*(np.empty_like(column[:0]) for column in vars(result).values()))
    walks = [random_walks(4), random_walks(5), (truth, nobody)]
    np.testing.assert_allclose(our_scores(walks), trackeval_scores(walks), atol=1e-6)


def test_trackeval_would_notice_tracklets_dealt_anew() -> None:
    truth, result = random_walks(0)
    shuffled = np.random.default_rng(0).permutation(result.tracks)
    dealt = TrackTable(result.frames, shuffled, result.boxes_xyxy, result.confidences)
    hota, detection, association, *_ = abs(our_scores([(truth, dealt)]) - trackeval_scores([(truth, result)]))
    assert min(hota, association) > 0.1
    assert detection < 0.1  # which changes only as ids steer which boxes are paired


@pytest.mark.parametrize("sequence", ["TUD-Campus", "TUD-Stadtmitte"])
def test_scores_of_real_streets_equal_trackeval(real_data: Path, sequence: str) -> None:
    folder = real_data / "mot" / sequence
    tables = [(read_tracks(folder / "gt.txt"), read_tracks(folder / "test.txt"))]
    np.testing.assert_allclose(our_scores(tables), trackeval_scores(tables), atol=1e-6)


def joined_walks(seed: int) -> tuple[dict[str, TrackTable], dict[str, TrackTable], dict[int, int]]:
    """The same ten people in three cameras, and their tracklets with some joined over cameras, not all rightly."""
    truth, result = {}, {}
    people: dict[int, int] = {}
    for camera in range(3):
        truth[f"c{camera}"], table = random_walks(seed + camera)
        result[f"c{camera}"] = replace(table, tracks=table.tracks + 100 * camera)
        people |= {int(track): int(track % 100) for track in np.unique(result[f"c{camera}"].tracks)}
    return truth, result, people


def in_turn(tables: list[TrackTable]) -> TrackTable:
    """A thousand frames for each camera."""
    rows = [
        [frame + 1000 * turn, track, *box]
        for turn, table in enumerate(tables)
        for frame, track, box in zip(table.frames, table.tracks, table.boxes_xyxy, strict=True)
    ]
    return as_table(rows)


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_people_over_cameras_equal_trackeval_and_motmetrics_of_one_long_video(seed: int) -> None:
    truth, result, people = joined_walks(10 * seed)
    named = [replace(table, tracks=np.array([people[int(one)] for one in table.tracks])) for table in result.values()]
    long = in_turn(list(truth.values())), in_turn(named)
    ours = score_people(truth, result, people, 0.5)
    found = ours.hota, ours.detection_accuracy, ours.association_accuracy, ours.localisation_accuracy, ours.idf1
    np.testing.assert_allclose(found, trackeval_scores([long]), atol=1e-6)
    assert (ours.idf1, ours.mota, ours.num_switches) == pytest.approx(motmetrics_scores(*long), abs=1e-9)
    apart = score_people(truth, result, {track: track for track in people}, 0.5)
    assert ours.idf1 > apart.idf1 + 0.1  # so the ids of other cameras matter
