"""Checks of what splits must not share: figures for people and pictures of the training are worth nothing."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from districts.checks.readings import Readings
from districts.findings import Finding, Shown, gathered
from districts.layout import (
    DISTRACTOR_IDENTITY,
    REID_PARTS,
    SPLITS,
    find_pictures,
    identity_and_camera,
    whole_number,
)
from domain.errors import InputError
from domain.foreign_files import read_rows

_EVALUATED = "query and bounding_box_test"


def check_identities(folder: Path) -> Iterator[Finding]:
    """Identities in more than one split."""
    yield from _shared({split: _attribute_identities(folder / "attributes" / f"{split}.csv") for split in SPLITS})
    parts = {part: _reid_identities(folder / "reid" / part) for part in REID_PARTS}
    reid = {
        "bounding_box_train": parts["bounding_box_train"],
        "bounding_box_val": parts["bounding_box_val"],
        _EVALUATED: parts["query"] | parts["bounding_box_test"],
    }
    yield from _shared(reid)


def check_same_pictures(folder: Path, readings: Readings, *, is_published: bool) -> Iterator[Finding]:
    """Pictures that are byte for byte the same in two splits.

    Fatal for people: attributes and re-ID, as a shared identity is, but in a set that `is_published`. A warning for
    scenes, and for a query that is also in the gallery.
    """
    detection: dict[str, list[Path]] = {split: _pictures(folder / "detection" / "images" / split) for split in SPLITS}
    yield from _same(detection, readings, is_fatal=False)
    attributes: dict[str, list[Path]] = {split: attribute_pictures(folder / "attributes", split) for split in SPLITS}
    yield from _same(attributes, readings, is_fatal=not is_published)
    parts: dict[str, list[Path]] = {part: _pictures(folder / "reid" / part) for part in REID_PARTS}
    query, gallery = parts.pop("query"), parts.pop("bounding_box_test")
    yield from _same({**parts, _EVALUATED: [*query, *gallery]}, readings, is_fatal=not is_published)
    yield from _same({"bounding_box_test": gallery, "query": query}, readings, is_fatal=False)


def _same(splits: Mapping[str, Sequence[Path]], readings: Readings, *, is_fatal: bool) -> Iterator[Finding]:
    digests = readings.digests([file for files in splits.values() for file in files])
    for first, other in combinations(splits, 2):
        by_digest = {digests[file]: file for file in reversed(splits[first]) if file in digests}
        found = []
        for file in splits[other]:
            if file in digests and (twin := by_digest.get(digests[file])) is not None:
                message = f"splits must share no picture; this one is byte for byte {twin} in {first}"
                found.append(Finding(is_fatal, str(file), message, (Shown(file), Shown(twin))))
        message = (
            f"of {len(splits[other])} pictures of {other} are byte for byte in {first}; splits must share no picture"
        )
        yield from gathered(found, splits[other][0].parent if found else Path(), message)


def _pictures(folder: Path) -> list[Path]:
    return find_pictures(folder) if folder.is_dir() else []


def _shared(splits: dict[str, dict[int, str]]) -> Iterator[Finding]:
    for first, other in combinations(splits, 2):
        found = []
        for identity in sorted(splits[first].keys() & splits[other].keys()):
            message = (
                f"splits must share no identity; identity {identity} is also in {first} ({splits[first][identity]})"
            )
            found.append(Finding(True, splits[other][identity], message))
        message = f"of {len(splits[other])} identities of {other} are also in {first}; splits must share no identity"
        place = Path(found[0].place.partition(", line ")[0]).parent if found else Path()
        yield from gathered(found, place, message)


def attribute_pictures(folder: Path, split: str) -> list[Path]:
    """Pictures that a table of the attribute set in `folder` names; none if it cannot be read."""
    names = [row["image"].replace("\\", "/") for row in rows_of(folder / f"{split}.csv", "image").values()]
    return [folder / "images" / name for name in names if name]


def _attribute_identities(file: Path) -> dict[int, str]:
    """File and line of the first row of each identity."""
    numbers = [(line, whole_number(row["identity"])) for line, row in rows_of(file, "identity").items()]
    return {number: f"{file}, line {line}" for line, number in reversed(numbers) if number is not None and number >= 0}


def rows_of(file: Path, column: str) -> dict[int, dict[str, str]]:
    """Rows of a table by line; none if it is missing or cannot be read."""
    try:
        return read_rows(file, (column,)) if file.is_file() else {}
    except InputError:  # `check_attributes` says why
        return {}


def _reid_identities(folder: Path) -> dict[int, str]:
    """First file of each identity, without junk and distractors."""
    places: dict[int, str] = {}
    for picture in _pictures(folder):
        try:
            identity, _ = identity_and_camera(picture)
        except InputError:  # `check_reid` says why
            continue
        if identity > DISTRACTOR_IDENTITY:
            places.setdefault(identity, str(picture))
    return places
