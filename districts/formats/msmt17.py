"""MSMT17 (Wei et al. 2018) as published: folders of pictures, and list_{train,val,query,gallery}.txt.

A line is `0000/0000_000_01_0303morning_0015_0.jpg 0`: a path, whose name's third number is the camera, and an identity
from 0. list_val.txt has other pictures of the training identities, so both are for training.
"""

import re
from pathlib import Path

from districts.importing.annotated import Annotated, Crop
from districts.importing.source_files import SourceFiles
from districts.layout import ReidPart
from domain.errors import InputError, shown
from domain.foreign_files import TABLE_BYTES, read_text

_LISTS: dict[str, ReidPart] = {
    "list_train.txt": "bounding_box_train", "list_val.txt": "bounding_box_train", "list_query.txt": "query",
    "list_gallery.txt": "bounding_box_test",
}  # fmt: skip
_NAME = re.compile(r"\d+_\d+_(\d{1,4})_(\d{4})(morning|noon|afternoon)_(\d{1,9})_.*")
_PERIODS = {"morning": 0, "noon": 1, "afternoon": 2}


def read_msmt17(files: SourceFiles) -> Annotated:
    """The crops of all lists; test identities are numbered after those of training.

    Raises:
        InputError: if a list is missing, a line is wrong or a picture is missing; names file and line.
    """
    found = {file.name: file for file in files.with_suffix(".txt") if file.name in _LISTS}
    if missing := [name for name in _LISTS if name not in found and name != "list_val.txt"]:
        raise InputError(f"{files.root} must hold MSMT17's lists; {', '.join(missing)} is missing")
    lines = [line for name, part in _LISTS.items() if name in found for line in _read(found[name], part)]
    num_trained = 1 + max((label for _, part, _, label in lines if part == "bounding_box_train"), default=-1)
    crops, days = [], sorted({_name(place, path)[1:3] for place, _, path, _ in lines})
    for place, part, path, label in lines:
        is_trained = part == "bounding_box_train"
        camera, day, period, frame = _name(place, path)
        file = files.find(f"{'train' if is_trained else 'test'}/{path}", place, split="train" if is_trained else "test")
        sequence = days.index((day, period)) + 1
        identity = label + 1 + (0 if is_trained else num_trained)
        crops.append(Crop(file, identity, f"c{camera}", part, sequence, frame))
    return Annotated(crops=crops)


def _read(file: Path, part: ReidPart) -> list[tuple[str, ReidPart, str, int]]:
    rows = []
    for number, line in enumerate(read_text(file, TABLE_BYTES).splitlines(), start=1):
        if line.strip():
            path, _, label = line.strip().rpartition(" ")
            if not path or not label.isdecimal() or len(label) > 6:
                raise InputError(f"{file}, line {number}: must be a path and an identity from 0, got {shown(line)}")
            rows.append((f"{file}, line {number}", part, path, int(label)))
    return rows


def _name(place: str, path: str) -> tuple[int, int, int, int]:
    """Camera, day, time of day and frame."""
    fields = _NAME.fullmatch(Path(path).name)
    if not fields:
        raise InputError(f"{place}: a name must be like 0000_000_01_0303morning_0015_0.jpg, got {shown(path)}")
    return int(fields[1]), int(fields[2]), _PERIODS[fields[3]], int(fields[4])
