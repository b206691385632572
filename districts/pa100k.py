"""PA-100K as its authors distribute it (annotation.mat, data/) -> the attribute set of a district without cameras.

Source: Liu et al. 2017, "HydraPlus-Net"; CC BY 4.0.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from districts.layout import Split
from districts.links import link_or_copy
from domain.attributes import UNKNOWN, AttributeSchema, Group, read_schema
from domain.errors import InputError

_SCHEMA = "pa100k"
_SPLITS: tuple[Split, ...] = ("train", "val", "test")
# Its columns in order, by the groups of our schema: a group takes as many columns as it has labels that are counted.
_COLUMNS = (
    "Female", "AgeOver60", "Age18-60", "AgeLess18", "Front", "Side", "Back", "Hat", "Glasses", "HandBag",
    "ShoulderBag", "Backpack", "HoldObjectsInFront", "ShortSleeve", "LongSleeve", "UpperStride", "UpperLogo",
    "UpperPlaid", "UpperSplice", "LowerStripe", "LowerPattern", "LongCoat", "Trousers", "Shorts", "Skirt&Dress",
    "boots",
)  # fmt: skip


def import_pa100k(name: str, source: Path, folder: Path) -> None:
    """Write the attribute set in `source` as the district `name` into `folder`.

    The set names no people and no cameras: each picture counts as a person of its own.

    Raises:
        InputError: if `source` does not hold the set, or its columns are not the published ones.
    """
    annotation = _read_annotation(source / "annotation.mat")
    schema = read_schema(_SCHEMA)
    images = folder / "attributes" / "images"
    images.mkdir(parents=True)
    district = {
        "name": name,
        "time_zone": "UTC",
        "attribute_schema": _SCHEMA,
        "source": "PA-100K, Liu et al. 2017",
        "licence": "CC BY 4.0",
        "cameras": [],
    }
    (folder / "district.yaml").write_text(yaml.safe_dump(district, sort_keys=False), encoding="utf-8")
    for split in _SPLITS:
        names = [str(cell[0]) for cell in annotation[f"{split}_images_name"].ravel()]
        labels = annotation[f"{split}_label"]
        if labels.shape != (len(names), len(_COLUMNS)):
            raise InputError(
                f"{split}_label of {source}/annotation.mat must be [{len(names)}, {len(_COLUMNS)}], got {labels.shape}"
            )
        with (folder / "attributes" / f"{split}.csv").open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, ["image", "identity", "camera", *schema.group_names])
            writer.writeheader()
            for image, row in zip(names, labels, strict=True):
                link_or_copy(source / "data" / image, images / image)
                number = int(Path(image).stem)
                writer.writerow({"image": image, "identity": number, "camera": "", **_labels_of(row, schema)})


def _read_annotation(file: Path) -> dict[str, np.ndarray]:
    try:
        annotation: dict[str, np.ndarray] = loadmat(str(file))
    except (OSError, ValueError, MatReadError) as error:
        raise InputError(f"{file} must be PA-100K's annotation file: {error}") from error
    wanted = {f"{split}_{what}" for split in _SPLITS for what in ("images_name", "label")} | {"attributes"}
    if missing := sorted(wanted - set(annotation)):
        raise InputError(f"{file} must hold {', '.join(missing)}")
    columns = tuple(str(cell[0]) for cell in annotation["attributes"].ravel())
    if columns != _COLUMNS:
        strange = [f"{ours} (got {theirs})" for ours, theirs in zip(_COLUMNS, columns, strict=False) if ours != theirs]
        raise InputError(f"{file} must have PA-100K's {len(_COLUMNS)} attributes; first difference: {strange[:1]}")
    return annotation


def _labels_of(row: np.ndarray, schema: AttributeSchema) -> dict[str, str]:
    """Label of each group; where not exactly one column of a group is set, it is unknown."""
    values = iter(row.tolist())
    return {group.name: _label_of(group, values) for group in schema.groups}


def _label_of(group: Group, values: Iterator[int]) -> str:
    counted = [label.name for label in group.labels if not label.absent]
    marked = [name for name in counted if next(values)]
    if len(marked) == 1:
        return marked[0]
    absent = [label.name for label in group.labels if label.absent]
    return absent[0] if absent and not marked else UNKNOWN
