"""Contact sheet of a district: one frame per camera, and people with their labels.

`python -m districts.preview [district.name=…] [--out FILE]`
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from districts.box_files import read_tracks
from districts.demo.video import read_frames
from districts.layout import District, read_attribute_split, read_district
from domain.attributes import AttributeSchema
from domain.errors import InputError
from domain.images import read_image, write_image
from domain.paths import district_folder
from domain.schemas import read_schema
from domain.stage import run_stage

_FRAME_SIZE, _FRAME_COLUMNS = (495, 278), 4
_CROP_SIZE, _CROP_COLUMNS, _NUM_PEOPLE = (110, 220), 6, 24
_TEXT_HEIGHT = 96
_VIEWS = ("front", "side", "back")


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
    """Frames of all cameras above crops of people, each from front, side and back: `uint8 [height, width, 3]` RGB."""
    district = read_district(folder)
    file = folder / district.attribute_schema
    schema = read_schema(file if file.is_file() else district.attribute_schema)
    parts = [_frames(folder, district), _people(folder, schema)]
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0))) for part in parts])


def _frames(folder: Path, district: District) -> np.ndarray:
    pictures = []
    for number, camera in enumerate(district.cameras):
        truth = read_tracks(folder / "videos" / f"{camera.id}.txt")
        frames, counts = np.unique(truth.frames[truth.is_counted], return_counts=True)
        busy = frames[counts == counts.max()] if len(frames) else np.array([1])
        shown_frame = int(busy[(number * len(busy)) // len(district.cameras)])
        picture = next(
            (image for frame, image in read_frames(folder / "videos" / f"{camera.id}.mp4") if frame == shown_frame),
            None,
        )
        if picture is None:
            raise InputError(f"{camera.id}.mp4 must have the frame {shown_frame} of its ground truth; it ends earlier")
        for box in truth.boxes_xyxy[(truth.frames == shown_frame) & truth.is_counted]:
            left, top, right, bottom = (int(value) for value in box)
            cv2.rectangle(picture, (left, top), (right, bottom), (255, 220, 0), 1)
        picture = cv2.resize(picture, _FRAME_SIZE, interpolation=cv2.INTER_AREA)
        cv2.putText(picture, f"{camera.id} {camera.name}", (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1)
        pictures.append(picture)
    return _grid(pictures, _FRAME_COLUMNS)


def _people(folder: Path, schema: AttributeSchema) -> np.ndarray:
    """Each person of the test split from front, side and back, as far as available, with the known labels."""
    table = read_attribute_split(folder, "test", schema)
    tiles = []
    for identity in np.unique(table.identities)[:_NUM_PEOPLE]:
        rows = np.flatnonzero(table.identities == identity)
        tile = np.full((_CROP_SIZE[1] + _TEXT_HEIGHT, 3 * _CROP_SIZE[0], 3), 24, np.uint8)
        for column, view in enumerate(_VIEWS):
            seen = rows[table.labels[rows, schema.group_names.index("view")] == column] if view else rows
            if not len(seen):
                continue
            crops = [read_image(folder / "attributes" / "images" / table.images[row]) for row in seen]
            largest = max(crops, key=lambda crop: crop.shape[0])
            tile[: _CROP_SIZE[1], column * _CROP_SIZE[0] : (column + 1) * _CROP_SIZE[0]] = cv2.resize(
                largest, _CROP_SIZE
            )
        for line, text in enumerate(_captions(schema, table.labels[rows])):
            place = (4, _CROP_SIZE[1] + 16 + 19 * line)
            cv2.putText(
                tile,
                f"{identity}: {text}" if line == 0 else text,
                place,
                cv2.FONT_HERSHEY_SIMPLEX,
                0.42,
                (240, 240, 240),
                1,
            )
        tiles.append(tile)
    return _grid(tiles, _CROP_COLUMNS)


def _captions(schema: AttributeSchema, labels: np.ndarray) -> list[str]:
    """The most frequent label of each group, three labels per line, up to five lines."""
    words = []
    for column, group in enumerate(schema.groups):
        known = labels[labels[:, column] >= 0, column]
        if group.of == "person" and group.name != "view" and len(known):
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
