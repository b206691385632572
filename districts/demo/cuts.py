"""Pictures to take out of the finished videos, so that they carry the compression; one decoding of each video."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from districts.demo.ground_truth import GroundTruth
from districts.demo.streets import PICTURE_SIZE
from districts.demo.video import read_frames
from domain.images import crop_boxes, write_image


@dataclass(frozen=True)
class Cut:
    """One picture to write: a part of a frame, or all of it."""

    frame: int
    box_xyxy: tuple[float, float, float, float] | None
    files: tuple[str, ...]  # relative to the district's folder


def write_cuts(folder: Path, video: Path, cuts: list[Cut]) -> None:
    """Decode `video` once and write every picture of `cuts` below `folder`."""
    wanted: dict[int, list[Cut]] = {}
    for cut in cuts:
        wanted.setdefault(cut.frame, []).append(cut)
    for number, picture in read_frames(video):
        for cut in wanted.get(number, ()):
            part = picture if cut.box_xyxy is None else crop_boxes(picture, np.array([cut.box_xyxy]))[0]
            for file in cut.files:
                write_image(folder / file, part)


def jittered(box_xyxy: np.ndarray, rng: np.random.Generator, share: float = 0.035) -> tuple[float, float, float, float]:
    """The box as a detector might give it: each side off by a few percent, inside the picture."""
    width, height = box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1]
    shift = rng.normal(0, share, 4).clip(-2 * share, 2 * share) * [width, height, width, height]
    left, top, right, bottom = np.clip(box_xyxy + shift, 0, [*PICTURE_SIZE, *PICTURE_SIZE]).tolist()
    return left, top, right, bottom


def evenly_spaced(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of `rows`: the middles of so many equal parts."""
    if len(rows) <= count:
        return rows
    return rows[((np.arange(count) + 0.5) * len(rows) / count).astype(int)]


def clear_rows(truth: GroundTruth, rows: np.ndarray) -> np.ndarray:
    """Those of `rows` that show enough of a person to describe them."""
    return rows[(truth.visibilities[rows] >= 0.75) & (truth.heights_px[rows] >= 44)]
