"""The worst mistakes of a detector and of a ranking, to be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int, Int64

from domain.boxes import Detections, pairwise_iou
from evaluation.detection import Boxes, best_first, matched_people
from evaluation.retrieval import RetrievalScores


@dataclass(frozen=True)
class DetectorMistake:
    """A box without a person, or a person without a box."""

    picture: int  # index
    box_xyxy: Float32[np.ndarray, "4"]  # pixels of the picture
    score: float | None  # of the box; None for a missed person
    iou: float  # with the person (the box) that it overlaps most


def surest_wrong_boxes(
    predicted: Sequence[Detections], true_boxes: Sequence[Boxes], iou_threshold: float, count: int
) -> list[DetectorMistake]:
    """The boxes with the highest scores that match nobody, or somebody who has a better box; one of each picture."""
    worst = []
    for picture, (each, true) in enumerate(zip(predicted, true_boxes, strict=True)):
        order = best_first(each)
        ious = pairwise_iou(each.boxes_xyxy[order], true)
        wrong = np.flatnonzero(matched_people(ious, iou_threshold) < 0)
        if len(wrong):
            first = wrong[0]
            overlap = float(ious[first].max(initial=0))
            box = order[first]
            worst.append(DetectorMistake(picture, each.boxes_xyxy[box], float(each.scores[box]), overlap))
    return sorted(worst, key=lambda mistake: -(mistake.score or 0))[:count]


def tallest_missed_people(
    predicted: Sequence[Detections],
    true_boxes: Sequence[Boxes],
    score_threshold: float,
    iou_threshold: float,
    count: int,
) -> list[DetectorMistake]:
    """The tallest people without a box of at least the score threshold; one of each picture."""
    worst = []
    for picture, (each, true) in enumerate(zip(predicted, true_boxes, strict=True)):
        shown = best_first(each)
        shown = shown[each.scores[shown] >= score_threshold]
        ious = pairwise_iou(each.boxes_xyxy[shown], true)
        missed = np.setdiff1d(np.arange(len(true)), matched_people(ious, iou_threshold))
        if len(missed):
            tallest = missed[np.argmax(true[missed, 3] - true[missed, 1])]
            overlap = float(ious[:, tallest].max(initial=0))
            worst.append(DetectorMistake(picture, np.asarray(true[tallest], np.float32), None, overlap))
    return sorted(worst, key=lambda mistake: mistake.box_xyxy[1] - mistake.box_xyxy[3])[:count]


def worst_queries(
    scores: RetrievalScores, query_identities: Int[np.ndarray, " query"], count: int
) -> Int64[np.ndarray, " worst"]:
    """The queries whose person comes last in the ranking, one of each person, the worst first."""
    order = np.argsort(-scores.first_ranks, kind="stable")
    order = order[scores.first_ranks[order] > 1]
    _, first = np.unique(query_identities[order], return_index=True)
    return order[np.sort(first)][:count]
