"""Judged sightings as labels for retraining: `python -m serving.labels FOLDER`.

    FOLDER/bounding_box_train/0001_c3s1_000042_00.jpg    Market-1501 names: identity, camera, tracklet, crop
    FOLDER/labels.csv    file, identity, case, verdict, district, camera_id, tracklet_id, first_seen, last_seen

Each case with a confirmed sighting is an identity, numbered from 1 by case; sightings rejected in a case show somebody
else, nobody knows whom, and get the identity 0 (a distractor). The last verdict on a sighting counts. Cameras are
numbered by district and id. What is stored no more is left out. Stage `prepare` takes the folder as `district.labels`.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from domain.atomic import atomic_folder
from domain.errors import InputError
from domain.stage import run_stage
from serving.cases.cases import Verdict
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.store import Store, open_store
from serving.deployment import ServingSettings

_COLUMNS = ("file", "identity", "case", "verdict", "district", "camera_id", "tracklet_id", "first_seen", "last_seen")
_CROPS = "bounding_box_train"


def main(argv: Sequence[str] = ()) -> None:
    """Write the labels of all cases, which the audit records.

    Raises:
        InputError: if the folder exists, or the database does not answer.
        ArtifactError: if a crop does not open.
    """
    parser = argparse.ArgumentParser(prog="python -m serving.labels", description="Judged sightings as labels.")
    parser.add_argument("folder", type=Path, help="does not exist yet")
    folder = parser.parse_args(argv).folder
    if folder.exists():
        raise InputError(f"labels must go to a folder that does not exist yet, got {folder}")
    with open_store(ServingSettings.from_params("serving").store_folder) as store:
        with store.begin() as connection:  # before the first crop is written, so that none leaves unrecorded
            details = {"what": "labels", "folder": str(folder.resolve())}
            audit.append(connection, audit.command_account(), Action.EXPORT, details)
        number = export_labels(store, folder)
    print(f"{folder}: {number} labelled crops")


def export_labels(store: Store, folder: Path) -> int:
    """Write the crops and the table, all or nothing; how many crops."""
    judged = _judged(store)
    found = sorted({case for case, _, _, verdict in judged if verdict == Verdict.CONFIRMED})
    identity_of_case = {case: identity for identity, case in enumerate(found, start=1)}
    kept = {(one.district, one.id): one for one in store.tracklets({(row[1], row[2]) for row in judged})}
    cameras = [(district.name, camera.id) for district in store.districts() for camera in district.cameras]
    number = 0
    with atomic_folder(folder) as aside, (aside / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        (aside / _CROPS).mkdir()
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for case, district, tracklet_id, verdict in judged:
            one = kept.get((district, tracklet_id))
            if one is None:
                continue
            identity = identity_of_case[case] if verdict == Verdict.CONFIRMED else 0
            camera = cameras.index((district, one.camera.id)) + 1
            name = f"{identity:04d}_c{camera}s1_{number:06d}_00.jpg"
            (aside / _CROPS / name).write_bytes(store.crops.read(one.crop))
            times = one.first_seen.isoformat(), one.last_seen.isoformat()
            table.writerow([name, identity, case, verdict, district, one.camera.id, tracklet_id, *times])
            number += 1
    return number


def _judged(store: Store) -> list[tuple[int, str, int, str]]:
    """Case, district, tracklet id and last verdict, confirmed or rejected, of each judged sighting, in this order."""
    table = tables.verdicts
    given = sa.select(table.c.case_id, table.c.district, table.c.tracklet_id, table.c.verdict).order_by(table.c.id)
    with store.begin() as connection:
        last = {tuple(key): verdict for *key, verdict in connection.execute(given)}
    return sorted((*key, verdict) for key, verdict in last.items() if verdict != Verdict.NONE)


if __name__ == "__main__":
    run_stage(main)
