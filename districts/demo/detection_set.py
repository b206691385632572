"""Detection set of the demo district: frames of every camera, a few of them without people."""

from pathlib import Path

import numpy as np

from districts.demo.cuts import Cut
from districts.demo.ground_truth import GroundTruth
from districts.demo.streets import PICTURE_SIZE
from districts.layout import Split

_MIN_VISIBILITY, _MIN_HEIGHT_PX = 0.25, 24.0
_EMPTY_SHARE = 0.05


def choose_frames(truth: GroundTruth, num_frames: int, last_frame: int, rng: np.random.Generator) -> list[int]:
    """Frames spread over one video, most of them with people; fewer than `num_frames` if the video has fewer."""
    peopled = np.unique(truth.frames[_labelled(truth)])
    empty = np.setdiff1d(np.arange(1, last_frame + 1), truth.frames)
    num_empty = min(round(_EMPTY_SHARE * num_frames), len(empty))
    num_peopled = min(num_frames - num_empty, len(peopled))
    chosen = [rng.choice(part) for part in np.array_split(peopled, num_peopled) if len(part)] if num_peopled else []
    return sorted(int(frame) for frame in [*chosen, *rng.choice(empty, num_empty, replace=False)])


def cut_detection(folder: Path, split: Split, camera: str, truth: GroundTruth, frames: list[int]) -> list[Cut]:
    """Write the label files of `frames` and return the pictures to cut."""
    labels = folder / "detection" / "labels" / split
    labels.mkdir(parents=True, exist_ok=True)
    cuts = []
    for frame in frames:
        name = f"{camera}_{frame:06d}"
        boxes = truth.boxes_xyxy[_labelled(truth) & (truth.frames == frame)]
        (labels / f"{name}.txt").write_text("".join(_yolo_line(box) for box in boxes))
        cuts.append(Cut(frame, None, (f"detection/images/{split}/{name}.jpg",)))
    return cuts


def _labelled(truth: GroundTruth) -> np.ndarray:
    return (truth.visibilities >= _MIN_VISIBILITY) & (truth.heights_px >= _MIN_HEIGHT_PX)


def _yolo_line(box_xyxy: np.ndarray) -> str:
    left, top, right, bottom = box_xyxy / [*PICTURE_SIZE, *PICTURE_SIZE]
    return f"0 {(left + right) / 2:.6f} {(top + bottom) / 2:.6f} {right - left:.6f} {bottom - top:.6f}\n"
