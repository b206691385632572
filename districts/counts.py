"""What a district's data hold, counted by split, camera, identity and label, as records for the data report."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from districts.box_files import parse_labels, parse_tracks
from districts.layout import (
    DISTRACTOR_IDENTITY,
    JUNK_IDENTITY,
    REID_PARTS,
    SPLITS,
    AttributeTable,
    District,
    annotated_cameras,
    filmed_cameras,
    find_pictures,
    identity_and_camera,
    read_attribute_split,
    read_district,
)
from domain.attributes import AttributeSchema
from domain.errors import InputError
from domain.schemas import schema_in

Records = list[dict[str, str | int]]


def counts_of(folder: Path) -> dict[str, Records]:
    """Records by what they count, of the parts of the district in `folder` that can be read."""
    try:
        district = read_district(folder)
    except InputError:
        district = None
    tables = _attribute_tables(folder, district)
    crops: dict[str, list[tuple[int, int]]]
    crops = {part: _crops(folder / "reid" / part) for part in REID_PARTS if (folder / "reid" / part).is_dir()}
    counted = {
        "detection by split": _detection(folder / "detection"),
        "re-ID by part": [_reid(part, named) for part, named in crops.items()],
        "attributes by split": [_attributes(split, table) for split, (table, _) in tables.items()],
        "data by camera": _cameras(folder, district, crops, tables) if district is not None else [],
        "labels": list(_labels(tables)),
        "re-ID by identity": list(_identities(crops)),
    }
    return {title: records for title, records in counted.items() if records}


def _detection(folder: Path) -> Records:
    records: Records = []
    for split in SPLITS:
        images = folder / "images" / split
        if not images.is_dir():
            continue
        numbers = [_number_of_boxes(folder / "labels" / split / f"{file.stem}.txt") for file in find_pictures(images)]
        without = numbers.count(0)
        records.append({"split": split, "pictures": len(numbers), "person": sum(numbers), "without people": without})
    return records


def _number_of_boxes(file: Path) -> int:
    try:
        return len(parse_labels(file)[0]) if file.is_file() else 0
    except InputError:
        return 0


def _crops(folder: Path) -> list[tuple[int, int]]:
    """Identity and camera of each crop whose name says them."""
    crops = []
    for picture in find_pictures(folder):
        try:
            crops.append(identity_and_camera(picture))
        except InputError:
            continue
    return crops


def _reid(part: str, crops: list[tuple[int, int]]) -> dict[str, str | int]:
    identities = [identity for identity, _ in crops]
    return {
        "part": part,
        "crops": len(crops),
        "identities": len({identity for identity in identities if identity > DISTRACTOR_IDENTITY}),
        "cameras": len({camera for _, camera in crops}),
        "junk": identities.count(JUNK_IDENTITY),
        "distractors": identities.count(DISTRACTOR_IDENTITY),
    }


def _identities(crops: dict[str, list[tuple[int, int]]]) -> Iterator[dict[str, str | int]]:
    for part, named in crops.items():
        numbers = Counter(identity for identity, _ in named)
        cameras: dict[int, set[int]] = {}
        for identity, camera in named:
            cameras.setdefault(identity, set()).add(camera)
        for identity, number in sorted(numbers.items()):
            if identity > DISTRACTOR_IDENTITY:
                yield {"part": part, "identity": identity, "crops": number, "cameras": len(cameras[identity])}


def _attribute_tables(folder: Path, district: District | None) -> dict[str, tuple[AttributeTable, AttributeSchema]]:
    """The readable tables of the attribute set."""
    tables: dict[str, tuple[AttributeTable, AttributeSchema]] = {}
    if district is None or not (folder / "attributes").is_dir():
        return tables
    for split in SPLITS:
        try:
            schema = schema_in(folder, district.attribute_schema)
            tables[split] = read_attribute_split(folder, split, schema), schema
        except InputError:
            continue
    return tables


def _attributes(split: str, table: AttributeTable) -> dict[str, str | int]:
    identities, cameras = len({*table.identities.tolist()} - {-1}), len({*table.cameras})
    return {"split": split, "pictures": len(table.images), "identities": identities, "cameras": cameras}


def _labels(tables: dict[str, tuple[AttributeTable, AttributeSchema]]) -> Iterator[dict[str, str | int]]:
    """Each label in English and Korean, with the pictures of each split that have it."""
    schema = next((schema for _, schema in tables.values()), None)
    for column, group in enumerate(schema.groups if schema is not None else ()):
        for number, label in enumerate(group.labels):
            record: dict[str, str | int] = {"group": group.name, "label": label.name}
            record["한국어"] = f"{group.korean}: {label.korean}"
            for split, (table, _) in tables.items():
                record[split] = int((table.labels[:, column] == number).sum())
            yield record


def _cameras(
    folder: Path,
    district: District,
    crops: dict[str, list[tuple[int, int]]],
    tables: dict[str, tuple[AttributeTable, AttributeSchema]],
) -> Records:
    numbers = {part: Counter(camera for _, camera in named) for part, named in crops.items()}
    rows = Counter(camera for table, _ in tables.values() for camera in table.cameras)
    filmed, annotated = ({camera.id for camera in of(folder, district)} for of in (filmed_cameras, annotated_cameras))
    records: Records = []
    for number, camera in enumerate(district.cameras, start=1):
        record: dict[str, str | int] = {"camera": camera.id, "name": camera.name}
        record |= {part: counted[number] for part, counted in numbers.items()}
        record |= {"attributes": rows[camera.id]} if tables else {}
        record |= {"video": "yes" if camera.id in filmed else "no"} if filmed else {}
        if annotated:
            boxes, people = _ground_truth(folder / "videos" / f"{camera.id}.txt")
            record |= {"boxes in video": boxes, "identities in video": people}
        records.append(record)
    return records


def _ground_truth(file: Path) -> tuple[int, int]:
    """Number of boxes that count, and of their people."""
    try:
        table = parse_tracks(file).table if file.is_file() else None
    except InputError:
        table = None
    if table is None:
        return 0, 0
    return int(table.is_counted.sum()), len(np.unique(table.tracks[table.is_counted]))
