"""Detection scores against pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from domain.boxes import Detections
from evaluation.detection import precision_recall_curve, score_detections


def random_pictures(seed: int, pictures: int = 12) -> tuple[list[Detections], list[np.ndarray]]:
    """People, and boxes that are near them, twice on them, or nowhere."""
    rng = np.random.default_rng(seed)
    predicted, truth = [], []
    for _ in range(pictures):
        count = rng.integers(0, 6)
        corner = rng.uniform(0, 300, (count, 2))
        people = np.concatenate([corner, corner + rng.uniform(40, 120, (count, 2))], axis=1).astype(np.float32)
        near = np.repeat(people, 2, axis=0) + rng.uniform(-12, 12, (2 * count, 4))
        stray = rng.uniform(0, 300, (3, 2))
        boxes = np.concatenate([near, np.concatenate([stray, stray + 50], axis=1)]).astype(np.float32)
        scores = rng.permutation(len(boxes)) / len(boxes) + rng.random() * 1e-3
        predicted.append(Detections(boxes, scores.astype(np.float32), np.zeros(len(boxes), np.int64)))
        truth.append(people)
    return predicted, truth


def coco_summary(predicted: list[Detections], truth: list[np.ndarray]) -> np.ndarray:
    """pycocotools' twelve figures: AP, AP50, AP75, …, AR at 1, 10, 100 …"""

    def as_xywh(box: np.ndarray) -> list[float]:
        return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]

    people = [
        {"image_id": image, "bbox": as_xywh(box), "area": as_xywh(box)[2] * as_xywh(box)[3]}
        for image, boxes in enumerate(truth)
        for box in boxes
    ]
    people = [person | {"id": number, "category_id": 1, "iscrowd": 0} for number, person in enumerate(people, start=1)]
    found = [
        {"image_id": image, "category_id": 1, "bbox": as_xywh(box), "score": float(score)}
        for image, each in enumerate(predicted)
        for box, score in zip(each.boxes_xyxy, each.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image} for image in range(len(truth))],
            "annotations": people,
            "categories": [{"id": 1}],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_pycocotools(seed: int) -> None:
    predicted, truth = random_pictures(seed)
    expected = coco_summary(predicted, truth)
    scores = score_detections(predicted, truth)
    np.testing.assert_allclose(
        [scores.ap50_95, scores.ap50, scores.ap75, scores.ar100], expected[[0, 1, 2, 8]], atol=1e-6
    )
    assert precision_recall_curve(predicted, truth).average_precision == pytest.approx(expected[1], abs=1e-6)
    assert precision_recall_curve(predicted, truth, 0.75).average_precision == pytest.approx(expected[2], abs=1e-6)


def test_the_comparison_would_notice_reversed_scores() -> None:
    predicted, truth = random_pictures(0)
    expected = coco_summary(predicted, truth)[1]
    reversed_scores = [Detections(each.boxes_xyxy, 1 - each.scores, each.classes) for each in predicted]
    assert precision_recall_curve(reversed_scores, truth).average_precision != pytest.approx(expected, abs=1e-3)
