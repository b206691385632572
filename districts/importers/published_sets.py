"""Parts shared by the importers of attribute sets: MATLAB files, binary columns and our layout."""

import csv
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from districts.importers.intake import Intake
from districts.layout import Split
from domain.attributes import UNKNOWN, AttributeSchema, Group
from domain.errors import InputError

_UNREADABLE = (  # what SciPy raises of a damaged file
    MatReadError, OSError, ValueError, TypeError, LookupError, OverflowError, MemoryError, NotImplementedError,
    zlib.error,
)  # fmt: skip
Row = tuple[str, int, str, dict[str, str]]  # image, identity, camera ("" if unknown), group -> label


def read_matlab(file: Path, what: str) -> dict[str, Any]:
    """The variables in a MATLAB `file`; SciPy reads it in a process of its own, which a damaged file can crash.

    Raises:
        InputError: if `file` cannot be read; the message says that it must be `what`.
    """
    try:
        with ProcessPoolExecutor(1) as aside:
            return aside.submit(loadmat, str(file)).result()
    except BrokenExecutor as error:
        raise InputError(f"{file} must be {what}; it is damaged") from error
    except _UNREADABLE as error:
        raise InputError(f"{file} must be {what}: {error}") from error


def labels_of_columns(marks: Iterable[int], schema: AttributeSchema) -> dict[str, str]:
    """Label of each group from binary columns, one column per label that is not `absent`, in the order of `schema`.

    A group is unknown unless exactly one of its columns is set; with no column set, it has its `absent` label if any.
    """
    values = iter(marks)
    return {group.name: _label_of(group, values) for group in schema.groups}


def write_district(intake: Intake, name: str, schema: AttributeSchema, source: str, licence: str) -> None:
    """Write `district.yaml` of a district without cameras."""
    district = {
        "name": name,
        "time_zone": "UTC",
        "attribute_schema": schema.name,
        "source": source,
        "licence": licence,
        "cameras": [],
    }
    (intake.folder / "district.yaml").write_text(yaml.safe_dump(district, sort_keys=False), encoding="utf-8")


def write_attribute_tables(
    intake: Intake, schema: AttributeSchema, splits: dict[Split, list[Row]], annotation: Path
) -> None:
    """Write `attributes/<split>.csv`, made from the file `annotation`; importers place the pictures themselves."""
    (intake.folder / "attributes").mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        intake.stands_for(f"attributes/{split}.csv", annotation)
        with (intake.folder / "attributes" / f"{split}.csv").open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, ["image", "identity", "camera", *schema.group_names])
            writer.writeheader()
            for image, identity, camera, labels in rows:
                writer.writerow({"image": image, "identity": identity, "camera": camera, **labels})


def _label_of(group: Group, values: Iterator[int]) -> str:
    counted = [label.name for label in group.labels if not label.absent]
    marked = [name for name in counted if next(values)]
    if len(marked) == 1:
        return marked[0]
    absent = [label.name for label in group.labels if label.absent]
    return absent[0] if absent and not marked else UNKNOWN
