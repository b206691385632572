"""Two detectors on the frames of the test split."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from districts.box_files import LabelledFrame, read_detection_split
from districts.layout import read_district
from domain.boxes import Detections, pairwise_iou
from domain.predictions import DetectorPredictions
from evaluation.comparison.changes import changes, part_changes
from evaluation.comparison.compared import Compared, Test
from evaluation.comparison.sides import Side
from evaluation.detection import Boxes, best_first, matched_people
from evaluation.evaluate_detector import SLICED, by_picture, frame_slicings
from evaluation.experiments.results import require_same_images
from evaluation.intervals.bootstrap import Sample
from evaluation.intervals.of_detection import UNIT, detection_sample
from evaluation.past import digest_of
from evaluation.reporting.box_figures import BoxedPicture, plot_boxes
from evaluation.reporting.parts import Picture

_SHOWN = 12
_NOTE = (
    "Labels of frames do not say gender or age, so no group of people is compared. A detector's scores are no "
    "probabilities, so their calibration is not compared: precision and recall are at each detector's own threshold."
)


def compare_detectors(challenger: Side, champion: Side, test: Test) -> Compared:
    """The changes of all figures of detection.

    Raises:
        ArtifactError: if predictions are of other pictures than those of the district.
    """
    frames = read_detection_split(test.data, "test")
    names, true_boxes = [frame.image.name for frame in frames], [frame.boxes_xyxy for frame in frames]
    sides = challenger, champion
    predicted = [_predicted(side, names) for side in sides]

    def samples(chosen: Bool[np.ndarray, " picture"]) -> tuple[Sample, Sample]:
        places = np.flatnonzero(chosen).tolist()
        first, second = (
            detection_sample(
                [boxes[i] for i in places],
                [true_boxes[i] for i in places],
                side.card.score_threshold,
                test.settings.iou_threshold,
            )
            for side, boxes in zip(sides, predicted, strict=True)
        )
        return first, second

    repeats = test.settings.bootstrap_repeats
    slicings = frame_slicings(frames, [camera.id for camera in read_district(test.data).cameras])
    ours, theirs = (
        [
            _found(*pair, side.card.score_threshold, test.settings.iou_threshold)
            for pair in zip(each, true_boxes, strict=True)
        ]
        for side, each in zip(sides, predicted, strict=True)
    )
    return Compared(
        challenger,
        champion,
        digest_of(names, *true_boxes),
        UNIT,
        len(frames),
        changes(*samples(np.ones(len(frames), bool)), repeats),
        part_changes(slicings, samples, SLICED, repeats),
        [],
        (*_picture("better", frames, ours, theirs, test), *_picture("worse", frames, theirs, ours, test)),
        (_NOTE,),
    )


def _predicted(side: Side, names: Sequence[str]) -> list[Detections]:
    predictions = DetectorPredictions.read(side.predictions / "test.npz")
    require_same_images(predictions.images.tolist(), list(names), side.predictions)
    return by_picture(predictions)


def _found(
    predicted: Detections, true_boxes: Boxes, score_threshold: float | None, iou_threshold: float
) -> Int64[np.ndarray, " found"]:
    """The people who have a box of at least the score threshold."""
    shown = best_first(predicted)
    shown = shown[predicted.scores[shown] >= (score_threshold or 0.0)]
    taken = matched_people(pairwise_iou(predicted.boxes_xyxy[shown], true_boxes), iou_threshold)
    return taken[taken >= 0]


def _picture(
    name: str,
    frames: Sequence[LabelledFrame],
    found: Sequence[Int64[np.ndarray, " _"]],
    found_by_other: Sequence[Int64[np.ndarray, " _"]],
    test: Test,
) -> tuple[Picture, ...]:
    """The people whom one model finds and the other misses, the tallest of each frame; none without such people."""
    boxed = []
    for frame, gained in zip(frames, map(np.setdiff1d, found, found_by_other), strict=True):
        if len(gained):
            heights = frame.boxes_xyxy[gained, 3] - frame.boxes_xyxy[gained, 1]
            box = np.asarray(frame.boxes_xyxy[gained[heights.argmax()]], np.float32)
            boxed.append((heights.max(), BoxedPicture(frame.image, box, f"{heights.max():.0f} px")))
    if not boxed:
        return ()
    tallest = [picture for _, picture in sorted(boxed, key=lambda pair: -pair[0])[:_SHOWN]]
    plot_boxes(tallest, test.plots / f"{name}.jpg")
    who = ("challenger", "champion") if name == "better" else ("champion", "challenger")
    caption = f"People whom the {who[0]} finds and the {who[1]} misses, the tallest of each frame, with their heights"
    return (Picture(test.plots / f"{name}.jpg", caption),)
