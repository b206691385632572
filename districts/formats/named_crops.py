"""Re-ID sets with folders of parts and names such as 0001_c1s1_000151_00.jpg: identity, camera, sequence and frame.

So are Market-1501, DukeMTMC-reID (0001_c2_f0046182.jpg), VeRi-776 (0001_c001_00016450_0.jpg) and CUHK03-NP
(0003_c1_21.png) published. -1 is junk, 0 a distractor.
"""

import re
from pathlib import Path

from districts.importing.annotated import Annotated, Crop
from districts.importing.source_files import SourceFiles
from districts.layout import ReidPart
from domain.errors import InputError

_NAME = re.compile(r"(-1|\d{1,9})_c(\d{1,4})(?:s(\d{1,4}))?(?:_f?(\d{1,9}))?(?:[_.].*)?", re.IGNORECASE)
_PARTS: dict[str, ReidPart] = {
    "bounding_box_train": "bounding_box_train", "bounding_box_val": "bounding_box_val", "query": "query",
    "bounding_box_test": "bounding_box_test", "image_train": "bounding_box_train", "image_query": "query",
    "image_test": "bounding_box_test",
}  # fmt: skip


def read_named_crops(files: SourceFiles) -> Annotated:
    """The crops in the folders of parts.

    Raises:
        InputError: if there are none, a name is of another form, or a part is there twice.
    """
    crops, others = [], 0
    places: dict[ReidPart, Path] = {}
    for file in files.pictures():
        part = _PARTS.get(file.parent.name)
        if part is None:
            others += 1
            continue
        if places.setdefault(part, file.parent) != file.parent:
            raise InputError(
                f"{files.root} must hold {file.parent.name} once, got {places[part]} and {file.parent}; name one set"
            )
        crops.append(_crop(file, part))
    if not crops:
        raise InputError(
            f"{files.root} must hold the folders bounding_box_train, query and bounding_box_test, got none"
        )
    return Annotated(crops=crops, notes=[f"{others} pictures outside of the parts; left out"] if others else [])


def has_parts(files: SourceFiles) -> bool:
    """Whether the source has folders of parts."""
    return any(file.parent.name in _PARTS for file in files.pictures())


def _crop(file: Path, part: ReidPart) -> Crop:
    fields = _NAME.fullmatch(file.name)
    if not fields:
        raise InputError(f"{file} must be named like 0001_c1s1_000151_00.jpg, or 0001_c1_000151.jpg")
    identity, camera, sequence, frame = fields.groups()
    return Crop(file, int(identity), f"c{int(camera)}", part, int(sequence or 1), None if frame is None else int(frame))
