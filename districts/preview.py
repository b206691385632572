"""Contact sheet of a district: one frame per camera, and people with their labels.

`python -m districts.preview [district.name=…] [--out FILE]`
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from districts.box_files import read_labelled_frame, read_tracks
from districts.demo.video import read_frames
from districts.layout import (
    DISTRACTOR_IDENTITY,
    REID_PARTS,
    SPLITS,
    District,
    annotated_cameras,
    filmed_cameras,
    find_pictures,
    identity_and_camera,
    read_attribute_split,
    read_district,
)
from domain.attributes import AttributeSchema
from domain.errors import InputError
from domain.images import read_image, write_image
from domain.paths import district_folder
from domain.schemas import schema_in
from domain.stage import run_stage

_FRAME_SIZE, _FRAME_COLUMNS = (495, 278), 4
_CROP_SIZE, _CROP_COLUMNS, _NUM_PEOPLE = (110, 220), 6, 24
_TEXT_HEIGHT = 96
_NUM_SCENES = 4  # of a split
_VIEW, _NUM_VIEWS = "view", 3  # front, side and back
_GREY = 24


def main(argv: Sequence[str] = ()) -> None:
    """Write the contact sheet of the district in params.yaml.

    Raises:
        InputError: if the district has not been prepared.
    """
    parser = argparse.ArgumentParser(prog="python -m districts.preview", description=__doc__)
    parser.add_argument("--out", type=Path, help="picture file to write; default: data/<name>/preview.png")
    options, overrides = parser.parse_known_args(list(argv))
    folder = district_folder(overrides)
    out = options.out or folder / "preview.png"
    write_image(out, contact_sheet(folder))
    print(out)


def contact_sheet(folder: Path) -> np.ndarray:
    """Frames of cameras above crops of people, as far as the district has them: `uint8 [height, width, 3]` RGB.

    Without videos, pictures of the detection set stand for frames; without attributes, people come from the re-ID set.

    Raises:
        InputError: if the district has none of these.
    """
    district = read_district(folder)
    schema = schema_in(folder, district.attribute_schema)
    frames = _frames(folder, district) or _scenes(folder)
    people = _described_people(folder, schema) or _people(folder)
    grids = [(frames, _FRAME_COLUMNS), (people, _CROP_COLUMNS)]
    parts = [_grid(tiles, columns) for tiles, columns in grids if tiles]
    if not parts:
        raise InputError(f"{folder} must hold videos, detection, attributes or reid with pictures to show, got none")
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0))) for part in parts])


def _frames(folder: Path, district: District) -> list[np.ndarray]:
    """A frame of each video, with the boxes of its ground truth if it has any."""
    cameras, annotated = filmed_cameras(folder, district), annotated_cameras(folder, district)
    tiles = []
    for number, camera in enumerate(cameras):
        boxes, shown_frame = np.empty((0, 4), np.float32), 1
        if camera in annotated:
            truth = read_tracks(folder / "videos" / f"{camera.id}.txt")
            frames, counts = np.unique(truth.frames[truth.is_counted], return_counts=True)
            busy = frames[counts == counts.max()] if len(frames) else np.array([1])
            shown_frame = int(busy[(number * len(busy)) // len(cameras)])
            boxes = truth.boxes_xyxy[(truth.frames == shown_frame) & truth.is_counted]
        picture = _frame_at(folder / "videos" / f"{camera.id}.mp4", shown_frame)
        tiles.append(_scene(picture, boxes, f"{camera.id} {camera.name}"))
    return tiles


def _frame_at(video: Path, number: int) -> np.ndarray:
    """A frame of a video by its number from 1, or the last one of a shorter video."""
    picture = None
    for place, frame in read_frames(video):
        picture = frame
        if place == number:
            break
    if picture is None:
        raise InputError(f"{video} must have frames, got none")
    return picture


def _scenes(folder: Path) -> list[np.ndarray]:
    """Some pictures of the detection set with their boxes."""
    tiles = []
    for split in SPLITS:
        images, labels = folder / "detection" / "images" / split, folder / "detection" / "labels" / split
        pictures = find_pictures(images) if images.is_dir() else []
        for file in pictures[:: max(1, len(pictures) // _NUM_SCENES)][:_NUM_SCENES]:
            boxes = read_labelled_frame(file, labels).boxes_xyxy
            tiles.append(_scene(read_image(file), boxes, f"{split}: {file.name}"))
    return tiles


def _scene(picture: np.ndarray, boxes_xyxy: np.ndarray, title: str) -> np.ndarray:
    """A tile with a picture, whole and with its boxes, and a title."""
    drawn = picture.copy()
    thickness = max(1, picture.shape[1] // _FRAME_SIZE[0])
    for left, top, right, bottom in boxes_xyxy.astype(int).tolist():
        cv2.rectangle(drawn, (left, top), (right, bottom), (255, 220, 0), thickness)
    tile = _fitted(drawn, _FRAME_SIZE)
    cv2.putText(tile, title, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1)
    return tile


def _fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture within a tile of `size` (width, height), with its aspect ratio."""
    scale = min(size[0] / picture.shape[1], size[1] / picture.shape[0])
    width, height = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    tile = np.full((size[1], size[0], 3), _GREY, np.uint8)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    tile[top : top + height, left : left + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return tile


def _described_people(folder: Path, schema: AttributeSchema) -> list[np.ndarray]:
    """People of the attributes' test split with their known labels, from front, side and back where these are known."""
    if not (folder / "attributes" / "test.csv").is_file():
        return []
    table = read_attribute_split(folder, "test", schema)
    views = schema.group_names.index(_VIEW) if _VIEW in schema.group_names else None
    tiles = []
    for identity in np.unique(table.identities)[:_NUM_PEOPLE]:
        rows = np.flatnonzero(table.identities == identity)
        if views is None:
            seen = [rows[[place]] for place in range(min(_NUM_VIEWS, len(rows)))]
        else:
            seen = [rows[table.labels[rows, views] == view] for view in range(_NUM_VIEWS)]
        files = [[folder / "attributes" / "images" / table.images[row] for row in column] for column in seen]
        tiles.append(_person(files, f"{identity}", _captions(schema, table.labels[rows])))
    return tiles


def _people(folder: Path) -> list[np.ndarray]:
    """People of the re-ID set, each from up to three cameras."""
    files: dict[int, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for part in reversed(REID_PARTS):  # gallery and query before training
        place = folder / "reid" / part
        for picture in find_pictures(place) if place.is_dir() else ():
            identity, camera = identity_and_camera(picture)
            if identity > DISTRACTOR_IDENTITY:
                files[identity][camera].append(picture)
    return [
        _person([cameras[camera][:1] for camera in sorted(cameras)[:_NUM_VIEWS]], f"{identity}", [])
        for identity, cameras in list(files.items())[:_NUM_PEOPLE]
    ]


def _person(columns: Sequence[Sequence[Path]], name: str, captions: Sequence[str]) -> np.ndarray:
    """A tile with the largest crop of each column above a name and captions."""
    tile = np.full((_CROP_SIZE[1] + _TEXT_HEIGHT, _NUM_VIEWS * _CROP_SIZE[0], 3), _GREY, np.uint8)
    for column, files in enumerate(columns):
        if files:
            largest = max((read_image(file) for file in files), key=lambda crop: crop.shape[0])
            left = column * _CROP_SIZE[0]
            tile[: _CROP_SIZE[1], left : left + _CROP_SIZE[0]] = cv2.resize(largest, _CROP_SIZE)
    for line, text in enumerate([": ".join([name, *captions[:1]]), *captions[1:]]):
        place = (4, _CROP_SIZE[1] + 16 + 19 * line)
        cv2.putText(tile, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (240, 240, 240), 1)
    return tile


def _captions(schema: AttributeSchema, labels: np.ndarray) -> list[str]:
    """The most frequent label of each group, three labels per line, up to five lines."""
    words = []
    for column, group in enumerate(schema.groups):
        known = labels[labels[:, column] >= 0, column]
        if group.of == "person" and group.name != _VIEW and len(known):
            label = group.labels[np.bincount(known).argmax()]
            if not label.absent:
                words.append(label.name + (f" ({group.name.split('_')[0]})" if group.colour else ""))
    return [", ".join(words[start : start + 3]) for start in range(0, len(words), 3)][:5]


def _grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Tiles of one size in rows of `columns`."""
    empty = np.zeros_like(tiles[0])
    padded = tiles + [empty] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(padded[i : i + columns], axis=1) for i in range(0, len(padded), columns)])


if __name__ == "__main__":
    run_stage(main)
