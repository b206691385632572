"""Checks of a district's detection set, apart from the other checks: training a detector needs no attribute schema."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from districts.box_files import read_labelled_frame
from districts.findings import MAX_NAMED, Finding
from districts.layout import Split, find_pictures
from domain.errors import InputError


def check_detection(folder: Path, splits: Sequence[Split]) -> Iterator[Finding]:
    """Defects in `splits` of the detection set of the district in `folder`."""
    for split in splits:
        images, labels = folder / "detection" / "images" / split, folder / "detection" / "labels" / split
        if not images.is_dir() or not find_pictures(images):
            yield Finding(True, str(images), "must hold pictures, got none")
            continue
        num_boxes, empty = 0, []
        for picture in find_pictures(images):
            try:
                frame = read_labelled_frame(picture, labels)
            except InputError as error:
                yield Finding(True, str(picture), str(error))
                continue
            num_boxes += len(frame.boxes_xyxy)
            if len(frame.boxes_xyxy) == 0:
                empty.append(picture.stem)
        if empty:
            names = ", ".join(f"{name}.txt" for name in empty[:MAX_NAMED]) + (", …" if len(empty) > MAX_NAMED else "")
            yield Finding(
                False,
                str(labels),
                f"{len(empty)} pictures have no labels and count as pictures without people: {names}",
            )
        if num_boxes == 0:
            yield Finding(True, str(labels), "must label at least one person, got none")
        stems = {picture.stem for picture in find_pictures(images)}
        for file in sorted(labels.glob("*.txt")) if labels.is_dir() else ():
            if file.stem not in stems:
                yield Finding(
                    False,
                    str(file),
                    f"must belong to a picture of the same name in detection/images/{split}; there is none",
                )
