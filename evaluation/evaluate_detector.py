"""DVC stage `evaluate_detector`: predictions of the detector and labelled frames -> metrics, plots."""

from collections.abc import Sequence

import numpy as np

from districts.box_files import read_detection_split
from domain.atomic import atomic_folder
from domain.boxes import Detections
from domain.model_card import read_card
from domain.paths import DATA, ENGINES, PLOTS, PREDICTIONS, configured_district
from domain.predictions import DetectorPredictions
from domain.stage import run_stage
from evaluation.detection import PrecisionRecallCurve, precision_recall_curve
from evaluation.experiments.results import keep_results, require_same_images
from evaluation.intervals.bootstrap import resample
from evaluation.intervals.of_detection import detection_sample
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
    sample = detection_sample(predicted, true_boxes, card.score_threshold, settings.iou_threshold)
    metrics = resample(sample, settings.bootstrap_repeats).flat() | operating_points(curve, card.score_threshold)
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


def operating_points(curve: PrecisionRecallCurve, threshold: float | None) -> dict[str, float]:
    """The score threshold in use; the best F1 and its threshold."""
    points = {} if threshold is None else {"score_threshold": threshold}
    if len(curve.scores):
        points |= {"best_f1": float(curve.f1[curve.best]), "best_f1_threshold": float(curve.scores[curve.best])}
    return points


if __name__ == "__main__":
    run_stage(main)
