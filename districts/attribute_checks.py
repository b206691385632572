"""Checks of a district's attribute set."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from districts.findings import Finding, fatal, listed
from districts.layout import SPLITS, find_pictures, read_attribute_row, read_attribute_rows
from districts.pictures import PictureChecks, unread
from domain.attributes import AttributeSchema
from domain.errors import InputError, shown

_FEW_LABELS = 5


def check_attributes(folder: Path, schema: AttributeSchema, cameras: set[str]) -> Iterator[Finding]:
    """Defects in the attribute set of the district in `folder`, which has these cameras."""
    images, named = folder / "attributes" / "images", set[str]()
    if images.is_dir():
        yield from unread(images)
    for split in SPLITS:
        file = folder / "attributes" / f"{split}.csv"
        if not file.is_file():
            yield Finding(True, str(file), "must be a file" if file.exists() else "must exist")
            continue
        try:
            rows = read_attribute_rows(file, schema)
        except InputError as error:
            yield fatal(file, error)
            continue
        if not rows:
            yield Finding(True, str(file), "must list pictures, got none")
        yield from _check_rows(file, rows, schema, cameras, named)
    if images.is_dir() and (unnamed := [file.name for file in find_pictures(images) if file.name not in named]):
        yield Finding(False, str(images), f"{len(unnamed)} pictures are in no table: {listed(unnamed)}")


def _check_rows(
    file: Path, rows: dict[int, dict[str, str]], schema: AttributeSchema, cameras: set[str], named: set[str]
) -> Iterator[Finding]:
    """Defects of a table; adds its pictures to `named`."""
    counts = [np.zeros(len(group.labels), np.int64) for group in schema.groups]
    images = file.parent / "images"
    checks = PictureChecks(images, is_evaluated=file.stem != "train")
    first_lines: dict[str, int] = {}
    others = {name.name.casefold(): name.name for name in find_pictures(images)} if images.is_dir() else {}
    for line, cells in rows.items():
        place = f"{file}, line {line}"
        try:
            row = read_attribute_row(file, line, cells, schema)
        except InputError as error:
            yield fatal(file, error)
            continue
        for count, label in zip(counts, row.labels, strict=True):
            count[label] += label >= 0
        if cameras and row.camera not in cameras:
            yield Finding(False, place, f"camera must be one of district.yaml, got {shown(row.camera)}")
        if first_lines.setdefault(row.image, line) != line:
            yield Finding(False, place, f"{row.image} is also in line {first_lines[row.image]}; it counts twice")
            continue
        named.add(row.image)
        if (images / row.image).exists() or row.image.casefold() not in others:
            checks.look_at(images / row.image, place)
        else:
            message = (
                f"{images / row.image} must be a picture; it is missing, but there is {others[row.image.casefold()]}"
            )
            yield Finding(True, place, message)
    yield from checks.summary()
    if file.stem == "train":
        yield from _check_counts(file, schema, counts)


def _check_counts(file: Path, schema: AttributeSchema, counts: list[np.ndarray]) -> Iterator[Finding]:
    for group, count in zip(schema.groups, counts, strict=True):
        for name, number in zip(group.label_names, count, strict=True):
            if number < _FEW_LABELS:
                yield Finding(False, str(file), f"{group.name}={name} occurs {number} times; too few to learn from")
