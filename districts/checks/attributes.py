"""Checks of a district's attribute set."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from districts.checks.pictures import PictureChecks, unread
from districts.checks.readings import Readings
from districts.findings import Finding, Shown, fatal, gathered, listed
from districts.layout import SPLITS, AttributeRow, find_pictures, read_attribute_row, read_attribute_rows
from domain.attributes import AttributeSchema, Group
from domain.errors import InputError, shown

_FEW_LABELS = 5
_LARGEST_SHARE = 0.9  # of a label in its group


def check_attributes(folder: Path, schema: AttributeSchema, cameras: set[str], readings: Readings) -> Iterator[Finding]:
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
        checks = PictureChecks(images, readings, is_evaluated=split != "train")
        yield from _check_rows(file, rows, schema, cameras, named, checks)
    yield from _check_contradictions(folder, schema, readings)
    if images.is_dir() and (unnamed := [file.name for file in find_pictures(images) if file.name not in named]):
        pictures = tuple(Shown(images / name) for name in unnamed)
        yield Finding(False, str(images), f"{len(unnamed)} pictures are in no table: {listed(unnamed)}", pictures)


def _check_rows(
    file: Path,
    rows: dict[int, dict[str, str]],
    schema: AttributeSchema,
    cameras: set[str],
    named: set[str],
    checks: PictureChecks,
) -> Iterator[Finding]:
    """Defects of a table; adds its pictures to `named`."""
    counts = [np.zeros(len(group.labels), np.int64) for group in schema.groups]
    images = checks.folder
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
    few = [
        f"{group.name}={name} ({number})"
        for group, count in zip(schema.groups, counts, strict=True)
        for name, number in zip(group.label_names, count, strict=True)
        if number < _FEW_LABELS
    ]
    if few:
        message = f"labels that fewer than {_FEW_LABELS} pictures have, too few to learn from: {listed(few)}"
        yield Finding(False, str(file), message)
    if unequal := [text for group, count in zip(schema.groups, counts, strict=True) for text in _unequal(group, count)]:
        message = (
            f"labels that nearly all pictures of their group have; a model may answer only them: {listed(unequal)}"
        )
        yield Finding(False, str(file), message)


def _unequal(group: Group, count: np.ndarray) -> Iterator[str]:
    """The label that has nearly all pictures of a group, where another label has some."""
    share, total = count.max() / max(count.sum(), 1), count.sum()
    if _LARGEST_SHARE <= share < 1:
        yield f"{group.name}={group.label_names[int(count.argmax())]} ({count.max()} of {total})"


def _check_contradictions(folder: Path, schema: AttributeSchema, readings: Readings) -> Iterator[Finding]:
    """Pictures of the attribute set that are in the tables repeatedly, by name or byte for byte, with other labels."""
    images, rows = folder / "attributes" / "images", list(_rows_of(folder, schema))
    digests = readings.digests([images / row.image for _, row in rows])
    seen: dict[str, tuple[str, AttributeRow]] = {}
    found = []
    for place, row in rows:
        other_place, other = seen.setdefault(digests.get(images / row.image, row.image), (place, row))
        differing = [
            f"{group.name}={group.label_names[label]} and {group.label_names[other_label]}"
            for group, label, other_label in zip(schema.groups, row.labels, other.labels, strict=True)
            if label != other_label and min(label, other_label) >= 0
        ]
        if differing:
            message = f"{row.image} must have the labels that it has in {other_place}, got {', '.join(differing)}"
            found.append(Finding(False, place, message, (Shown(images / row.image),)))
    yield from gathered(
        found, folder / "attributes", "rows contradict the labels that their picture has in another row"
    )


def _rows_of(folder: Path, schema: AttributeSchema) -> Iterator[tuple[str, AttributeRow]]:
    """The readable rows of all tables, each with its place."""
    for split in SPLITS:
        file = folder / "attributes" / f"{split}.csv"
        try:
            rows = read_attribute_rows(file, schema) if file.is_file() else {}
        except InputError:  # `check_attributes` says why
            continue
        for line, cells in rows.items():
            with suppress(InputError):
                yield f"{file}, line {line}", read_attribute_row(file, line, cells, schema)
