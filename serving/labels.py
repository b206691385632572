"""Judged sightings as labels for retraining: `python -m serving.labels FOLDER`.

    FOLDER/bounding_box_train/0001_c3s1_000042_00.jpg    Market-1501 names: identity, camera, tracklet, crop
    FOLDER/labels.csv    file, identity, case, verdict, district, camera_id, tracklet_id, first_seen, last_seen
    FOLDER/attributes/train.csv, FOLDER/attributes/images/    sightings with corrected attributes, where there are some
    FOLDER/detection/boxes.csv, FOLDER/detection/images/    full frames with corrected boxes, for a labelling tool

Each case with a confirmed sighting is an identity, numbered from 1 by case. A sighting that is rejected in a case shows
an unknown person and gets the identity 0 (a distractor). The last verdict on a sighting counts; in a case that asks for
a second person, the verdicts of two. Of attributes, only what people corrected is known. A crop whose box
was corrected is cut anew. Cameras are numbered by
district and id. Sightings that are no longer stored are left out. Stage `prepare` uses the folder as `district.labels`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from domain.errors import InputError
from serving.cases.labels import export_labels
from serving.database import audit
from serving.database.audit import Action
from serving.database.commands import run_command
from serving.database.store import open_store
from serving.deployment import ServingSettings


def main(argv: Sequence[str] = ()) -> None:
    """Write the labels of all cases; the audit records it.

    Raises:
        InputError: if the folder exists, or the database does not answer.
        ArtifactError: if a crop cannot be decrypted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m serving.labels",
        description="Write the sightings that were judged in cases as labelled crops for retraining.",
    )
    parser.add_argument("folder", type=Path, help="folder to create; it must not exist")
    folder = parser.parse_args(argv).folder
    if folder.exists():
        raise InputError(f"labels must go to a folder that does not exist, got {folder}")
    with open_store(ServingSettings.from_params("serving").store_folder) as store:
        with store.begin() as connection:  # before the first crop is written: no crop leaves the store without a record
            details = {"what": "labels", "folder": str(folder.resolve())}
            audit.append(connection, audit.command_account(), Action.EXPORT, details)
        exported = export_labels(store, folder)
    print(
        f"{folder}: {exported.judged} judged crops, {exported.corrected} crops with corrected attributes, "
        f"{exported.framed} full frames with corrected boxes"
    )


if __name__ == "__main__":
    run_command(main)
