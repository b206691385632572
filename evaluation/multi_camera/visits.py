"""The field study's tracking test: Rank-k over a person's visits to cameras.

For one problem Rank-k = n / h: the person makes h visits besides the query visit, from which the query crop was cut,
and n of them have a correct tracklet among the first k tracklets ranked for that camera and time. A tracklet is correct
if most of its boxes lie on the person. A visit that no tracklet covers counts as wrong. False candidates are tracklets
of other people, ranked before the person's first tracklet over all cameras; tracklets that show the person in the query
visit are skipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from districts.box_files import TrackTable
from districts.layout import Problem
from domain.answers import Answer, RankedTracklet
from domain.boxes import pairwise_iou
from domain.errors import InputError
from evaluation.multi_camera.timelines import Timeline

_ROUNDING_S = 1e-3
MAX_RANK = 5  # as in the study's Table 7


@dataclass(frozen=True)
class Visit:
    """A person in view of one camera, from the first frame to the last."""

    camera: str
    first_frame: int
    last_frame: int


@dataclass(frozen=True)
class ProblemScores:
    """Scores of the answer to one problem; fractions in 0..1."""

    problem: str
    num_visits: int  # h
    ranks: Float64[np.ndarray, "5"]  # Rank-k at index k - 1
    num_false_before_right: int  # tracklets of others before the person's first; all of them if the person has none


def visits_of(
    identity: int, tables: Mapping[str, TrackTable], timelines: Mapping[str, Timeline], gap_s: float, min_s: float
) -> list[Visit]:
    """The visits of a person to all cameras.

    Args:
        identity: the person's id in the ground truth.
        tables: ground truth of each camera; boxes of confidence 0 do not count.
        timelines: of each camera's video.
        gap_s: a longer absence from a camera's view ends a visit.
        min_s: shorter visits do not count.
    """
    visits: list[Visit] = []
    for camera, table in tables.items():
        frames = np.unique(table.frames[(table.tracks == identity) & table.is_counted])
        timeline = timelines[camera]
        parts = np.split(frames, np.flatnonzero(np.diff(timeline.at(frames)) > gap_s + _ROUNDING_S) + 1)
        shortest_s = min_s - timeline.interval_s - _ROUNDING_S  # a frame lasts until the next
        visits += [
            Visit(camera, int(part[0]), int(part[-1]))
            for part in parts
            if len(part) and np.ptp(timeline.at(part[[0, -1]])) >= shortest_s
        ]
    return visits


def right_tracklets(identity: int, truth: TrackTable, result: TrackTable, iou_threshold: float) -> set[int]:
    """Tracklets of one camera with more than half of their boxes on the person, at `iou_threshold` or more."""
    own = (truth.tracks == identity) & truth.is_counted
    box_of_frame = dict(zip(truth.frames[own].tolist(), truth.boxes_xyxy[own], strict=True))
    on_person = np.zeros(len(result.frames), bool)
    for i in np.flatnonzero(np.isin(result.frames, truth.frames[own])):
        person = box_of_frame[int(result.frames[i])]
        on_person[i] = pairwise_iou(result.boxes_xyxy[[i]], person[None])[0, 0] >= iou_threshold
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
    timelines: Mapping[str, Timeline],
    window_s: float,
) -> ProblemScores:
    """Rank-1 … Rank-5 and the false candidates of one problem.

    Args:
        problem: the problem, with its query crop.
        answer: the answer to the problem.
        visits: visits of the person, the query visit included.
        right: tracklets that show the person, in any camera.
        timelines: of each camera's video.
        window_s: candidates for a visit are tracklets that overlap its time, extended by this on both sides.

    Raises:
        InputError: if the person has no visit besides the query visit.
    """
    query_visits = [visit for visit in visits if is_query_visit(visit, problem)]
    scored_visits = [visit for visit in visits if visit not in query_visits]
    if not scored_visits:
        raise InputError(f"the person of problem {problem.id} must have a visit besides the query visit, got none")
    ranks = np.zeros(MAX_RANK)
    for visit in scored_visits:
        candidates = [one.tracklet for one in answer.ranked if is_near(one, visit, timelines[visit.camera], window_s)]
        first_right = next((place for place, tracklet in enumerate(candidates) if tracklet in right), MAX_RANK)
        ranks[first_right:] += 1
    is_right = [
        ranked.tracklet in right
        for ranked in answer.ranked
        if not (ranked.tracklet in right and any(covers(ranked, visit) for visit in query_visits))
    ]
    return ProblemScores(
        problem=problem.id,
        num_visits=len(scored_visits),
        ranks=ranks / len(scored_visits),
        num_false_before_right=[*is_right, True].index(True),
    )


def is_query_visit(visit: Visit, problem: Problem) -> bool:
    """Whether the query crops of the problem were cut from this visit."""
    return visit.camera == problem.camera and visit.first_frame <= problem.frame <= visit.last_frame


def covers(tracklet: RankedTracklet, visit: Visit) -> bool:
    """Whether the tracklet is in the visit's camera and overlaps its time."""
    return (
        tracklet.camera == visit.camera
        and tracklet.first_frame <= visit.last_frame
        and tracklet.last_frame >= visit.first_frame
    )


def is_near(tracklet: RankedTracklet, visit: Visit, timeline: Timeline, window_s: float) -> bool:
    """Whether the tracklet is in the visit's camera and overlaps its time, extended by `window_s` each way.

    `timeline` is that of the camera's video.
    """
    most_s = window_s + _ROUNDING_S
    return (
        tracklet.camera == visit.camera
        and timeline.of(tracklet.first_frame) <= timeline.of(visit.last_frame) + most_s
        and timeline.of(tracklet.last_frame) >= timeline.of(visit.first_frame) - most_s
    )
