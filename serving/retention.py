"""Removes sightings that are older than the retention: rows, embeddings and crops, except those under a legal hold.

    python -m serving.retention [serving.retention.days=7]

Then lists the other places on this machine with pictures or embeddings of people.

`serving.worker` does so once a day. Settings: section `serving` of params.yaml in the current folder; `key=value`
arguments override them.
"""

from collections.abc import Sequence
from pathlib import Path

from domain.stage import run_stage
from serving.database.retention import remove_old
from serving.database.store import open_store
from serving.deployment import ServingSettings
from serving.unreached import unreached


def main(argv: Sequence[str] = ()) -> None:
    """Read the settings, remove old sightings, print how many, and which places hold more pictures of people.

    Raises:
        InputError: if a setting is wrong, or the database does not answer.
        ArtifactError: if a crop cannot be deleted.
    """
    settings = ServingSettings.from_params("serving", argv)
    with open_store(settings.store_folder) as store:
        removal = remove_old(store, settings.retention)
        print(f"{removal} last seen more than {settings.retention.days} days ago")
        with store.begin() as connection:
            places = unreached(Path.cwd(), connection)
    if places:
        print("retention does not reach these places; docs/deploy.md says how to remove them:")
    for place in places:
        print(f"  {place}")


if __name__ == "__main__":
    run_stage(main)
