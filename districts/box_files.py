"""Files of boxes in a district's folder: YOLO labels of single frames, and MOTChallenge text of people over time."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from districts.layout import Split, list_pictures
from domain.errors import InputError, shown
from domain.foreign_files import SMALL_BYTES, TABLE_BYTES, read_text
from domain.images import read_image, require_picture
from domain.tracklets import Tracklet

_LARGEST = 2**31


@dataclass(frozen=True)
class LabelledFrame:
    """A picture of the detection set with the boxes of its people."""

    image: Path
    boxes_xyxy: Float32[np.ndarray, "box 4"]  # pixels


@dataclass(frozen=True)
class TrackTable:
    """Boxes over time in one video, as MOTChallenge text stores them; frames count from 1."""

    frames: Int64[np.ndarray, " box"]
    tracks: Int64[np.ndarray, " box"]  # identity in ground truth, tracklet id in results
    boxes_xyxy: Float32[np.ndarray, "box 4"]  # pixels
    confidences: Float32[np.ndarray, " box"]  # 0 in ground truth: the box is not counted


def read_detection_split(folder: Path, split: Split) -> list[LabelledFrame]:
    """Read the labelled frames of `detection/` in name order; a picture without a label file has no people.

    Raises:
        InputError: if there are no pictures, a picture is unreadable or a label line is invalid; names file and line.
    """
    pictures = list_pictures(folder / "detection" / "images" / split)
    return [read_labelled_frame(image, folder / "detection" / "labels" / split) for image in pictures]


def read_labelled_frame(image: Path, labels: Path) -> LabelledFrame:
    """Read a picture's boxes from its YOLO file in the folder `labels`; raises as `read_detection_split` does."""
    file = labels / f"{image.stem}.txt"
    lines = read_text(file, SMALL_BYTES).splitlines() if file.exists() else []
    require_picture(image)
    height, width = read_image(image).shape[:2]
    boxes = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            person, centre_x, centre_y, box_width, box_height = (float(field) for field in fields)
        except ValueError as error:
            raise InputError(f"{file}, line {number}: must be `class x y width height`, got {shown(line)}") from error
        if person != 0 or not all(0 <= value <= 1 for value in (centre_x, centre_y, box_width, box_height)):
            raise InputError(f"{file}, line {number}: class must be 0 and the box within 0..1, got {shown(line)}")
        half = box_width / 2, box_height / 2
        boxes.append([centre_x - half[0], centre_y - half[1], centre_x + half[0], centre_y + half[1]])
    scaled = np.array(boxes, np.float32).reshape(-1, 4) * np.array([width, height, width, height], np.float32)
    return LabelledFrame(image, scaled)


def read_tracks(file: Path) -> TrackTable:
    """Read MOTChallenge text: frame, id, left, top, width, height, confidence, …; an empty file has no boxes.

    Raises:
        InputError: if it is missing or a line has fewer than six numbers; names the line.
    """
    if not file.is_file():
        raise InputError(f"{file} must exist (MOTChallenge text)")
    rows = []
    for number, line in enumerate(read_text(file, TABLE_BYTES).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = [float(value) for value in line.replace(",", " ").split()]
        except ValueError as error:
            raise InputError(f"{file}, line {number}: must be numbers, got {shown(line)}") from error
        if len(values) < 6:
            raise InputError(f"{file}, line {number}: must have at least 6 numbers, got {len(values)}")
        if not all(abs(value) < _LARGEST for value in values[:7]):  # nor is "not a number" below it
            raise InputError(f"{file}, line {number}: must have numbers below {_LARGEST}, got {shown(line)}")
        rows.append([*values[:6], values[6] if len(values) > 6 else 1.0])
    table = np.array(rows, np.float64).reshape(-1, 7)
    corners = np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:6]], axis=1)
    return TrackTable(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        corners.astype(np.float32),
        table[:, 6].astype(np.float32),
    )


def write_tracks(file: Path, table: TrackTable) -> None:
    """Write `table` as MOTChallenge text, ordered by frame and track."""
    order = np.lexsort((table.tracks, table.frames))
    lines = []
    for i in order:
        left, top, right, bottom = table.boxes_xyxy[i]
        box = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
        lines.append(f"{table.frames[i]},{table.tracks[i]},{box},{table.confidences[i]:.4f},-1,-1,-1\n")
    file.write_text("".join(lines))


def track_table(tracklets: Iterable[Tracklet]) -> TrackTable:
    """All boxes of the tracklets of one camera, as `write_tracks` takes them."""
    listed = list(tracklets)
    empty = np.empty(0, np.int64)
    return TrackTable(
        frames=np.concatenate([empty, *(tracklet.frames for tracklet in listed)]),
        tracks=np.concatenate([empty, *(np.full(len(tracklet.frames), tracklet.id) for tracklet in listed)]),
        boxes_xyxy=np.concatenate([np.empty((0, 4), np.float32), *(tracklet.boxes_xyxy for tracklet in listed)]),
        confidences=np.concatenate([np.empty(0, np.float32), *(tracklet.scores for tracklet in listed)]),
    )
