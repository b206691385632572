"""Checks of a district's re-ID set."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from districts.findings import Finding, fatal
from districts.layout import (
    DISTRACTOR_IDENTITY,
    REID_PARTS,
    ReidPart,
    find_pictures,
    identity_and_camera,
)
from districts.pictures import PictureChecks, equal_but_for_case, unread
from domain.errors import InputError

_TRAINED: tuple[ReidPart, ...] = ("bounding_box_train", "bounding_box_val")
_Named = dict[Path, tuple[int, int]]  # picture -> identity and camera


def check_reid(folder: Path, num_cameras: int) -> Iterator[Finding]:
    """Defects in the re-ID set of the district in `folder`; 0 cameras: their number is unknown."""
    named: dict[ReidPart, _Named] = {}
    for part in REID_PARTS:
        place = folder / "reid" / part
        if not place.is_dir():
            if part != "bounding_box_val":
                yield Finding(True, str(place), "must be a folder of pictures; it is missing")
            continue
        yield from unread(place)
        named[part] = {}
        for picture in find_pictures(place):
            try:
                named[part][picture] = identity_and_camera(picture)
            except InputError as error:
                yield fatal(picture, error)
        yield from _check_pictures(place, named[part], num_cameras, is_evaluated=part != "bounding_box_train")
    for part in named.keys() & set(_TRAINED):
        yield from _check_positive_pairs(folder / "reid" / part, named[part])
    if {"query", "bounding_box_test"} <= set(named):
        yield from _check_queries(folder, named["query"], named["bounding_box_test"])


def _check_pictures(place: Path, named: _Named, num_cameras: int, *, is_evaluated: bool) -> Iterator[Finding]:
    if not find_pictures(place):
        yield Finding(True, str(place), "must hold pictures, got none")
    checks, unknown = PictureChecks(place, is_evaluated), set[int]()
    for picture, (_, camera) in named.items():
        checks.look_at(picture)
        if num_cameras and not 1 <= camera <= num_cameras and camera not in unknown:
            unknown.add(camera)  # reported once per camera
            yield Finding(False, str(picture), f"camera must be 1 to {num_cameras}, got {camera}")
    yield from checks.summary()
    for other, name in equal_but_for_case(picture.name for picture in named):
        message = f"differs from {other} in case alone: other systems take them for one file"
        yield Finding(False, str(place / name), message)


def _check_positive_pairs(place: Path, named: _Named) -> Iterator[Finding]:
    people = np.array([identity for identity, _ in named.values() if identity > DISTRACTOR_IDENTITY], np.int64)
    for identity, number in zip(*np.unique(people, return_counts=True), strict=True):
        if number == 1:
            message = f"identity {identity} has a single picture and so no positive pair; add another picture"
            yield Finding(False, str(place), message)


def _check_queries(folder: Path, query: _Named, gallery: _Named) -> Iterator[Finding]:
    cameras: dict[int, set[int]] = {}
    for identity, camera in gallery.values():
        cameras.setdefault(identity, set()).add(camera)
    num_matched = 0
    for picture, (identity, camera) in query.items():
        if cameras.get(identity, set()) - {camera}:
            num_matched += 1
        else:
            message = (
                f"identity {identity} must also be in bounding_box_test from another camera; this query is not scored"
            )
            yield Finding(False, str(picture), message)
    if query and not num_matched:
        message = "at least one query must have a match from another camera in bounding_box_test, got none"
        yield Finding(True, str(folder / "reid" / "query"), message)
