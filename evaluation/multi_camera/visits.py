"""The field study's tracking test: in how many of a person's appearances is the answer among the first k?

An appearance is a visit of the person to a camera. For one problem Rank-k = n / h: h appearances, but the one the
question was cut from; n of them have a right tracklet among the first k that the answer ranks in that camera at that
time. A tracklet is right if most of its boxes lie on the person. An appearance nobody's tracklet covers is wrong.
False candidates are the tracklets of others that stand before the first of the person in the whole ranking; those that
show the person in the question's own appearance are passed over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from districts.box_files import TrackTable
from districts.layout import Problem
from domain.answers import Answer, RankedTracklet
from domain.boxes import pairwise_iou
from domain.errors import InputError

MAX_RANK = 5  # of the study's Table 7


@dataclass(frozen=True)
class Visit:
    """An appearance: one person in one camera, from frame to frame."""

    camera: str
    first_frame: int
    last_frame: int


@dataclass(frozen=True)
class ProblemScores:
    """How well one problem was answered; fractions in 0..1."""

    problem: str
    num_appearances: int  # h
    ranks: np.ndarray  # float64 [5]: Rank-k at k - 1
    num_false_before_right: int  # tracklets of others ranked before the first of the person; all of them if none is


def visits_of(
    identity: int, tables: Mapping[str, TrackTable], fps: Mapping[str, float], gap_s: float, min_s: float
) -> list[Visit]:
    """The appearances of a person in the ground truth of all cameras.

    Args:
        identity: in the ground truth.
        tables: ground truth of each camera; boxes of confidence 0 do not count.
        fps: of each camera.
        gap_s: out of sight for longer, a new appearance begins.
        min_s: appearances shorter than this do not count.
    """
    visits: list[Visit] = []
    for camera, table in tables.items():
        frames = np.unique(table.frames[(table.tracks == identity) & (table.confidences > 0)])
        parts = np.split(frames, np.flatnonzero(np.diff(frames) > gap_s * fps[camera]) + 1)
        visits += [
            Visit(camera, int(part[0]), int(part[-1]))
            for part in parts
            if len(part) and part[-1] - part[0] + 1 >= min_s * fps[camera]
        ]
    return visits


def right_tracklets(identity: int, truth: TrackTable, result: TrackTable, iou_threshold: float) -> set[int]:
    """Tracklets of one camera of which more than half of the boxes lie on the person."""
    own = (truth.tracks == identity) & (truth.confidences > 0)
    box_of_frame = dict(zip(truth.frames[own].tolist(), truth.boxes_xyxy[own], strict=True))
    on_person = np.zeros(len(result.frames), bool)
    for i in np.flatnonzero(np.isin(result.frames, truth.frames[own])):
        on_person[i] = pairwise_iou(result.boxes_xyxy[i], box_of_frame[int(result.frames[i])])[0, 0] >= iou_threshold
    return {
        int(tracklet)
        for tracklet in np.unique(result.tracks[on_person])
        if on_person[result.tracks == tracklet].mean() > 0.5
    }


def score_problem(
    problem: Problem,
    answer: Answer,
    visits: Sequence[Visit],
    right: set[int],
    fps: Mapping[str, float],
    window_s: float,
) -> ProblemScores:
    """Rank-1 … Rank-5 and the false candidates of one problem.

    Args:
        problem: what was asked.
        answer: to it.
        visits: appearances of the person, the question's own included.
        right: tracklets that show the person, of any camera.
        fps: of each camera.
        window_s: candidates for an appearance are tracklets that overlap its time, widened by this on both sides.

    Raises:
        InputError: if nothing but the question's own appearance remains.
    """
    questions = [visit for visit in visits if is_question(visit, problem)]
    asked = [visit for visit in visits if visit not in questions]
    if not asked:
        raise InputError(f"the person of problem {problem.id} must appear again after the question, got no appearance")
    ranks = np.zeros(MAX_RANK)
    for visit in asked:
        margin = window_s * fps[visit.camera]
        candidates = [one.tracklet for one in answer.ranked if covers(one, visit, margin)]
        first_right = next((place for place, tracklet in enumerate(candidates) if tracklet in right), MAX_RANK)
        ranks[first_right:] += 1
    is_known = [one.tracklet in right and any(covers(one, visit) for visit in questions) for one in answer.ranked]
    is_right = [one.tracklet in right for one, known in zip(answer.ranked, is_known, strict=True) if not known]
    return ProblemScores(
        problem=problem.id,
        num_appearances=len(asked),
        ranks=ranks / len(asked),
        num_false_before_right=[*is_right, True].index(True),
    )


def appearance_rank_k(scores: Iterable[ProblemScores]) -> np.ndarray:
    """Rank-1 … Rank-5 of the study: the mean over problems, `float64 [5]`.

    Raises:
        InputError: if there are no problems.
    """
    ranks = [each.ranks for each in scores]
    if not ranks:
        raise InputError("there must be problems to score, got none")
    return np.mean(ranks, axis=0)


def is_question(visit: Visit, problem: Problem) -> bool:
    """Whether the crops that ask the problem were cut from this appearance."""
    return visit.camera == problem.camera and visit.first_frame <= problem.frame <= visit.last_frame


def covers(tracklet: RankedTracklet, visit: Visit, margin: float = 0) -> bool:
    """Whether the tracklet is in the visit's camera and overlaps its time, widened by `margin` frames on both sides."""
    return (
        tracklet.camera == visit.camera
        and tracklet.first_frame <= visit.last_frame + margin
        and tracklet.last_frame >= visit.first_frame - margin
    )
