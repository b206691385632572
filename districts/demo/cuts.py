"""Pictures cut from the encoded videos, so that they show compression; each video is decoded once."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from districts.demo.ground_truth import GroundTruth
from districts.demo.streets import PICTURE_SIZE
from districts.demo.video import read_frames
from domain.images import crop_boxes, write_image


@dataclass(frozen=True)
class Cut:
    """A picture to write: a whole frame or a part of it."""

    frame: int
    box_xyxy: tuple[float, float, float, float] | None  # None: the whole frame
    files: tuple[str, ...]  # relative to the district's folder


def write_cuts(folder: Path, video: Path, cuts: list[Cut]) -> None:
    """Decode `video` and write all pictures of `cuts` below `folder`."""
    by_frame: dict[int, list[Cut]] = {}
    for cut in cuts:
        by_frame.setdefault(cut.frame, []).append(cut)
    for number, picture in read_frames(video):
        for cut in by_frame.get(number, ()):
            part = picture if cut.box_xyxy is None else crop_boxes(picture, np.array([cut.box_xyxy]))[0]
            for file in cut.files:
                write_image(folder / file, part)


def jittered(box_xyxy: np.ndarray, rng: np.random.Generator, share: float = 0.035) -> tuple[float, float, float, float]:
    """The box with the errors of a detector: each side shifted by a few percent, clipped to the picture."""
    width, height = box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1]
    shift = rng.normal(0, share, 4).clip(-2 * share, 2 * share) * [width, height, width, height]
    left, top, right, bottom = np.clip(box_xyxy + shift, 0, [*PICTURE_SIZE, *PICTURE_SIZE]).tolist()
    return left, top, right, bottom


def evenly_spaced(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of `rows`: the middles of `count` equal parts."""
    if len(rows) <= count:
        return rows
    return rows[((np.arange(count) + 0.5) * len(rows) / count).astype(int)]


def clear_rows(truth: GroundTruth, rows: np.ndarray) -> np.ndarray:
    """The `rows` in which the person is visible and large enough to be described."""
    return rows[(truth.visibilities[rows] >= 0.75) & (truth.heights_px[rows] >= 44)]
