"""Importer of PA-100K in the authors' layout (annotation.mat, data/): attribute set of a district without cameras.

Source: Liu et al. 2017, "HydraPlus-Net"; CC BY 4.0.
"""

from pathlib import Path
from typing import Any

from districts.importers.intake import Intake
from districts.importers.published_sets import (
    Row,
    labels_of_columns,
    read_matlab,
    write_attribute_tables,
    write_district,
)
from districts.layout import Split
from domain.errors import InputError
from domain.schemas import read_schema

_SPLITS: tuple[Split, ...] = ("train", "val", "test")
# The columns of PA-100K; the groups of our schema have the same order.
_COLUMNS = (
    "Female", "AgeOver60", "Age18-60", "AgeLess18", "Front", "Side", "Back", "Hat", "Glasses", "HandBag",
    "ShoulderBag", "Backpack", "HoldObjectsInFront", "ShortSleeve", "LongSleeve", "UpperStride", "UpperLogo",
    "UpperPlaid", "UpperSplice", "LowerStripe", "LowerPattern", "LongCoat", "Trousers", "Shorts", "Skirt&Dress",
    "boots",
)  # fmt: skip


def import_pa100k(name: str, intake: Intake) -> None:
    """Write the attribute set in the source as the district `name`.

    PA-100K gives no identities and no cameras: each picture counts as a separate person.

    Raises:
        InputError: if the source does not hold the set or its columns are not the published ones.
    """
    file = intake.source / "annotation.mat"
    annotation = _read_annotation(file)
    schema = read_schema("pa100k")
    splits: dict[Split, list[Row]] = {}
    for split in _SPLITS:
        names = [str(cell[0]) for cell in annotation[f"{split}_images_name"].ravel()]
        marks = annotation[f"{split}_label"]
        if marks.shape != (len(names), len(_COLUMNS)):
            raise InputError(f"{split}_label of {file} must be [{len(names)}, {len(_COLUMNS)}], got {marks.shape}")
        splits[split] = [
            (image, int(Path(image).stem), "", labels_of_columns(row.tolist(), schema))
            for image, row in zip(names, marks, strict=True)
        ]
        for image in names:
            intake.take(intake.source / "data" / image, f"attributes/images/{image}")
    write_district(intake, name, schema, "PA-100K, Liu et al. 2017", "CC BY 4.0")
    write_attribute_tables(intake, schema, splits, file)


def _read_annotation(file: Path) -> dict[str, Any]:
    annotation = read_matlab(file, "PA-100K's annotation file")
    required = {f"{split}_{what}" for split in _SPLITS for what in ("images_name", "label")} | {"attributes"}
    if missing := sorted(required - set(annotation)):
        raise InputError(f"{file} must also hold the variables {', '.join(missing)}")
    columns = tuple(str(cell[0]) for cell in annotation["attributes"].ravel())
    if columns != _COLUMNS:
        different = [
            f"{ours} (got {theirs})" for ours, theirs in zip(_COLUMNS, columns, strict=False) if ours != theirs
        ]
        raise InputError(f"{file} must have PA-100K's {len(_COLUMNS)} attributes; first difference: {different[:1]}")
    return annotation
