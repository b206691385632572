"""How well people are found: COCO's average precision, and the precision-recall curve at one overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.boxes import Detections, pairwise_iou
from domain.errors import InputError

MAX_DETECTIONS = 100  # of one picture, as COCO counts
_RECALL_POINTS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class DetectionScores:
    """COCO's summary for one class; fractions in 0..1."""

    ap50: float  # average precision at IoU 0.5
    ap75: float
    ap50_95: float  # mean over IoU 0.5, 0.55 … 0.95
    ar100: float  # mean recall over the same, at most 100 boxes a picture


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision and recall if only boxes from each score on are kept; scores fall along the curve."""

    scores: np.ndarray  # float32 [box]
    precision: np.ndarray  # float64 [box]
    recall: np.ndarray  # float64 [box]
    num_people: int

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall, `[box]`."""
        return 2 * self.precision * self.recall / np.maximum(self.precision + self.recall, 1e-12)

    @property
    def best(self) -> int:
        """Place on the curve where F1 is best.

        Raises:
            InputError: if there are no boxes.
        """
        if not len(self.scores):
            raise InputError("a precision-recall curve must have boxes to choose a threshold from, got none")
        return int(self.f1.argmax())

    @property
    def average_precision(self) -> float:
        """Mean precision at 101 recalls, where precision is the best at that recall or beyond; as COCO."""
        envelope = np.maximum.accumulate(self.precision[::-1])[::-1]
        places = np.searchsorted(self.recall, _RECALL_POINTS, side="left")
        return float(np.append(envelope, 0)[np.minimum(places, len(envelope))].mean())


def score_detections(predicted: Sequence[Detections], true_boxes: Sequence[np.ndarray]) -> DetectionScores:
    """COCO scores over pictures, by torchmetrics.

    Args:
        predicted: one a picture; classes are not looked at, every box says "person".
        true_boxes: `[box, 4]` a picture, xyxy in pixels.

    Raises:
        InputError: if there are not as many predictions as pictures, or nobody is in any.
    """
    import torch  # here, for only this function needs it, and importing it takes seconds
    from torchmetrics.detection import MeanAveragePrecision

    _check(predicted, true_boxes)
    metric = MeanAveragePrecision(
        backend="faster_coco_eval",
        rec_thresholds=_RECALL_POINTS.tolist(),  # its own are in single precision, which moves some by one box
        max_detection_thresholds=[1, 10, MAX_DETECTIONS],
    )

    def labelled(boxes: np.ndarray) -> dict[str, torch.Tensor]:
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
    predicted: Sequence[Detections], true_boxes: Sequence[np.ndarray], iou_threshold: float = 0.5
) -> PrecisionRecallCurve:
    """Precision and recall over all scores, with COCO's matching: the best box first takes the person it covers best.

    Args:
        predicted: one a picture.
        true_boxes: `[box, 4]` a picture, xyxy in pixels.
        iou_threshold: overlap from which a box may be right.

    Raises:
        InputError: if there are not as many predictions as pictures, or nobody is in any.
    """
    num_people = _check(predicted, true_boxes)
    scores, right = [], []
    for detections, boxes in zip(predicted, true_boxes, strict=True):
        order = np.argsort(-detections.scores, kind="stable")[:MAX_DETECTIONS]
        scores.append(detections.scores[order])
        right.append(_match(pairwise_iou(detections.boxes_xyxy[order], boxes), iou_threshold))
    all_scores, all_right = np.concatenate(scores), np.concatenate(right)
    order = np.argsort(-all_scores, kind="stable")
    num_right = np.cumsum(all_right[order])
    return PrecisionRecallCurve(
        scores=all_scores[order],
        precision=num_right / np.arange(1, len(order) + 1),
        recall=num_right / num_people,
        num_people=num_people,
    )


def _match(ious: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Whether each box `[box, person]`, best score first, finds a person that is still free."""
    free = np.ones(ious.shape[1], bool)
    right = np.zeros(len(ious), bool)
    for box, overlaps in enumerate(ious):
        possible = np.flatnonzero(free & (overlaps >= iou_threshold))
        if len(possible):
            free[possible[overlaps[possible].argmax()]] = False
            right[box] = True
    return right


def _check(predicted: Sequence[Detections], true_boxes: Sequence[np.ndarray]) -> int:
    """How many people there are."""
    if len(predicted) != len(true_boxes):
        raise InputError(f"each picture must have one prediction, got {len(predicted)} for {len(true_boxes)} pictures")
    num_people = sum(len(boxes) for boxes in true_boxes)
    if not num_people:
        raise InputError(f"somebody must be in the pictures, got nobody in {len(true_boxes)}")
    return num_people
