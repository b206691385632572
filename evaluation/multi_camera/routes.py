"""How well an answered route follows the person: its stops, their order, and one id over all cameras.

The appearance the question was cut from is left out, and so are the stops that cover it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from districts.box_files import TrackTable
from districts.layout import Problem
from domain.answers import Answer
from domain.errors import ArtifactError
from evaluation.multi_camera.visits import Visit, covers, is_question
from evaluation.tracking import TrackingCounts, count_tracking


@dataclass(frozen=True)
class RouteScores:
    """How well the route of one problem was answered; fractions in 0..1."""

    precision: float  # share of the stops that show the person; 0 for an empty route
    recall: float  # share of the appearances that a right stop covers
    order_agreement: float | None  # see the function of this name
    counts: TrackingCounts  # the person and the whole route under one id each, over all cameras


def score_route(
    problem: Problem,
    answer: Answer,
    visits: Sequence[Visit],
    right: set[int],
    truth: Mapping[str, TrackTable],
    result: Mapping[str, TrackTable],
    iou_threshold: float,
) -> RouteScores:
    """Compare the route of `answer` with where the person truly was.

    Args:
        problem: what was asked.
        answer: to it.
        visits: appearances of the person in order of time, the question's own included; there must be others.
        right: tracklets that show the person, of any camera.
        truth: ground truth of each camera.
        result: tracklets of each camera.
        iou_threshold: overlap from which a box may be right.

    Raises:
        ArtifactError: if a stop is not among the ranked tracklets.
    """
    ranked = {one.tracklet: one for one in answer.ranked}
    try:
        stops = [ranked[stop.tracklet] for stop in answer.route]
    except KeyError as error:
        raise ArtifactError(
            f"problem {problem.id}: tracklet {error} of the route is not ranked; rerun track"
        ) from error
    questions = [visit for visit in visits if is_question(visit, problem)]
    asked = [visit for visit in visits if visit not in questions]
    scored = [stop for stop in stops if not any(covers(stop, visit) for visit in questions)]
    found = [stop for stop in scored if stop.tracklet in right]
    covered = [visit for visit in asked if any(covers(stop, visit) for stop in found)]
    in_time = sorted(scored, key=lambda stop: stop.first_seen)
    person = [_rows_of_person(problem.identity, camera, table, questions) for camera, table in truth.items()]
    route = [np.isin(result[camera].tracks, [stop.tracklet for stop in scored]) for camera in truth]
    return RouteScores(
        precision=len(found) / max(len(scored), 1),
        recall=len(covered) / len(asked),
        order_agreement=order_agreement([stop.camera for stop in in_time], [visit.camera for visit in asked]),
        counts=count_tracking(
            _under_one_id(list(truth.values()), person),
            _under_one_id([result[camera] for camera in truth], route),
            iou_threshold,
        ),
    )


def order_agreement(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Kendall's tau of the orders in which two walks first come to the cameras that both visit, in -1..1.

    1 is the same order, -1 the opposite one; None if they share fewer than two cameras, for then there is no order.
    Cameras, not moments: stops that show the person at the right time can be in no wrong order.

    Example:
        >>> round(order_agreement(["c1", "c3", "c2"], ["c1", "c2", "c9", "c3"]), 3)
        0.333
    """
    place = {camera: place for place, camera in enumerate(dict.fromkeys(other))}
    places = [place[camera] for camera in dict.fromkeys(one) if camera in place]
    return float(kendalltau(range(len(places)), places).statistic) if len(places) > 1 else None


def _rows_of_person(identity: int, camera: str, table: TrackTable, left_out: Sequence[Visit]) -> np.ndarray:
    rows = table.tracks == identity
    for visit in left_out:
        if visit.camera == camera:
            rows &= (table.frames < visit.first_frame) | (table.frames > visit.last_frame)
    return rows


def _under_one_id(tables: Sequence[TrackTable], chosen: Sequence[np.ndarray]) -> TrackTable:
    """The chosen rows of all cameras under one id, as one video in which the cameras take turns.

    Nobody is twice in a frame: where one stop ends in the frame in which the next begins, the first row counts.
    """
    parts = [
        (table.frames[rows] * len(tables) + turn, table.boxes_xyxy[rows], table.confidences[rows])
        for turn, (table, rows) in enumerate(zip(tables, chosen, strict=True))
    ]
    frames, boxes, confidences = (np.concatenate(column) for column in zip(*parts, strict=True))
    frames, first = np.unique(frames, return_index=True)
    return TrackTable(frames, np.zeros_like(frames), boxes[first], confidences[first])
