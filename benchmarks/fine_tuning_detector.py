"""What training on a district's own pictures adds to official Darknet weights: AP before and after, as JSON.

    python -m benchmarks.fine_tuning_detector DATA --cfg CFG --weights WEIGHTS [detector.lr=0.001 …]

DATA holds `images/{train,val}` and `labels/{train,val}`. The stage `train_detector` runs as it is, with the settings
below and those that follow, in a folder of its own. Before, the official network's class `person` is scored; after,
the network that the stage wrote. Both on the pictures of `val`, letterboxed to the same size; intervals are of draws of
pictures, paired.
"""

import argparse
import json
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path
from time import perf_counter

from conf.compose import compose
from districts.box_files import LabelledFrame, read_labelled_frame
from domain.boxes import Detections
from domain.cores import machine
from domain.paths import DATA, MODELS
from domain.settings import PARAMS
from evaluation.comparison.changes import changes
from evaluation.intervals.bootstrap import Sample, resample
from evaluation.intervals.of_detection import detection_sample
from training.detector import train
from training.detector.darknet import load_weights
from training.detector.network import DarknetNetwork, build_yolov4, load_detector
from training.detector.operating_point import detect

_PERSON = 0
_CORRECT_IOU = 0.5
_REPEATS, _FIGURES = 1000, ("ap50", "ap50_95")
_DISTRICT = "pictures"
_SETTINGS = (
    "detector.anchors=cfg",
    "detector.iou_normalizer=null",
    "detector.weights_class=0",
    "detector.max_epochs=20",
    "detector.batch=8",
    "detector.hardware.accumulate_batches=1",
    "detector.optimizer=sgd",
    "detector.lr=0.001",
    "detector.momentum=0.9",
    "detector.warmup_fraction=0.05",
    "detector.mosaic_off_epochs=5",
    "detector.nms=iou",
)


def sample_of(network: DarknetNetwork, frames: list[LabelledFrame]) -> Sample:
    """Scores of the class `person`."""
    found = [_people(each) for each in detect(network, frames, iou_threshold=_CORRECT_IOU, nms="iou")]
    return detection_sample(found, [frame.boxes_xyxy for frame in frames], None, _CORRECT_IOU)


def figures(before: Sample, after: Sample) -> dict[str, dict[str, list[float | None]]]:
    """AP50 and AP50-95 of both and of their difference, each with the bounds of its interval."""
    results = {"before": resample(before, _REPEATS).estimates(), "after": resample(after, _REPEATS).estimates()}
    results["after_above_before"] = {name: each.change for name, each in changes(after, before, _REPEATS).items()}
    return {
        name: {figure: [found[figure].value, found[figure].low, found[figure].high] for figure in _FIGURES}
        for name, found in results.items()
    }


def _people(found: Detections) -> Detections:
    chosen = found.classes == _PERSON
    return Detections(found.boxes_xyxy[chosen], found.scores[chosen], found.classes[chosen])


def main() -> None:
    """Print one JSON document; what the training prints goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cfg", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", type=int, default=416, help="height and width of the network's input")
    parser.add_argument("settings", nargs="*", help="of the stage, such as detector.max_epochs=10")
    options = parser.parse_intermixed_args()
    data, cfg, weights = options.data.resolve(), options.cfg.resolve(), options.weights.resolve()
    frames = [
        read_labelled_frame(image, data / "labels" / "val") for image in sorted((data / "images" / "val").iterdir())
    ]
    official = DarknetNetwork(build_yolov4(cfg).definition.with_input_size(options.size, options.size)).eval()
    load_weights(official, weights)
    before = sample_of(official, frames)
    size = [f"detector.input_{side}_px={options.size}" for side in ("height", "width")]
    settings = [*_SETTINGS, *size, *options.settings]
    with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(sys.stderr):
        compose([], PARAMS)
        detection = DATA.of(_DISTRICT) / "detection"
        detection.mkdir(parents=True)
        for name in ("images", "labels"):
            (detection / name).symlink_to(data / name)
        start = perf_counter()
        train.main([f"district.name={_DISTRICT}", f"detector.weights={weights}", *settings])
        seconds = perf_counter() - start
        after = sample_of(load_detector(MODELS.of(_DISTRICT) / train.MODEL), frames)
    metadata = {"machine": machine(), "settings": settings, "num_val_images": len(frames), "training_s": seconds}
    json.dump({"metadata": metadata, "results": figures(before, after)}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
