"""Files of boxes in a district's folder: YOLO labels of single frames, and MOTChallenge text of people over time."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from districts.layout import Split, list_pictures
from domain.errors import InputError, shown
from domain.foreign_files import SMALL_BYTES, TABLE_BYTES, read_text
from domain.images import read_image, require_picture
from domain.tracklets import Tracklet

_LARGEST = 2**31
_ROUNDING = 1e-3  # converters write 1.0000001 for the edge of a picture
_PERSON_CLASS = 1  # of MOTChallenge, and of CVAT if the label comes first
PEOPLE = {"person", "persons", "people", "pedestrian", "pedestrians", "human", "사람", "보행자"}  # case-folded
YoloBox = tuple[float, float, float, float]  # centre, width and height as fractions of the picture


@dataclass(frozen=True)
class LabelledFrame:
    """A picture of the detection set with the boxes of its people."""

    image: Path
    boxes_xyxy: Float32[np.ndarray, "box 4"]  # pixels
    size: tuple[int, int]  # height and width of the picture in pixels


@dataclass(frozen=True)
class TrackTable:
    """Boxes over time in one video, as MOTChallenge text stores them; frames count from 1."""

    frames: Int64[np.ndarray, " box"]
    tracks: Int64[np.ndarray, " box"]  # identity in ground truth, tracklet id in results
    boxes_xyxy: Float32[np.ndarray, "box 4"]  # pixels
    confidences: Float32[np.ndarray, " box"]

    @property
    def is_counted(self) -> Bool[np.ndarray, " box"]:
        """Boxes of the ground truth that count: 0 means that a box is ignored, any other confidence nothing."""
        return self.confidences != 0


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
    boxes, wrong = parse_labels(file) if file.exists() else ({}, {})
    for line, message in wrong.items():
        raise InputError(f"{file}, line {line}: {message}")
    require_picture(image)
    height, width = read_image(image).shape[:2]
    return LabelledFrame(image, in_pixels(boxes.values(), height, width), (height, width))


def parse_labels(file: Path) -> tuple[dict[int, YoloBox], dict[int, str]]:
    """The boxes of a YOLO file by line, and what is wrong with its other lines; raises as `read_text` does."""
    boxes: dict[int, YoloBox] = {}
    wrong: dict[int, str] = {}
    for number, line in enumerate(read_text(file, SMALL_BYTES).splitlines(), start=1):
        if line.strip():
            box = _yolo_box(line)
            if isinstance(box, str):
                wrong[number] = f"{box}, got {shown(line)}"
            else:
                boxes[number] = box
    return boxes, wrong


def _yolo_box(line: str) -> YoloBox | str:
    """The box in a line of a YOLO file, or what must hold for it."""
    try:
        person, *box = (float(field) for field in line.split())
    except ValueError:
        box = []
    if len(box) != 4:
        return "must be `class x y width height` with decimal points"
    if person != 0 or not all(-_ROUNDING <= value <= 1 + _ROUNDING for value in box):
        return "class must be 0 and the box within 0..1"
    x, y, width, height = (min(max(value, 0.0), 1.0) for value in box)
    return (x, y, width, height) if width and height else "width and height must be above 0"


def in_pixels(boxes: Iterable[YoloBox], height: int, width: int) -> Float32[np.ndarray, "box 4"]:
    """The boxes in a picture of this size, xyxy."""
    centred = np.array(list(boxes), np.float64).reshape(-1, 4)
    corners = np.concatenate([centred[:, :2] - centred[:, 2:] / 2, centred[:, :2] + centred[:, 2:] / 2], axis=1)
    return (corners * [width, height, width, height]).astype(np.float32)


def read_tracks(file: Path) -> TrackTable:
    """Read MOTChallenge text: frame, id, left, top, width, height, confidence, class, …; an empty file has no boxes.

    A box of another class than person gets the confidence 0; see `parse_tracks`.

    Raises:
        InputError: if it is missing or a line has fewer than six numbers; names the line.
    """
    parsed = parse_tracks(file)
    for line, message in parsed.wrong.items():
        raise InputError(f"{file}, line {line}: {message}")
    return parsed.table


@dataclass(frozen=True)
class ParsedTracks:
    """Content of a MOTChallenge file, with what is wrong in it."""

    table: TrackTable
    lines: list[int]  # of each box
    wrong: dict[int, str]  # what is wrong with each of the other lines
    left_out: Mapping[str, int]  # class other than person -> number of boxes that would count otherwise


def parse_tracks(file: Path) -> ParsedTracks:
    """Read MOTChallenge text; column 8 is the class of a box, and only people count.

    Class 1 is a person, unless a file `labels.txt` beside it, as CVAT writes it, names the classes. A line of ten
    columns has no class, but a place in the world, unless its last column is -1.

    Raises:
        InputError: if it is missing or no text, or `labels.txt` names no person.
    """
    if not file.is_file():
        raise InputError(f"{file} must exist (MOTChallenge text)")
    names = _class_names(file)
    rows: dict[int, list[float]] = {}
    wrong, left_out = {}, Counter[str]()
    for number, line in enumerate(read_text(file, TABLE_BYTES).splitlines(), start=1):
        if not line.strip():
            continue
        values, complaint = _numbers(line)
        if complaint:
            wrong[number] = complaint
            continue
        confidence = values[6] if len(values) > 6 else 1.0
        kind = _class_of(values)
        if kind is not None and names.get(kind, f"class {kind}") not in PEOPLE and confidence:
            left_out[names.get(kind, f"class {kind}")] += 1
            confidence = 0.0
        rows[number] = [*values[:6], confidence]
    table = np.array(list(rows.values()), np.float64).reshape(-1, 7)
    corners = np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:6]], axis=1).astype(np.float32)
    tracks = TrackTable(
        table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), corners, table[:, 6].astype(np.float32)
    )
    return ParsedTracks(tracks, list(rows), wrong, left_out)


def _numbers(line: str) -> tuple[list[float], str]:
    """The numbers of a line of MOTChallenge text, and what is wrong with it."""
    try:
        fields = line.strip().rstrip(",").split(",") if "," in line else line.split()
        values = [float(field) for field in fields]
    except ValueError:
        return [], f"must be numbers with decimal points, separated by commas, got {shown(line)}"
    if len(values) < 6:
        return [], f"must have at least 6 numbers, got {len(values)}"
    if not all(abs(value) < _LARGEST for value in values[:7]):  # nor is "not a number" below it
        return [], f"must have numbers below {_LARGEST}, got {shown(line)}"
    if values[0] < 1:
        return [], f"frames must count from 1, got {shown(line)}"
    return values, ""


def _class_of(values: list[float]) -> int | None:
    """The class in a line of MOTChallenge text; None if it has none."""
    has_class = len(values) in (8, 9) or (len(values) > 9 and values[9] == -1)
    return int(values[7]) if has_class and values[7] >= 0 and values[7].is_integer() else None


def _class_names(tracks: Path) -> dict[int, str]:
    """Names of the classes from 1: of `labels.txt` beside `tracks`, or only that of the person."""
    file = tracks.with_name("labels.txt")
    if file == tracks or not file.is_file():
        return {_PERSON_CLASS: "person"}
    names = [line.strip().casefold() for line in read_text(file, SMALL_BYTES).splitlines() if line.strip()]
    if not PEOPLE & set(names):
        raise InputError(f"{file} must name a class person, one class a line, got {shown(', '.join(names))}")
    return dict(enumerate(names, start=1))


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
