"""Crops in a folder for each identity: `<identity>/…`, `<identity>/<camera>/…` or `<camera>/<identity>/…`.

Above these may lie a folder for each split (train, val, test, query, gallery). Where no folder is a camera, the file's
name may have one, such as `c3` or `cam2` between `_`, `-` or points.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from districts.importing.annotated import Annotated, Crop
from districts.importing.numbering import name_camera, number_identities
from districts.importing.source_files import SourceFiles, split_of
from districts.layout import ReidPart
from domain.errors import InputError

_CAMERA = re.compile(r"(?:c|cam|camera)[_-]?(\d{1,4})", re.IGNORECASE)
_CAMERA_IN_NAME = re.compile(r"(?:^|[_.-])(?:c|cam|camera)[_-]?(\d{1,4})(?=[s_.-]|$)", re.IGNORECASE)
_PARTS: dict[str, ReidPart] = {
    "train": "bounding_box_train", "val": "bounding_box_val", "test": "bounding_box_test",
    "query": "query", "gallery": "bounding_box_test", "probe": "query",
}  # fmt: skip


def read_identity_folders(files: SourceFiles) -> Annotated:
    """The crops below the source.

    Raises:
        InputError: if pictures do not lie in folders of identities, or some have a split and others have none.
    """
    placed = [_split_off_part(file, files.root) for file in files.pictures()]
    if not placed:
        raise InputError(f"{files.root} must hold a folder of pictures for each identity, got no picture")
    depths = {len(folders) for _, _, folders in placed}
    if depths not in ({1}, {2}):
        raise InputError(
            f"{files.root} must hold pictures in <identity>/ or <identity>/<camera>/ alone, got pictures in "
            f"{min(depths)} to {max(depths)} folders; a table of crops is imported as crop-table"
        )
    is_camera_first = _are_cameras([folders[0] for _, _, folders in placed]) if depths == {2} else False
    if depths == {2} and not is_camera_first and not _are_cameras([folders[1] for _, _, folders in placed]):
        raise InputError(f"{files.root} must hold <identity>/<camera>/ with cameras such as c1 or cam2, got others")
    crops, identities = [], [folders[-1 if is_camera_first else 0] for _, _, folders in placed]
    numbers, note = number_identities(identities)
    for (file, part, folders), identity in zip(placed, identities, strict=True):
        camera = folders[0 if is_camera_first else 1] if len(folders) > 1 else _camera_in(file.stem)
        crops.append(Crop(file, numbers[identity], camera and name_camera(_digits(camera)), part))
    return Annotated(crops=crops, notes=[note] if note else [])


def _split_off_part(file: Path, root: Path) -> tuple[Path, ReidPart | None, Sequence[str]]:
    """A picture, its part, and the folders below the part's."""
    folders = file.relative_to(root).parts[:-1]
    first = folders[0].lower() if folders else ""
    part = _PARTS.get(first) or (_PARTS[split] if (split := split_of((first,))) and not first.isdecimal() else None)
    return file, part, folders[1:] if part else folders


def _are_cameras(names: Sequence[str]) -> bool:
    return all(_CAMERA.fullmatch(name) for name in names)


def _camera_in(stem: str) -> str:
    found = _CAMERA_IN_NAME.search(stem)
    return found[1] if found else ""


def _digits(camera: str) -> str:
    found = _CAMERA.fullmatch(camera)
    return found[1] if found else camera
