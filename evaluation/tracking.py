"""Tracking scores within a camera: MOTA, IDF1 and HOTA of tracklets against ground truth.

`count_tracking` counts each sequence, and `combine` scores all of them as one video.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64
from scipy.optimize import linear_sum_assignment

from districts.box_files import TrackTable
from domain.boxes import pairwise_iou
from domain.errors import InputError

_HOTA_THRESHOLDS = np.arange(0.05, 0.99, 0.05)  # IoU 0.05, 0.1 … 0.95
_ROUNDING = 1e-6  # an IoU this close below a threshold counts as reaching it


@dataclass(frozen=True)
class TrackingScores:
    """Scores of one sequence or several; fractions in 0..1, but MOTA can be negative."""

    idf1: float  # 2 · identity true positives / (true boxes + predicted boxes) (Ristani et al. 2016)
    mota: float  # 1 - (misses + false positives + switches) / true boxes (Bernardin and Stiefelhagen 2008)
    hota: float  # mean over IoU 0.05 … 0.95 of sqrt(DetA · AssA) (Luiten et al. 2020), as for the next three
    detection_accuracy: float
    association_accuracy: float
    localisation_accuracy: float  # a threshold without matches counts as 1
    num_switches: int  # changes of the tracklet that covers a person


@dataclass(frozen=True)
class TrackingCounts:
    """Counts of one sequence; `combine` makes scores from them."""

    num_true: int  # boxes
    num_predicted: int
    num_identity_true: int  # matching boxes when each person is paired with one tracklet for the whole sequence
    num_matched: int  # boxes paired frame by frame at the IoU threshold
    num_switches: int
    hota_matched: Float64[np.ndarray, " threshold"]  # paired boxes
    hota_association: Float64[np.ndarray, " threshold"]  # sum over paired boxes of the Jaccard index of their tracks
    hota_overlap: Float64[np.ndarray, " threshold"]  # sum over paired boxes of their IoU


@dataclass(frozen=True)
class _Frame:
    people: Int64[np.ndarray, " person"]  # index of each identity
    tracks: Int64[np.ndarray, " track"]  # index of each tracklet
    ious: Float32[np.ndarray, "person track"]


def score_tracking(truth: TrackTable, result: TrackTable, iou_threshold: float = 0.5) -> TrackingScores:
    """Scores of one sequence; see `count_tracking` and `combine`."""
    return combine([count_tracking(truth, result, iou_threshold)])


def combine(sequences: Sequence[TrackingCounts]) -> TrackingScores:
    """Scores of all sequences together; equal ids in different sequences are different people.

    Raises:
        InputError: if no sequence has a box of a person.
    """
    if not any(counts.num_true for counts in sequences):
        raise InputError(f"the ground truth must have boxes of people, got none in {len(sequences)} sequences")
    each = {name: float(value[0]) for name, value in combined(sequences, np.ones((1, len(sequences)))).items()}
    return TrackingScores(
        idf1=each["idf1"],
        mota=each["mota"],
        hota=each["hota"],
        detection_accuracy=each["deta"],
        association_accuracy=each["assa"],
        localisation_accuracy=each["loca"],
        num_switches=sum(counts.num_switches for counts in sequences),
    )


def combined(
    sequences: Sequence[TrackingCounts], weights: Float64[np.ndarray, "draw sequence"]
) -> dict[str, Float64[np.ndarray, " draw"]]:
    """IDF1, MOTA and the HOTA family of several draws of sequences; NaN for a draw without a box of a person.

    Args:
        sequences: counts of each.
        weights: how often each sequence is in each draw.
    """

    def drawn(name: str) -> Float64[np.ndarray, "draw ..."]:
        return weights @ np.array([getattr(counts, name) for counts in sequences], np.float64)

    num_true, num_predicted, num_matched = drawn("num_true"), drawn("num_predicted"), drawn("num_matched")
    people = np.where(num_true > 0, num_true, np.nan)
    matched = drawn("hota_matched")
    detection = matched / (people[:, None] + num_predicted[:, None] - matched)
    association = drawn("hota_association") / np.maximum(matched, 1)
    overlap = drawn("hota_overlap") / np.maximum(matched, 1)
    return {
        "idf1": 2 * drawn("num_identity_true") / (people + num_predicted),
        "mota": 1 - (people + num_predicted - 2 * num_matched + drawn("num_switches")) / people,
        "hota": np.sqrt(detection * association).mean(axis=1),
        "deta": detection.mean(axis=1),
        "assa": np.where(num_true > 0, association.mean(axis=1), np.nan),
        "loca": np.where(num_true > 0, np.where(matched > 0, overlap, 1).mean(axis=1), np.nan),
    }


def count_tracking(truth: TrackTable, result: TrackTable, iou_threshold: float = 0.5) -> TrackingCounts:
    """Compare tracklets with ground truth frame by frame.

    IDF1 and MOTA equal motmetrics', HOTA equals TrackEval's.

    Args:
        truth: people in one video; boxes with confidence 0 do not count.
        result: tracklets in the same video.
        iou_threshold: minimum IoU of a correct box, for IDF1 and MOTA.
    """
    scored = truth.is_counted
    identities, people = np.unique(truth.tracks[scored], return_inverse=True)
    tracklets, tracks = np.unique(result.tracks, return_inverse=True)
    shape = len(identities), len(tracklets)
    frames = list(
        _paired_frames(truth.frames[scored], people, truth.boxes_xyxy[scored], result.frames, tracks, result.boxes_xyxy)
    )
    num_matched, num_switches = _count_clear(frames, iou_threshold)
    matched, association, overlap = _count_hota(frames, np.bincount(people), np.bincount(tracks), shape)
    return TrackingCounts(
        num_true=int(scored.sum()),
        num_predicted=len(tracks),
        num_identity_true=_count_identity(frames, shape, iou_threshold),
        num_matched=num_matched,
        num_switches=num_switches,
        hota_matched=matched,
        hota_association=association,
        hota_overlap=overlap,
    )


def _paired_frames(
    true_frames: Int[np.ndarray, " true_box"],
    people: Int64[np.ndarray, " true_box"],
    true_boxes: Float[np.ndarray, "true_box 4"],
    frames: Int[np.ndarray, " box"],
    tracks: Int64[np.ndarray, " box"],
    boxes: Float[np.ndarray, "box 4"],
) -> Iterator[_Frame]:
    """Frames that have both people and tracklets, in order of time."""
    true_order, order = np.argsort(true_frames, kind="stable"), np.argsort(frames, kind="stable")
    true_sorted, sorted_frames = true_frames[true_order], frames[order]
    for frame in np.intersect1d(true_frames, frames):
        true_rows = true_order[slice(*np.searchsorted(true_sorted, [frame, frame + 1]))]
        rows = order[slice(*np.searchsorted(sorted_frames, [frame, frame + 1]))]
        yield _Frame(people[true_rows], tracks[rows], pairwise_iou(true_boxes[true_rows], boxes[rows]))


def _count_identity(frames: Sequence[_Frame], shape: tuple[int, int], iou_threshold: float) -> int:
    agreements = np.zeros(shape)
    for frame in frames:
        agreements[np.ix_(frame.people, frame.tracks)] += frame.ious >= iou_threshold - _ROUNDING
    return int(agreements[linear_sum_assignment(agreements, maximize=True)].sum())


def _count_clear(frames: Sequence[_Frame], iou_threshold: float) -> tuple[int, int]:
    """Matches and switches: a person keeps its last tracklet while both overlap; the others are paired by IoU."""
    last_track: dict[int, int] = {}
    num_matched = num_switches = 0
    for frame in frames:
        possible = frame.ious >= iou_threshold - _ROUNDING
        for row, person in enumerate(frame.people):
            columns = np.flatnonzero((frame.tracks == last_track.get(int(person), -1)) & possible[row])
            if len(columns):
                num_matched += 1
                possible[row], possible[:, columns[0]] = False, False
        # a gain of 2 for each pair exceeds any IoU, so the number of pairs is maximal
        gains = np.where(possible, 2 + frame.ious, 0)
        for row, column in zip(*linear_sum_assignment(gains, maximize=True), strict=True):
            if possible[row, column]:
                person, track = int(frame.people[row]), int(frame.tracks[column])
                num_matched += 1
                num_switches += last_track.get(person, track) != track
                last_track[person] = track
    return num_matched, num_switches


def _count_hota(
    frames: Sequence[_Frame],
    person_boxes: Int64[np.ndarray, " person"],
    track_boxes: Int64[np.ndarray, " track"],
    shape: tuple[int, int],
) -> tuple[Float64[np.ndarray, " threshold"], Float64[np.ndarray, " threshold"], Float64[np.ndarray, " threshold"]]:
    """Matches, and their sums of association and IoU: the three HOTA arrays of `TrackingCounts`."""
    alignment = _alignment(frames, person_boxes, track_boxes, shape)
    together = np.zeros((len(_HOTA_THRESHOLDS), *shape))
    overlap = np.zeros(len(_HOTA_THRESHOLDS))
    for frame in frames:
        gains = alignment[np.ix_(frame.people, frame.tracks)] * frame.ious
        rows, columns = linear_sum_assignment(gains, maximize=True)
        ious = frame.ious[rows, columns]
        matched = ious >= _HOTA_THRESHOLDS[:, None] - _ROUNDING
        together[:, frame.people[rows], frame.tracks[columns]] += matched
        overlap += (matched * ious).sum(axis=1)
    either = person_boxes[:, None] + track_boxes[None] - together
    association = (together * together / np.maximum(either, 1)).sum(axis=(1, 2))
    return together.sum(axis=(1, 2)), association, overlap


def _alignment(
    frames: Sequence[_Frame],
    person_boxes: Int64[np.ndarray, " person"],
    track_boxes: Int64[np.ndarray, " track"],
    shape: tuple[int, int],
) -> Float64[np.ndarray, "person track"]:
    """Overlap of each person with each tracklet over the whole sequence, in 0..1."""
    shared = np.zeros(shape)
    for frame in frames:
        either = frame.ious.sum(axis=0, keepdims=True) + frame.ious.sum(axis=1, keepdims=True) - frame.ious
        shared[np.ix_(frame.people, frame.tracks)] += frame.ious / np.maximum(either, 1e-12)
    return shared / np.maximum(person_boxes[:, None] + track_boxes[None] - shared, 1e-12)
