"""Scores of a predicted route: its stops, the order of cameras, and tracking over all cameras with one id.

The query visit is left out, and so are the stops that cover it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy.stats import kendalltau

from districts.box_files import TrackTable
from districts.layout import Problem
from domain.answers import Answer
from domain.errors import ArtifactError
from evaluation.multi_camera.visits import Visit, covers, is_query_visit
from evaluation.tracking import TrackingCounts, count_tracking


@dataclass(frozen=True)
class RouteScores:
    """Scores of the route of one problem; fractions in 0..1."""

    precision: float  # share of stops that show the person; 0 for an empty route
    recall: float  # share of visits that a correct stop covers
    order_agreement: float | None  # see `order_agreement`
    counts: TrackingCounts  # over all cameras; the person has one id, and so has the route


def score_route(
    problem: Problem,
    answer: Answer,
    visits: Sequence[Visit],
    right: set[int],
    truth: Mapping[str, TrackTable],
    result: Mapping[str, TrackTable],
    iou_threshold: float,
) -> RouteScores:
    """Compare the route of `answer` with the person's visits.

    Args:
        problem: the problem, with its query crop.
        answer: the answer to the problem.
        visits: visits of the person in order of time: the query visit and at least one other.
        right: tracklets that show the person, in any camera.
        truth: ground truth of each camera.
        result: tracklets of each camera.
        iou_threshold: minimum IoU of a correct box.

    Raises:
        ArtifactError: if a stop is not among the ranked tracklets.
    """
    ranked = {tracklet.tracklet: tracklet for tracklet in answer.ranked}
    try:
        stops = [ranked[stop.tracklet] for stop in answer.route]
    except KeyError as error:
        raise ArtifactError(
            f"the answer to problem {problem.id} must rank every stop of its route, lacks tracklet {error}; rerun track"
        ) from error
    query_visits = [visit for visit in visits if is_query_visit(visit, problem)]
    scored_visits = [visit for visit in visits if visit not in query_visits]
    scored = [stop for stop in stops if not any(covers(stop, visit) for visit in query_visits)]
    correct = [stop for stop in scored if stop.tracklet in right]
    covered = [visit for visit in scored_visits if any(covers(stop, visit) for stop in correct)]
    in_time = sorted(scored, key=lambda stop: stop.first_seen)
    person = [_rows_of_person(problem.identity, camera, table, query_visits) for camera, table in truth.items()]
    route = [np.isin(result[camera].tracks, [stop.tracklet for stop in scored]) for camera in truth]
    return RouteScores(
        precision=len(correct) / max(len(scored), 1),
        recall=len(covered) / len(scored_visits),
        order_agreement=order_agreement([stop.camera for stop in in_time], [visit.camera for visit in scored_visits]),
        counts=count_tracking(
            _under_one_id(list(truth.values()), person),
            _under_one_id([result[camera] for camera in truth], route),
            iou_threshold,
        ),
    )


def order_agreement(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Kendall's tau between the orders in which two walks first reach the cameras that both visit, in -1..1.

    1 is the same order and -1 the opposite order; None with fewer than two common cameras, as then there is no order.
    It compares cameras rather than times, because correct stops at the correct times are always in order.

    Example:
        >>> round(order_agreement(["c1", "c3", "c2"], ["c1", "c2", "c9", "c3"]), 3)
        0.333
    """
    place = {camera: place for place, camera in enumerate(dict.fromkeys(other))}
    places = [place[camera] for camera in dict.fromkeys(one) if camera in place]
    return float(kendalltau(range(len(places)), places).statistic) if len(places) > 1 else None


def _rows_of_person(
    identity: int, camera: str, table: TrackTable, left_out: Sequence[Visit]
) -> Bool[np.ndarray, " box"]:
    rows = table.tracks == identity
    for visit in left_out:
        if visit.camera == camera:
            rows &= (table.frames < visit.first_frame) | (table.frames > visit.last_frame)
    return rows


def _under_one_id(tables: Sequence[TrackTable], chosen: Sequence[Bool[np.ndarray, " _"]]) -> TrackTable:
    """The chosen rows of all cameras under one id, as one video in which frames of the cameras alternate.

    An id has one box in a frame: if a stop ends in the frame in which the next begins, the first row counts.
    """
    parts = [
        (table.frames[rows] * len(tables) + turn, table.boxes_xyxy[rows], table.confidences[rows])
        for turn, (table, rows) in enumerate(zip(tables, chosen, strict=True))
    ]
    frames, boxes, confidences = (np.concatenate(column) for column in zip(*parts, strict=True))
    frames, first = np.unique(frames, return_index=True)
    return TrackTable(frames, np.zeros_like(frames), boxes[first], confidences[first])
