"""MOTChallenge (https://motchallenge.net/instructions/): sequences with gt/gt.txt, img1/ and seqinfo.ini, or videos.

The text of a video has the video's name and lies beside it.

A row is frame, id, left, top, width, height, flag, class, visibility: the box counts if its flag is not 0. Frames count
from 1; a text that has a frame 0 is shifted by one.
"""

import configparser
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from districts.importing.annotated import Annotated, Footage, Recording, TrackBox
from districts.importing.description import camera_id
from districts.importing.footage import facts_of
from districts.importing.foreign_annotations import number
from districts.importing.source_files import VIDEOS, SourceFiles
from domain.errors import InputError, shown
from domain.foreign_files import SMALL_BYTES, TABLE_BYTES, read_text

# Of MOT16 to MOT20.
_CLASSES = {
    1: "pedestrian", 2: "person_on_vehicle", 3: "car", 4: "bicycle", 5: "motorbike", 6: "non_motorized_vehicle",
    7: "static_person", 8: "distractor", 9: "occluder", 10: "occluder_on_ground", 11: "occluder_full",
    12: "reflection", 13: "crowd",
}  # fmt: skip
_DETECTORS = ("-DPM", "-FRCNN", "-SDP")  # MOT17 repeats each sequence for three detectors
_MIN_COLUMNS, _CLASS, _WORLD = 6, 7, 9


def read_mot(files: SourceFiles) -> Annotated:
    """The recordings of all sequences with ground truth.

    Raises:
        InputError: if there is none, one has no footage, or a line is wrong; names file and line.
    """
    recordings: list[Recording] = []
    notes: list[str] = []
    seen = set[str]()
    for truth in _truths(files):
        folder = truth.parent.parent if truth.parent.name == "gt" else truth.parent
        name = folder.name if truth.stem == "gt" else truth.stem
        scene = next((name.removesuffix(each) for each in _DETECTORS if name.endswith(each)), name)
        if scene in seen:
            notes.append(f"{name} repeats the pictures of {scene}; left out")
            continue
        seen.add(scene)
        information = _read_information(folder / "seqinfo.ini")
        footage = _footage(files, folder, truth, information)
        boxes, said = _read_boxes(truth, footage)
        fps = (
            number(information["framerate"], folder / "seqinfo.ini", "frameRate")
            if "framerate" in information
            else None
        )
        recordings.append(Recording(camera_id(scene), footage, boxes, fps))
        notes += said
    if not recordings:
        raise InputError(
            f"{files.root} must hold gt/gt.txt in the folder of a sequence, or a video with a .txt of its name"
        )
    return Annotated(recordings=recordings, notes=notes)


def _truths(files: SourceFiles) -> list[Path]:
    """Texts of ground truth: gt.txt, or of the name of a video."""
    videos = {(file.parent, file.stem) for file in files.videos()}
    return [file for file in files.with_suffix(".txt") if file.name == "gt.txt" or (file.parent, file.stem) in videos]


def _read_information(file: Path) -> Mapping[str, str]:
    if not file.is_file():
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(file, SMALL_BYTES), str(file))
        return dict(parser["Sequence"])
    except (configparser.Error, KeyError) as error:
        raise InputError(f"{file} must have a section [Sequence] of key=value: {str(error).splitlines()[0]}") from error


def _footage(files: SourceFiles, folder: Path, truth: Path, information: Mapping[str, str]) -> Footage:
    for suffix in sorted(VIDEOS):
        if (video := truth.with_suffix(suffix)).is_file():
            return video
    named = Path(information.get("imdir", "img1")).name
    frames = tuple(file for file in files.pictures(folder / named) if file.parent == folder / named)
    if frames:
        return frames
    videos = [file for file in files.videos() if file.parent == folder]
    if len(videos) == 1:
        return videos[0]
    raise InputError(
        f"{truth} must have its footage: {folder / named} with pictures, or one video in {folder}; got {len(videos)}"
    )


def _read_boxes(file: Path, footage: Footage) -> tuple[list[TrackBox], list[str]]:
    facts = facts_of(footage)
    names = _class_names(file)
    boxes, unnamed, shift = [], Counter[int](), 0
    for line_number, line in enumerate(read_text(file, TABLE_BYTES).splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{file}, line {line_number}"
        fields = line.strip().rstrip(",").split(",") if "," in line else line.split()
        values = [number(field, place, "each field") for field in fields]
        if len(values) < _MIN_COLUMNS or min(values[0], values[4], values[5]) < 0 or values[0] != int(values[0]):
            raise InputError(
                f"{place}: must be frame, id, left, top, width, height, … with a frame from 1, got {shown(line)}"
            )
        shift = 1 if values[0] == 0 else shift
        kind = _class_of(values)
        if kind not in names:
            unnamed[kind] += 1
        left, top, width, height = values[2:6]
        xyxy = left / facts.width, top / facts.height, (left + width) / facts.width, (top + height) / facts.height
        is_counted = len(values) <= 6 or values[6] != 0
        boxes.append(TrackBox(int(values[0]), int(values[1]), names.get(kind, f"class {kind}"), xyxy, is_counted))
    if shift:
        boxes = [box._replace(frame=box.frame + 1) for box in boxes]
    name = file.parent.parent.name if file.parent.name == "gt" else file.name
    notes = [f"{name}: frames count from 0; shifted by one"] if shift else []
    return boxes, notes


def _class_of(values: list[float]) -> int:
    """Class of a row, 1 without any; ten columns whose last is not -1 have a place in the world instead."""
    has_class = len(values) > _CLASS and (len(values) <= _WORLD or values[_WORLD] == -1)
    return int(values[_CLASS]) if has_class and values[_CLASS] >= 0 else 1


def _class_names(truth: Path) -> Mapping[int, str]:
    """Names of classes by number: of CVAT's labels.txt beside `truth`, or MOTChallenge's own."""
    file = truth.with_name("labels.txt")
    if not file.is_file():
        return _CLASSES
    lines = read_text(file, SMALL_BYTES).splitlines()
    return dict(enumerate((line.strip() for line in lines if line.strip()), start=1))
