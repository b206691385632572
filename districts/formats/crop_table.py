"""A CSV table of crops: image, and as far as known identity, camera, split, frame, time_s and attributes.

Common names of these columns are taken too (file, path, person_id, pid, cam, camera_id, …). Each further column is an
attribute.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from districts.importing.annotated import Annotated, Crop
from districts.importing.foreign_annotations import number, whole
from districts.importing.numbering import name_camera, number_identities
from districts.importing.source_files import SourceFiles, split_of
from districts.layout import ReidPart
from domain.errors import InputError, shown
from domain.foreign_files import read_rows

_COLUMNS: dict[str, tuple[str, ...]] = {
    "image": ("image", "file", "filename", "file_name", "path", "image_path", "crop", "img"),
    "identity": ("identity", "id", "person", "person_id", "personid", "pid", "identity_id", "track_id"),
    "camera": ("camera", "cam", "camera_id", "cameraid", "camid", "cam_id"),
    "split": ("split", "subset", "part"),
    "frame": ("frame", "frame_id", "frame_number"),
    "time_s": ("time_s",),
}
_PARTS: dict[str, ReidPart] = {
    "train": "bounding_box_train", "val": "bounding_box_val", "test": "bounding_box_test", "query": "query",
    "gallery": "bounding_box_test", "bounding_box_train": "bounding_box_train", "bounding_box_val": "bounding_box_val",
    "bounding_box_test": "bounding_box_test",
}  # fmt: skip
_TIMES = "times.csv"


def read_crop_table(files: SourceFiles) -> Annotated:
    """The crops that the source's only CSV table lists.

    Raises:
        InputError: if there is none or several, a column is missing, a cell is wrong or a picture is missing.
    """
    tables = [file for file in files.with_suffix(".csv", ".tsv") if file.name != _TIMES]
    if len(tables) != 1:
        raise InputError(f"{files.root} must hold one .csv of crops, got {', '.join(map(str, tables)) or 'none'}")
    file = tables[0]
    rows = read_rows(file, ())
    columns = _columns(file, next(iter(rows.values()), {}))
    identities = (_cell(row, columns, "identity") for row in rows.values())
    numbers, note = number_identities(identity for identity in identities if identity)
    crops = [_crop(f"{file}, line {line}", row, columns, numbers, files) for line, row in rows.items()]
    return Annotated(crops=crops, notes=[note] if note else [])


def _columns(file: Path, row: Mapping[str, str]) -> dict[str, str]:
    """The column of the table for each of ours."""
    found = {}
    for ours, known in _COLUMNS.items():
        same = [name for name in row if name.casefold() in known]
        if len(same) > 1:
            raise InputError(f"{file}, line 1: must have one column for {ours}, got {', '.join(same)}")
        if same:
            found[ours] = same[0]
    if "image" not in found:
        raise InputError(f"{file}, line 1: must have the column image and rows, got {shown(', '.join(row))}")
    return found


def _cell(row: Mapping[str, str], columns: Mapping[str, str], ours: str) -> str:
    return row[columns[ours]] if ours in columns else ""


def _crop(
    place: str, row: Mapping[str, str], columns: Mapping[str, str], numbers: Mapping[str, int], files: SourceFiles
) -> Crop:
    cells = {ours: _cell(row, columns, ours) for ours in _COLUMNS}
    if not cells["image"]:
        raise InputError(f"{place}: image must name a picture, got an empty cell")
    used = set(columns.values())
    return Crop(
        files.find(cells["image"], place),
        numbers[cells["identity"]] if cells["identity"] else None,
        name_camera(cells["camera"]) if cells["camera"] else "",
        _part(place, cells["split"]),
        frame=whole(cells["frame"], place, "frame") if cells["frame"] else None,
        time_s=number(cells["time_s"], place, "time_s") if cells["time_s"] else None,
        attributes={name: value for name, value in row.items() if name not in used and value},
    )


def _part(place: str, text: str) -> ReidPart | None:
    if not text:
        return None
    part = _PARTS.get(text.lower()) or next((_PARTS[split] for split in _splits(text)), None)
    if part is None:
        raise InputError(f"{place}: split must be one of {', '.join(_PARTS)}, got {shown(text)}")
    return part


def _splits(text: str) -> Sequence[str]:
    split = split_of((text,))
    return [split] if split else []
