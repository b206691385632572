"""Checks of a district's re-ID set."""

from collections.abc import Iterator
from pathlib import Path

from districts.checks.pictures import PictureChecks, equal_but_for_case, unread
from districts.checks.readings import Readings
from districts.findings import Finding, Shown, fatal, gathered, listed
from districts.layout import (
    DISTRACTOR_IDENTITY,
    REID_PARTS,
    ReidPart,
    find_pictures,
    identity_and_camera,
    read_crop_times,
)
from domain.errors import InputError

_TRAINED: tuple[ReidPart, ...] = ("bounding_box_train", "bounding_box_val")
_Named = dict[Path, tuple[int, int]]  # picture -> identity and camera


def check_reid(folder: Path, num_cameras: int, readings: Readings) -> Iterator[Finding]:
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
        checks = PictureChecks(place, readings, is_evaluated=part != "bounding_box_train")
        yield from _check_pictures(named[part], num_cameras, checks)
    for part in named.keys() & set(_TRAINED):
        yield from _check_positive_pairs(folder / "reid" / part, named[part])
    times = folder / "reid" / "times.csv"
    try:
        read_crop_times(times)
    except InputError as error:
        yield fatal(times, error)
    if {"query", "bounding_box_test"} <= set(named):
        yield from _check_queries(folder, named["query"], named["bounding_box_test"])


def _check_pictures(named: _Named, num_cameras: int, checks: PictureChecks) -> Iterator[Finding]:
    place, unknown = checks.folder, set[int]()
    if not find_pictures(place):
        yield Finding(True, str(place), "must hold pictures, got none")
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
    people: dict[int, dict[Path, int]] = {}
    for picture, (identity, camera) in named.items():
        if identity > DISTRACTOR_IDENTITY:
            people.setdefault(identity, {})[picture] = camera
    single = []
    for identity, (picture, *others) in sorted(people.items()):
        if not others:
            message = f"identity {identity} has a single picture and so no positive pair; add another picture"
            single.append(Finding(False, str(place), message, (Shown(picture),)))
    yield from gathered(single, place, "identities have a single picture and so no positive pair")
    if place.name == "bounding_box_train":
        yield from _check_single_cameras(place, people)


def _check_single_cameras(place: Path, people: dict[int, dict[Path, int]]) -> Iterator[Finding]:
    """Training identities that a single camera sees, where there are several cameras."""
    of_one = {
        number: next(iter(seen)) for number, seen in people.items() if len(seen) > 1 and len({*seen.values()}) == 1
    }
    if of_one and len({camera for seen in people.values() for camera in seen.values()}) > 1:
        numbers = listed([str(identity) for identity in sorted(of_one)])
        message = (
            f"{len(of_one)} of {len(people)} identities are seen by one camera only and teach nothing across cameras: "
        )
        yield Finding(False, str(place), message + numbers, tuple(Shown(picture) for picture in of_one.values()))


def _check_queries(folder: Path, query: _Named, gallery: _Named) -> Iterator[Finding]:
    cameras: dict[int, set[int]] = {}
    for identity, camera in gallery.values():
        cameras.setdefault(identity, set()).add(camera)
    unmatched = []
    for picture, (identity, camera) in query.items():
        if not cameras.get(identity, set()) - {camera}:
            message = (
                f"identity {identity} must also be in bounding_box_test from another camera; this query is not scored"
            )
            unmatched.append(Finding(False, str(picture), message, (Shown(picture),)))
    message = "queries are not scored: their identities must also be in bounding_box_test from another camera"
    yield from gathered(unmatched, folder / "reid" / "query", message)
    if query and len(unmatched) == len(query):
        message = "at least one query must have a match from another camera in bounding_box_test, got none"
        yield Finding(True, str(folder / "reid" / "query"), message)
