"""How well people are followed within a camera: MOTA, IDF1 and HOTA of tracklets against ground truth.

Sequences are counted one by one and scored together, as if they were one video: see `combine`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from districts.box_files import TrackTable
from domain.boxes import pairwise_iou
from domain.errors import InputError

_HOTA_THRESHOLDS = np.arange(0.05, 0.99, 0.05)  # IoU 0.05, 0.1 … 0.95
_ROUNDING = 1e-6  # an overlap this much below a threshold counts as at it


@dataclass(frozen=True)
class TrackingScores:
    """Fractions in 0..1, but that MOTA falls below 0 when errors outnumber people."""

    idf1: float  # 2 · identity-true positives / (true boxes + predicted boxes) (Ristani et al. 2016)
    mota: float  # 1 - (misses + false positives + switches) / true boxes (Bernardin and Stiefelhagen 2008)
    hota: float  # mean over IoU 0.05 … 0.95 of sqrt(DetA · AssA) (Luiten et al. 2020); so are the next three
    detection_accuracy: float
    association_accuracy: float
    localisation_accuracy: float  # a threshold at which nothing is matched counts as 1
    num_switches: int  # a person continued by another tracklet


@dataclass(frozen=True)
class TrackingCounts:
    """What the scores of one sequence are made of."""

    num_true: int  # boxes
    num_predicted: int
    num_identity_true: int  # boxes that agree when each person is paired with one tracklet for the whole sequence
    num_matched: int  # boxes paired frame by frame at the IoU threshold
    num_switches: int
    hota_matched: np.ndarray  # float64 [threshold]: boxes paired
    hota_association: np.ndarray  # float64 [threshold]: sum over these of how well their two tracks agree
    hota_overlap: np.ndarray  # float64 [threshold]: sum over these of IoU


@dataclass(frozen=True)
class _Frame:
    people: np.ndarray  # int64 [person], index of each identity
    tracks: np.ndarray  # int64 [track], index of each tracklet
    ious: np.ndarray  # float32 [person, track]


def score_tracking(truth: TrackTable, result: TrackTable, iou_threshold: float = 0.5) -> TrackingScores:
    """Scores of one sequence; see `count_tracking` and `combine`."""
    return combine([count_tracking(truth, result, iou_threshold)])


def combine(sequences: Sequence[TrackingCounts]) -> TrackingScores:
    """Scores of all sequences together; identities and tracklets of different sequences are different.

    Raises:
        InputError: if nobody is in any.
    """
    num_true = sum(counts.num_true for counts in sequences)
    if not num_true:
        raise InputError(f"somebody must be in the ground truth, got nobody in {len(sequences)} sequences")
    num_predicted = sum(counts.num_predicted for counts in sequences)
    num_matched = sum(counts.num_matched for counts in sequences)
    num_switches = sum(counts.num_switches for counts in sequences)
    errors = num_true + num_predicted - 2 * num_matched + num_switches
    matched = np.sum([counts.hota_matched for counts in sequences], axis=0)
    detection = matched / (num_true + num_predicted - matched)
    association = np.sum([counts.hota_association for counts in sequences], axis=0) / np.maximum(matched, 1)
    overlap = np.sum([counts.hota_overlap for counts in sequences], axis=0)
    return TrackingScores(
        idf1=2 * sum(counts.num_identity_true for counts in sequences) / (num_true + num_predicted),
        mota=1 - errors / num_true,
        hota=float(np.sqrt(detection * association).mean()),
        detection_accuracy=float(detection.mean()),
        association_accuracy=float(association.mean()),
        localisation_accuracy=float(np.where(matched > 0, overlap / np.maximum(matched, 1), 1).mean()),
        num_switches=num_switches,
    )


def count_tracking(truth: TrackTable, result: TrackTable, iou_threshold: float = 0.5) -> TrackingCounts:
    """Compare tracklets with ground truth frame by frame.

    IDF1 and MOTA equal motmetrics', HOTA equals TrackEval's. Boxes of ground truth with confidence 0 do not count.

    Args:
        truth: of one video.
        result: tracklets in the same video.
        iou_threshold: overlap from which a box may be right, for IDF1 and MOTA.
    """
    scored = truth.confidences > 0
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
    true_frames: np.ndarray,
    people: np.ndarray,
    true_boxes: np.ndarray,
    frames: np.ndarray,
    tracks: np.ndarray,
    boxes: np.ndarray,
) -> Iterator[_Frame]:
    """Frames in which both people and tracklets are, in order of time."""
    true_order, order = np.argsort(true_frames, kind="stable"), np.argsort(frames, kind="stable")
    true_sorted, sorted_frames = true_frames[true_order], frames[order]
    for frame in np.intersect1d(true_frames, frames):
        mine = true_order[slice(*np.searchsorted(true_sorted, [frame, frame + 1]))]
        theirs = order[slice(*np.searchsorted(sorted_frames, [frame, frame + 1]))]
        yield _Frame(people[mine], tracks[theirs], pairwise_iou(true_boxes[mine], boxes[theirs]))


def _count_identity(frames: Sequence[_Frame], shape: tuple[int, int], iou_threshold: float) -> int:
    agreements = np.zeros(shape)
    for frame in frames:
        agreements[np.ix_(frame.people, frame.tracks)] += frame.ious >= iou_threshold - _ROUNDING
    return int(agreements[linear_sum_assignment(agreements, maximize=True)].sum())


def _count_clear(frames: Sequence[_Frame], iou_threshold: float) -> tuple[int, int]:
    """Matches and switches: a person keeps the tracklet it had while they overlap; the rest pair by overlap."""
    last_track: dict[int, int] = {}
    num_matched = num_switches = 0
    for frame in frames:
        possible = frame.ious >= iou_threshold - _ROUNDING
        for row, person in enumerate(frame.people):
            columns = np.flatnonzero((frame.tracks == last_track.get(int(person), -1)) & possible[row])
            if len(columns):
                num_matched += 1
                possible[row], possible[:, columns[0]] = False, False
        # 2 a pair beats any overlap, so as many pairs as possible are made
        gains = np.where(possible, 2 + frame.ious, 0)
        for row, column in zip(*linear_sum_assignment(gains, maximize=True), strict=True):
            if possible[row, column]:
                person, track = int(frame.people[row]), int(frame.tracks[column])
                num_matched += 1
                num_switches += last_track.get(person, track) != track
                last_track[person] = track
    return num_matched, num_switches


def _count_hota(
    frames: Sequence[_Frame], person_boxes: np.ndarray, track_boxes: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matches, their summed track agreement and their summed overlap, each `[threshold]`."""
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
    frames: Sequence[_Frame], person_boxes: np.ndarray, track_boxes: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """How much each person and each tracklet go together over the whole sequence, `[person, track]` in 0..1."""
    shared = np.zeros(shape)
    for frame in frames:
        either = frame.ious.sum(axis=0, keepdims=True) + frame.ious.sum(axis=1, keepdims=True) - frame.ious
        shared[np.ix_(frame.people, frame.tracks)] += frame.ious / np.maximum(either, 1e-12)
    return shared / np.maximum(person_boxes[:, None] + track_boxes[None] - shared, 1e-12)
