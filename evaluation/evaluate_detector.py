"""DVC stage `evaluate_detector`: predictions of the detector and labelled frames -> metrics, plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from districts.box_files import LabelledFrame, read_detection_split
from districts.layout import read_district
from domain.atomic import atomic_folder
from domain.boxes import Detections
from domain.model_card import read_card
from domain.paths import DATA, PLOTS, PREDICTIONS, configured_district
from domain.predictions import DetectorPredictions
from domain.stage import run_stage
from evaluation.details import write_curve, write_details
from evaluation.detection import Boxes, PrecisionRecallCurve, precision_recall_curve
from evaluation.experiments.results import keep_results, require_same_images
from evaluation.intervals.bootstrap import Sample, resample
from evaluation.intervals.of_detection import HEIGHTS_PX, detection_sample, height_sample
from evaluation.mistakes import surest_wrong_boxes, tallest_missed_people
from evaluation.past import digest_of, keep_run
from evaluation.reporting.box_figures import BoxedPicture, plot_boxes
from evaluation.reporting.figures import plot_precision_recall
from evaluation.settings import EvaluationSettings
from evaluation.slices import Slicing, by_camera, by_light_and_height, camera_in_name, height_title, score_slices
from evaluation.thresholds import score_thresholds

SLICED = ("ap50", "precision", "recall")
_MISTAKES = 12  # pictures of each kind
_MODEL = "detector"


def main(argv: Sequence[str] = ()) -> None:
    """Score the exported detector on the test split."""
    settings = EvaluationSettings.from_params("evaluation", argv)
    district = configured_district(argv)
    folder = PREDICTIONS.of(district) / _MODEL
    card = read_card(folder)
    frames = read_detection_split(DATA.of(district), "test")
    predictions = DetectorPredictions.read(folder / "test.npz")
    require_same_images(predictions.images.tolist(), [frame.image.name for frame in frames], folder)
    predicted, true_boxes = by_picture(predictions), [frame.boxes_xyxy for frame in frames]
    curve = precision_recall_curve(predicted, true_boxes, settings.iou_threshold)
    test = _Test(frames, predicted, true_boxes, card.score_threshold, settings)
    resampled = resample(test.sample(), settings.bootstrap_repeats)
    digest = digest_of([frame.image.name for frame in frames], *true_boxes)
    details = {
        "run": keep_run(district, _MODEL, card, digest, resampled),
        "unit": resampled.unit,
        "num_units": resampled.num_units,
        "slices": test.slices([camera.id for camera in read_district(DATA.of(district)).cameras]),
        "thresholds": score_thresholds(curve, card.score_threshold, len(frames)),
    }
    with atomic_folder(PLOTS.of(district) / _MODEL) as plots:
        plot_precision_recall(curve, card.score_threshold, plots / "precision_recall.png")
        columns = {"recall": curve.recall, "precision": curve.precision, "score": curve.scores}
        write_curve(columns, plots / "precision_recall.csv")
        test.draw_mistakes(plots)
        write_details(details, plots)
    metrics = resampled.flat() | operating_points(curve, card.score_threshold)
    keep_results(district, _MODEL, card, metrics | {"num_images": len(frames), "num_people": curve.num_people})


@dataclass(frozen=True)
class _Test:
    """The test frames with the detections in each."""

    frames: Sequence[LabelledFrame]
    predicted: Sequence[Detections]
    true_boxes: Sequence[Boxes]
    score_threshold: float | None  # in use
    settings: EvaluationSettings

    def sample(self, chosen: Bool[np.ndarray, " picture"] | None = None) -> Sample:
        """The sample of all or of chosen frames."""
        places = range(len(self.frames)) if chosen is None else np.flatnonzero(chosen).tolist()
        predicted, true_boxes = [self.predicted[i] for i in places], [self.true_boxes[i] for i in places]
        return detection_sample(predicted, true_boxes, self.score_threshold, self.settings.iou_threshold)

    def slices(self, cameras: Sequence[str]) -> list[dict[str, Any]]:
        """Figures of each camera, of dark and bright frames, and of people of some height."""
        slicings = frame_slicings(self.frames, cameras)
        scored = score_slices(slicings, self.sample, SLICED, self.settings.bootstrap_repeats)
        return scored if self.score_threshold is None else [*scored, self._heights(self.score_threshold)]

    def _heights(self, score_threshold: float) -> dict[str, Any]:
        parts = {}
        for low, high in pairwise(HEIGHTS_PX):
            of_height = self.predicted, self.true_boxes, score_threshold, self.settings.iou_threshold
            sample, num_people = height_sample(*of_height, (low, high))
            if num_people:
                flat = resample(sample, self.settings.bootstrap_repeats).flat()
                parts[height_title(low, high)] = {"num_items": num_people} | flat
        note = "Recall of the people and precision of the boxes of a height in the picture, at the threshold in use."
        return {"by": "height of the person", "items": "people", "note": note, "parts": parts}

    def draw_mistakes(self, plots: Path) -> None:
        """Plot the surest wrong boxes and the tallest missed people, where there are any."""
        least_iou, count = self.settings.iou_threshold, _MISTAKES
        wrong = surest_wrong_boxes(self.predicted, self.true_boxes, least_iou, count)
        boxed = [
            BoxedPicture(self.frames[each.picture].image, each.box_xyxy, f"score {each.score:.2f}, IoU {each.iou:.2f}")
            for each in wrong
        ]
        if boxed:
            plot_boxes(boxed, plots / "wrong_boxes.jpg")
        if self.score_threshold is None:
            return
        missed = tallest_missed_people(self.predicted, self.true_boxes, self.score_threshold, least_iou, count)
        boxed = [
            BoxedPicture(
                self.frames[each.picture].image,
                each.box_xyxy,
                f"{each.box_xyxy[3] - each.box_xyxy[1]:.0f} px, best IoU {each.iou:.2f}",
            )
            for each in missed
        ]
        if boxed:
            plot_boxes(boxed, plots / "missed_people.jpg")


def frame_slicings(frames: Sequence[LabelledFrame], cameras: Sequence[str]) -> list[Slicing]:
    """Frames by their camera, one of `cameras`, and by their light."""
    files = [frame.image for frame in frames]
    named = [camera_in_name(file.name, cameras) for file in files]
    note = "A frame's camera is the one that its file name begins with."
    return [by_camera(named, note), *by_light_and_height(files, heights=False)]


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
