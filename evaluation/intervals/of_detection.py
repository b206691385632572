"""Samples of detection: pictures are drawn, with all their people and boxes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from domain.boxes import Detections, pairwise_iou
from evaluation.detection import Boxes, average_precisions, best_first, matched_people
from evaluation.intervals.bootstrap import Figures, Sample, Weights, ratios, units_of

UNIT = "pictures"
_COCO_THRESHOLDS = np.arange(50, 100, 5) / 100
_AP50, _AP75 = 0, 5
HEIGHTS_PX = (0.0, 30.0, 80.0, 160.0, np.inf)  # far, medium and near of Dollár et al. 2012, the last split again


def detection_sample(
    predicted: Sequence[Detections], true_boxes: Sequence[Boxes], score_threshold: float | None, iou_threshold: float
) -> Sample:
    """AP50, AP75, AP50-95 and AR100 as COCO defines them; precision, recall and F1 at the score threshold in use.

    Args:
        predicted: detections in each picture.
        true_boxes: boxes of people in each picture.
        score_threshold: of the deployed detector; without one there is no precision, recall and F1.
        iou_threshold: minimum IoU of a correct box, for these three.
    """
    kept = [best_first(each) for each in predicted]
    scores = np.concatenate([each.scores[order] for each, order in zip(predicted, kept, strict=True)])
    picture = np.repeat(np.arange(len(predicted)), [len(order) for order in kept])
    order = np.argsort(-scores, kind="stable")
    right = _right(predicted, true_boxes, kept, _COCO_THRESHOLDS)[:, order]
    people = np.array([len(boxes) for boxes in true_boxes], np.float64)
    found = np.stack([_per_picture(each, picture[order], len(people)) for each in right]).mean(axis=0)
    above, below = {"ar100": found}, {"ar100": people}
    if score_threshold is not None:
        shown = scores >= score_threshold
        boxes = _per_picture(shown, picture, len(people))
        correct = _per_picture(
            _right(predicted, true_boxes, kept, np.array([iou_threshold]))[0] & shown, picture, len(people)
        )
        above |= {"precision": correct, "recall": correct, "f1": 2 * correct}
        below |= {"precision": boxes, "recall": people, "f1": boxes + people}
    shares = ratios(above, below)

    def figures(weights: Weights) -> Figures:
        box_weights, num_people = weights[:, picture[order]], weights @ people
        passed = np.cumsum(box_weights, axis=1)
        precisions = np.stack([_average_precision(each, box_weights, passed, num_people) for each in right])
        of_coco = {"ap50": precisions[_AP50], "ap75": precisions[_AP75], "ap50_95": precisions.mean(axis=0)}
        return of_coco | dict(shares(weights))

    return Sample(UNIT, len(people), max(len(scores), 1), figures, units_of(below))


def height_sample(
    predicted: Sequence[Detections],
    true_boxes: Sequence[Boxes],
    score_threshold: float,
    iou_threshold: float,
    heights_px: tuple[float, float],
) -> tuple[Sample, int]:
    """Recall of the people of some height, and precision of the boxes of that height, at the score threshold in use.

    A box of that height is right if it matches a person of any height.

    Returns:
        the sample, and the number of people of that height.
    """
    people, found, boxes, right = np.zeros((4, len(predicted)))
    for i, (each, true) in enumerate(zip(predicted, true_boxes, strict=True)):
        shown = best_first(each)
        shown = shown[each.scores[shown] >= score_threshold]
        taken = matched_people(pairwise_iou(each.boxes_xyxy[shown], true), iou_threshold)
        tall, tall_boxes = _within(true, heights_px), _within(each.boxes_xyxy[shown], heights_px)
        people[i], found[i] = tall.sum(), tall[taken[taken >= 0]].sum()
        boxes[i], right[i] = tall_boxes.sum(), (tall_boxes & (taken >= 0)).sum()
    wholes = {"recall": people, "precision": boxes}
    shares = ratios({"recall": found, "precision": right}, wholes)
    return Sample(UNIT, len(people), len(people), shares, units_of(wholes)), int(people.sum())


def _within(boxes_xyxy: Boxes, heights_px: tuple[float, float]) -> Bool[np.ndarray, " box"]:
    heights = np.asarray(boxes_xyxy).reshape(-1, 4)[:, 3] - np.asarray(boxes_xyxy).reshape(-1, 4)[:, 1]
    return (heights >= heights_px[0]) & (heights < heights_px[1])


def _right(
    predicted: Sequence[Detections],
    true_boxes: Sequence[Boxes],
    kept: Sequence[Int64[np.ndarray, " _"]],
    iou_thresholds: Float64[np.ndarray, " threshold"],
) -> Bool[np.ndarray, "threshold all_boxes"]:
    """Whether each box of all pictures, those of a picture best score first, is right at each threshold."""
    parts = [np.zeros((len(iou_thresholds), 0), bool)]
    for each, order, true in zip(predicted, kept, true_boxes, strict=True):
        ious = pairwise_iou(each.boxes_xyxy[order], true)
        parts.append(np.stack([matched_people(ious, threshold) >= 0 for threshold in iou_thresholds]))
    return np.concatenate(parts, axis=1)


def _per_picture(
    counted: Bool[np.ndarray, " box"], picture: Int64[np.ndarray, " box"], num_pictures: int
) -> Float64[np.ndarray, " picture"]:
    return np.bincount(picture, counted, minlength=num_pictures).astype(np.float64)  # without boxes it gives integers


def _average_precision(
    right: Bool[np.ndarray, " box"],
    box_weights: Float64[np.ndarray, "repeat box"],
    passed: Float64[np.ndarray, "repeat box"],
    num_people: Float64[np.ndarray, " repeat"],
) -> Float64[np.ndarray, " repeat"]:
    """Average precision of each draw; NaN for one without people."""
    num_right = np.cumsum(box_weights * right, axis=1)
    precision = num_right / np.maximum(passed, 1)
    recall = num_right / np.maximum(num_people, 1)[:, None]
    return np.where(num_people > 0, average_precisions(precision, recall), np.nan)
