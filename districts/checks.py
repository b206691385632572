"""Checks of a district's data before training; each defect is reported with its file and line.

Fatal: training or evaluation would break, or its figures would mean nothing. Warning: worth a look.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from districts.box_files import read_tracks
from districts.detection_checks import check_detection
from districts.findings import Finding
from districts.layout import (
    DISTRACTOR_IDENTITY,
    District,
    ReidPart,
    ReidTable,
    Split,
    find_pictures,
    read_attribute_row,
    read_district,
    read_problems,
    read_reid_folder,
)
from domain.attributes import AttributeSchema
from domain.errors import InputError, shown
from domain.foreign_files import read_rows
from domain.images import read_image, require_picture
from domain.schemas import read_schema
from domain.video_probe import opened_video

_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_REID_PARTS: tuple[ReidPart, ...] = ("bounding_box_train", "bounding_box_val", "query", "bounding_box_test")
_FEW_LABELS = 5


def check_district(folder: Path) -> list[Finding]:
    """All defects of the district in `folder`; only the parts that exist are checked."""
    try:
        district = read_district(folder)
        schema = read_schema(_schema_file(folder, district.attribute_schema))
    except InputError as error:
        return [Finding(True, str(folder / "district.yaml"), str(error))]
    parts = {
        "detection": lambda: check_detection(folder, _SPLITS),
        "attributes": lambda: _check_attributes(folder, schema, {camera.id for camera in district.cameras}),
        "reid": lambda: _check_reid(folder, len(district.cameras)),
        "videos": lambda: _check_videos(folder, district, schema),
    }
    present = [name for name in parts if (folder / name).is_dir()]
    findings = [finding for name in present for finding in parts[name]()]
    if not present:
        findings.append(Finding(True, str(folder), f"must hold one of {', '.join(parts)}, got none"))
    findings.extend(_check_identities(folder))
    return findings


def _schema_file(folder: Path, schema: str) -> str | Path:
    return folder / schema if schema.endswith((".yaml", ".yml")) else schema


def _check_attributes(folder: Path, schema: AttributeSchema, cameras: set[str]) -> Iterator[Finding]:
    for split in _SPLITS:
        file = folder / "attributes" / f"{split}.csv"
        if not file.is_file():
            yield Finding(True, str(file), "must exist")
            continue
        try:
            rows = read_rows(file, ("image", "identity", "camera", *schema.group_names))
        except InputError as error:
            yield Finding(True, str(file), str(error))
            continue
        if not rows:
            yield Finding(True, str(file), "must list pictures, got none")
        yield from _check_attribute_rows(file, rows, schema, cameras)


def _check_attribute_rows(
    file: Path, rows: list[dict[str, str]], schema: AttributeSchema, cameras: set[str]
) -> Iterator[Finding]:
    counts = [np.zeros(len(group.labels), np.int64) for group in schema.groups]
    for line, row in enumerate(rows, start=2):
        try:
            _, labels = read_attribute_row(file, line, row, schema)
        except InputError as error:
            yield Finding(True, f"{file}, line {line}", str(error))
            continue
        for count, label in zip(counts, labels, strict=True):
            count[label] += label >= 0
        if cameras and row["camera"] not in cameras:
            yield Finding(
                False, f"{file}, line {line}", f"camera must be one of district.yaml, got {shown(row['camera'])}"
            )
        picture = file.parent / "images" / row["image"]
        if not _is_picture(picture):
            yield Finding(True, f"{file}, line {line}", f"{picture} must be a readable picture")
    if file.stem != "train":
        return
    for group, count in zip(schema.groups, counts, strict=True):
        for name, number in zip(group.label_names, count, strict=True):
            if number < _FEW_LABELS:
                yield Finding(False, str(file), f"{group.name}={name} occurs {number} times; too few to learn from")


def _check_reid(folder: Path, num_cameras: int) -> Iterator[Finding]:
    tables: dict[ReidPart, ReidTable] = {}
    for part in _REID_PARTS:
        if part == "bounding_box_val" and not (folder / "reid" / part).is_dir():
            continue
        try:
            tables[part] = read_reid_folder(folder, part)
        except InputError as error:
            yield Finding(True, str(folder / "reid" / part), str(error))
            continue
        table, place, unknown = tables[part], folder / "reid" / part, set[int]()
        for name, camera in zip(table.images, table.cameras, strict=True):
            if not _is_picture(place / name):
                yield Finding(True, str(place / name), "must be a readable picture")
            if num_cameras and not 1 <= camera <= num_cameras and camera not in unknown:
                unknown.add(camera)  # reported once per camera
                yield Finding(False, str(place / name), f"camera must be 1 to {num_cameras}, got {camera}")
    for part in tables.keys() & {"bounding_box_train", "bounding_box_val"}:
        table = tables[part]
        people = table.identities[table.identities > DISTRACTOR_IDENTITY]
        for identity, number in zip(*np.unique(people, return_counts=True), strict=True):
            if number == 1:
                message = f"identity {identity} has a single picture and so no positive pair; add another picture"
                yield Finding(False, str(folder / "reid" / part), message)
    if {"query", "bounding_box_test"} <= set(tables):
        yield from _check_queries(folder, tables["query"], tables["bounding_box_test"])


def _check_queries(folder: Path, query: ReidTable, gallery: ReidTable) -> Iterator[Finding]:
    num_matched = 0
    for name, identity, camera in zip(query.images, query.identities, query.cameras, strict=True):
        if np.any((gallery.identities == identity) & (gallery.cameras != camera)):
            num_matched += 1
        else:
            place = str(folder / "reid" / "query" / name)
            yield Finding(
                False,
                place,
                f"identity {identity} must also be in bounding_box_test from another camera; this query is not scored",
            )
    if not num_matched:
        yield Finding(
            True,
            str(folder / "reid" / "query"),
            "at least one query must have a match from another camera in bounding_box_test, got none",
        )


def _check_videos(folder: Path, district: District, schema: AttributeSchema) -> Iterator[Finding]:
    identities: dict[int, set[str]] = {}
    for camera in district.cameras:
        video, truth = folder / "videos" / f"{camera.id}.mp4", folder / "videos" / f"{camera.id}.txt"
        problem = _video_problem(video)
        if problem:
            yield Finding(True, str(video), problem)
        if camera.start is None or camera.start.tzinfo is None:
            message = f"camera {camera.id} must have a start with a time zone, got {camera.start}"
            yield Finding(True, str(folder / "district.yaml"), message)
        try:
            for identity in np.unique(read_tracks(truth).tracks):
                identities.setdefault(int(identity), set()).add(camera.id)
        except InputError as error:
            yield Finding(True, str(truth), str(error))
    yield from _check_problems(folder, schema, identities)


def _check_problems(folder: Path, schema: AttributeSchema, identities: dict[int, set[str]]) -> Iterator[Finding]:
    file = folder / "videos" / "problems.yaml"
    try:
        problems = read_problems(folder)
    except InputError as error:
        yield Finding(True, str(file), str(error))
        return
    for number, problem in enumerate(problems, start=1):
        place = f"{file}, entry {number}"
        cameras = identities.get(problem.identity, set())
        if problem.camera not in cameras:
            yield Finding(True, place, f"identity {problem.identity} must be in the ground truth of {problem.camera}")
        elif len(cameras) == 1:
            yield Finding(
                True,
                place,
                f"identity {problem.identity} must also be in the ground truth of another camera than {problem.camera}",
            )
        for crop in problem.crops:
            if not _is_picture(folder / "videos" / crop):
                yield Finding(True, place, f"{crop} must be a readable picture")
        for group, label in problem.attributes.items():
            if group not in schema.group_names or label not in schema.group(group).label_names:
                yield Finding(True, place, f"{group}={label} must be in the attribute schema {schema.name}")


def _is_picture(file: Path) -> bool:
    try:
        require_picture(file)
        read_image(file)
    except InputError:
        return False
    return True


def _video_problem(file: Path) -> str | None:
    """Defect of a video, or None; only the first frame is decoded."""
    if not file.is_file():
        return "must exist"
    try:
        with opened_video(file) as container:
            next(container.decode(video=0))
    except InputError as error:
        return str(error)
    except (av.FFmpegError, StopIteration) as error:
        return f"must be a video that FFmpeg can decode, got {error or 'no frame'}"
    return None


def _check_identities(folder: Path) -> Iterator[Finding]:
    """Identities in more than one split: figures for people seen in training would be worthless."""
    splits: dict[str, dict[int, str]] = {
        split: _attribute_identities(folder / "attributes" / f"{split}.csv") for split in _SPLITS
    }
    yield from _shared(splits)
    parts = {part: _reid_identities(folder / "reid" / part) for part in _REID_PARTS}
    reid = {
        "bounding_box_train": parts["bounding_box_train"],
        "bounding_box_val": parts["bounding_box_val"],
        "query and bounding_box_test": parts["query"] | parts["bounding_box_test"],
    }
    yield from _shared(reid)


def _shared(splits: dict[str, dict[int, str]]) -> Iterator[Finding]:
    names = list(splits)
    for i, first in enumerate(names):
        for other in names[i + 1 :]:
            for identity in sorted(splits[first].keys() & splits[other].keys()):
                message = (
                    f"splits must share no identity; identity {identity} is also in {first} ({splits[first][identity]})"
                )
                yield Finding(True, splits[other][identity], message)


def _attribute_identities(file: Path) -> dict[int, str]:
    """File and line of the first row of each identity."""
    if not file.is_file():
        return {}
    try:
        rows = list(enumerate(read_rows(file, ()), start=2))
    except InputError:  # `_check_attributes` says why
        return {}
    values = [(line, row.get("identity", "")) for line, row in reversed(rows)]
    return {int(value): f"{file}, line {line}" for line, value in values if value.isdecimal() and len(value) < 10}


def _reid_identities(folder: Path) -> dict[int, str]:
    """First file of each identity, without junk and distractors."""
    if not folder.is_dir():
        return {}
    names = [(path.name.partition("_")[0], str(path)) for path in reversed(find_pictures(folder))]
    numbers = [(int(value), place) for value, place in names if value.isdecimal() and len(value) < 10]
    return {value: place for value, place in numbers if value > DISTRACTOR_IDENTITY}
