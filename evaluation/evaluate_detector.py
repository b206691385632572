"""DVC stage `evaluate_detector`: predictions of the detector and labelled frames -> metrics, plots."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from districts.box_files import read_detection_split
from domain.atomic import atomic_folder
from domain.boxes import Detections
from domain.model_card import read_card
from domain.paths import DATA, ENGINES, PLOTS, PREDICTIONS, configured_district
from domain.predictions import DetectorPredictions
from domain.stage import run_stage
from evaluation.detection import PrecisionRecallCurve, precision_recall_curve, score_detections
from evaluation.experiments.results import keep_results, require_same_images
from evaluation.reporting.figures import plot_precision_recall
from evaluation.settings import EvaluationSettings

_MODEL = "detector"


def main(argv: Sequence[str] = ()) -> None:
    """Score the exported detector on the test split."""
    settings = EvaluationSettings.from_params("evaluation", argv)
    district = configured_district(argv)
    card, folder = read_card(ENGINES.of(district) / _MODEL), PREDICTIONS.of(district) / _MODEL
    frames = read_detection_split(DATA.of(district), "test")
    predictions = DetectorPredictions.read(folder / "test.npz")
    require_same_images(predictions.images.tolist(), [frame.image.name for frame in frames], folder)
    predicted, true_boxes = by_picture(predictions), [frame.boxes_xyxy for frame in frames]
    curve = precision_recall_curve(predicted, true_boxes, settings.iou_threshold)
    metrics = asdict(score_detections(predicted, true_boxes)) | operating_points(curve, card.score_threshold)
    with atomic_folder(PLOTS.of(district) / _MODEL) as plots:
        plot_precision_recall(curve, card.score_threshold, plots / "precision_recall.png")
    keep_results(district, _MODEL, card, metrics | {"num_images": len(frames), "num_people": curve.num_people})


def by_picture(predictions: DetectorPredictions) -> list[Detections]:
    """The detections of each picture."""
    return [
        Detections(
            predictions.boxes_xyxy[predictions.image_index == picture],
            predictions.scores[predictions.image_index == picture],
            np.zeros(int((predictions.image_index == picture).sum()), np.int64),
        )
        for picture in range(len(predictions.images))
    ]


def operating_points(curve: PrecisionRecallCurve, threshold: float | None) -> dict[str, Any]:
    """Precision, recall and F1 at the score threshold in use; the best F1 and its threshold."""
    points: dict[str, Any] = {}
    if len(curve.scores):
        points |= {"best_f1": float(curve.f1[curve.best]), "best_f1_threshold": float(curve.scores[curve.best])}
    if threshold is not None:
        num_boxes = int((curve.scores >= threshold).sum())
        precision, recall, f1 = (
            float(values[num_boxes - 1]) if num_boxes else 0.0 for values in (curve.precision, curve.recall, curve.f1)
        )
        points |= {"score_threshold": threshold, "precision": precision, "recall": recall, "f1": f1}
    return points


if __name__ == "__main__":
    run_stage(main)
