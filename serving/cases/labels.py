"""Judged and corrected sightings of cases as labelled crops, for retraining."""

import csv
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from domain.atomic import atomic_folder
from domain.csv_cells import inert
from serving.cases.corrections import last_corrections
from serving.cases.standing import Standing, sightings_standing
from serving.database import queries, tables
from serving.database.districts import stored_districts
from serving.database.store import Store
from serving.search.search import SightingKey

_COLUMNS = ("file", "identity", "case", "verdict", "district", "camera_id", "tracklet_id", "first_seen", "last_seen")
_CROPS = "bounding_box_train"


@dataclass(frozen=True)
class Exported:
    """Numbers of crops."""

    judged: int
    corrected: int


def export_labels(store: Store, folder: Path) -> Exported:
    """Writes the crops, `labels.csv` and the attributes that people corrected to a new `folder`, all or nothing.

    Raises:
        ArtifactError: if a crop cannot be decrypted.
    """
    judged = _judged(store)
    confirmed_cases = sorted({case for case, _, _, verdict in judged if verdict == Standing.CONFIRMED})
    identity_of_case = {case: identity for identity, case in enumerate(confirmed_cases, start=1)}
    with store.begin() as connection:
        stored = queries.tracklets(connection, {(row[1], row[2]) for row in judged})
        districts = stored_districts(connection)
    cameras = [(district.name, camera.id) for district in districts for camera in district.cameras]
    tracklets = {(tracklet.district, tracklet.id): tracklet for tracklet in stored}
    number = 0
    with atomic_folder(folder) as aside, (aside / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        (aside / _CROPS).mkdir()
        table = csv.DictWriter(file, _COLUMNS)
        table.writeheader()
        for case, district, tracklet_id, verdict in judged:
            tracklet = tracklets.get((district, tracklet_id))
            if tracklet is None:
                continue
            identity = identity_of_case[case] if verdict == Standing.CONFIRMED else 0
            camera = cameras.index((district, tracklet.camera.id)) + 1
            name = f"{identity:04d}_c{camera}s1_{number:06d}_00.jpg"
            (aside / _CROPS / name).write_bytes(store.crops.read(tracklet.crop))
            times = tracklet.first_seen.isoformat(), tracklet.last_seen.isoformat()
            cells = (name, identity, case, verdict, district, tracklet.camera.id, tracklet_id, *times)
            table.writerow(inert(dict(zip(_COLUMNS, cells, strict=True))))
            number += 1
        people = {row[1:3]: identity_of_case[row[0]] for row in judged if row[3] == Standing.CONFIRMED}
        corrected = _write_corrected(store, aside / "attributes", people, len(confirmed_cases))
    return Exported(number, corrected)


def _write_corrected(store: Store, folder: Path, people: dict[SightingKey, int], last_identity: int) -> int:
    """Writes corrected sightings as a training split of `districts.layout`; returns their number.

    Groups that nobody corrected are unknown. Sightings that no case confirms get identities of their own.
    """
    labels: dict[SightingKey, dict[str, str]] = {}
    with store.begin() as connection:
        for row in connection.execute(last_corrections(sa.true())):
            labels.setdefault((row.district, row.tracklet_id), {})[row.group_name] = row.label
        known = connection.execute(sa.select(tables.attribute_labels.c.group_name).distinct()).scalars().all()
        stored = queries.tracklets(connection, labels) if labels else []
    if not stored:
        return 0
    groups = sorted({*known, *(group for each in labels.values() for group in each)})
    (folder / "images").mkdir(parents=True)
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["image", "identity", "camera", *groups])
        table.writeheader()
        for number, one in enumerate(sorted(stored, key=lambda each: (each.district, each.id)), start=1):
            key, image = (one.district, one.id), f"{number:06d}.jpg"
            (folder / "images" / image).write_bytes(store.crops.read(one.crop))
            identity = people.get(key, last_identity + number)
            told = {"image": image, "identity": identity, "camera": one.camera.id, **labels[key]}
            table.writerow(inert(dict.fromkeys(groups, "") | told))
    return len(stored)


def _judged(store: Store) -> list[tuple[int, str, int, str]]:
    """Case, district, tracklet id and standing, confirmed or rejected, of each judged sighting, in this order."""
    with store.begin() as connection:
        return sorted(
            (case, *key, standing)
            for standing in (Standing.CONFIRMED, Standing.REJECTED)
            for case, key in sightings_standing(connection, sa.true(), standing)
        )
