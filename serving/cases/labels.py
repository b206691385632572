"""Judged sightings of cases as labelled crops, for retraining."""

import csv
from pathlib import Path

import sqlalchemy as sa

from domain.atomic import atomic_folder
from domain.csv_cells import inert
from serving.cases.standing import Standing, sightings_standing
from serving.database import queries
from serving.database.districts import stored_districts
from serving.database.store import Store

_COLUMNS = ("file", "identity", "case", "verdict", "district", "camera_id", "tracklet_id", "first_seen", "last_seen")
_CROPS = "bounding_box_train"


def export_labels(store: Store, folder: Path) -> int:
    """Writes the crops and `labels.csv` to a new `folder`, all or nothing; returns the number of crops.

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
    return number


def _judged(store: Store) -> list[tuple[int, str, int, str]]:
    """Case, district, tracklet id and standing, confirmed or rejected, of each judged sighting, in this order."""
    with store.begin() as connection:
        return sorted(
            (case, *key, standing)
            for standing in (Standing.CONFIRMED, Standing.REJECTED)
            for case, key in sightings_standing(connection, sa.true(), standing)
        )
