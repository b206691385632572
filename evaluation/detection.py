"""Detection scores: COCO's average precision, and the precision-recall curve at one IoU threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from domain.boxes import Detections, pairwise_iou
from domain.compiled import compiled
from domain.errors import InputError

MAX_DETECTIONS = 100  # in one picture, as in COCO
_RECALL_POINTS = np.linspace(0, 1, 101)

Boxes = Float[np.ndarray, "_ 4"]  # xyxy in pixels of one picture


@dataclass(frozen=True)
class DetectionScores:
    """COCO's summary for one class; fractions in 0..1."""

    ap50: float  # average precision at IoU 0.5
    ap75: float
    ap50_95: float  # mean over IoU 0.5, 0.55 … 0.95
    ar100: float  # mean recall over the same thresholds, with at most 100 boxes a picture


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision and recall of the boxes with at least each score; scores fall along the curve."""

    scores: Float32[np.ndarray, " box"]
    precision: Float64[np.ndarray, " box"]
    recall: Float64[np.ndarray, " box"]
    num_people: int

    @property
    def f1(self) -> Float64[np.ndarray, " box"]:
        """Harmonic mean of precision and recall."""
        return 2 * self.precision * self.recall / np.maximum(self.precision + self.recall, 1e-12)

    @property
    def best(self) -> int:
        """Index of the box with the best F1.

        Raises:
            InputError: if there are no boxes.
        """
        if not len(self.scores):
            raise InputError("a precision-recall curve must have boxes to choose a threshold from, got none")
        return int(self.f1.argmax())

    @property
    def average_precision(self) -> float:
        """COCO's definition, see `average_precisions`."""
        return float(average_precisions(self.precision[None], self.recall[None])[0])


def average_precisions(
    precision: Float64[np.ndarray, "curve box"], recall: Float64[np.ndarray, "curve box"]
) -> Float64[np.ndarray, " curve"]:
    """COCO's average precision: mean over 101 recalls of the best precision at that recall or a higher one.

    Args:
        precision: of the boxes with at least each score, best score first.
        recall: of the same boxes.
    """
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    envelope = np.append(envelope, np.zeros((len(envelope), 1)), axis=1)  # beyond the last recall
    places = np.stack([np.searchsorted(each, _RECALL_POINTS, side="left") for each in recall])
    return np.take_along_axis(envelope, places, axis=1).mean(axis=1)


def score_detections(predicted: Sequence[Detections], true_boxes: Sequence[Boxes]) -> DetectionScores:
    """COCO scores over pictures, by torchmetrics.

    Args:
        predicted: detections in each picture; all classes count as "person".
        true_boxes: boxes of people in each picture.

    Raises:
        InputError: if the numbers of pictures differ, or no picture has a person.
    """
    import torch  # here, as its import takes seconds and no other function needs it
    from torchmetrics.detection import MeanAveragePrecision

    _check(predicted, true_boxes)
    metric = MeanAveragePrecision(
        backend="faster_coco_eval",
        rec_thresholds=_RECALL_POINTS.tolist(),  # the default, in single precision, moves some by one box
        max_detection_thresholds=[1, 10, MAX_DETECTIONS],
    )

    def labelled(boxes: Boxes) -> dict[str, torch.Tensor]:
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        return {"boxes": torch.from_numpy(boxes), "labels": torch.zeros(len(boxes), dtype=torch.int64)}

    metric.update(
        [labelled(each.boxes_xyxy) | {"scores": torch.from_numpy(np.float32(each.scores))} for each in predicted],
        [labelled(boxes) for boxes in true_boxes],
    )
    summary = metric.compute()
    ap50, ap75, ap50_95, ar100 = (
        max(float(summary[name]), 0.0) for name in ("map_50", "map_75", "map", f"mar_{MAX_DETECTIONS}")
    )
    return DetectionScores(ap50, ap75, ap50_95, ar100)


def precision_recall_curve(
    predicted: Sequence[Detections], true_boxes: Sequence[Boxes], iou_threshold: float = 0.5
) -> PrecisionRecallCurve:
    """Precision and recall over all scores, with COCO's matching: boxes, best score first, take their best free person.

    Args:
        predicted: detections in each picture.
        true_boxes: boxes of people in each picture.
        iou_threshold: minimum IoU of a correct box.

    Raises:
        InputError: if the numbers of pictures differ, or no picture has a person.
    """
    num_people = _check(predicted, true_boxes)
    scores, right = [], []
    for detections, boxes in zip(predicted, true_boxes, strict=True):
        order = best_first(detections)
        scores.append(detections.scores[order])
        right.append(matched_people(pairwise_iou(detections.boxes_xyxy[order], boxes), iou_threshold) >= 0)
    all_scores, all_right = np.concatenate(scores), np.concatenate(right)
    order = np.argsort(-all_scores, kind="stable")
    num_right = np.cumsum(all_right[order])
    return PrecisionRecallCurve(
        scores=all_scores[order],
        precision=num_right / np.arange(1, len(order) + 1),
        recall=num_right / num_people,
        num_people=num_people,
    )


def best_first(detections: Detections) -> Int64[np.ndarray, " box"]:
    """Indices of the boxes of a picture that count, best score first."""
    return np.argsort(-detections.scores, kind="stable")[:MAX_DETECTIONS]


@compiled()
def matched_people(ious: Float32[np.ndarray, "box person"], iou_threshold: float) -> Int64[np.ndarray, " box"]:
    """The person that each box takes, as in COCO: the free one that it overlaps best; -1 for a box without one.

    Args:
        ious: of the boxes of a picture, best score first, with its people.
        iou_threshold: minimum IoU of a correct box.
    """
    taken_by = np.full(len(ious), -1, np.int64)
    free = np.ones(ious.shape[1], np.bool_)
    for box in range(len(ious)):
        for person in range(ious.shape[1]):
            best = taken_by[box]
            if (
                free[person]
                and ious[box, person] >= iou_threshold
                and (best < 0 or ious[box, person] > ious[box, best])
            ):
                taken_by[box] = person
        if taken_by[box] >= 0:
            free[taken_by[box]] = False
    return taken_by


def _check(predicted: Sequence[Detections], true_boxes: Sequence[Boxes]) -> int:
    """The number of people."""
    if len(predicted) != len(true_boxes):
        raise InputError(f"each picture must have one prediction, got {len(predicted)} for {len(true_boxes)} pictures")
    num_people = sum(len(boxes) for boxes in true_boxes)
    if not num_people:
        raise InputError(f"at least one picture must have a person, got none in {len(true_boxes)} pictures")
    return num_people
