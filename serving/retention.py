"""Removes old sightings (rows, embeddings, crops) and cases closed long ago, except those under a legal hold.

    python -m serving.retention [--clock-is-right] [serving.retention.days=7]

Then lists the other places on this machine with pictures or embeddings of people.

`serving.worker` removes once a day. Nothing is removed if this machine's clock is more than a day from the newest
record of the database, or if a run would remove more than the settings allow; `--clock-is-right` insists. Settings:
section `serving` of params.yaml in the current folder; `key=value` arguments override them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from serving.database.clocks import INSIST
from serving.database.commands import run_command
from serving.database.retention import remove_old
from serving.database.store import open_store
from serving.deployment import ServingSettings
from serving.unreached import unreached


def main(argv: Sequence[str] = ()) -> None:
    """Read the settings, remove what is old, print how much, and which places hold more pictures of people.

    Raises:
        InputError: if a setting is wrong, the database does not answer, or the clock or the number of what is old is
            doubtful.
        ArtifactError: if a crop cannot be deleted.
    """
    parser = argparse.ArgumentParser(prog="python -m serving.retention", description="remove what is old")
    parser.add_argument(INSIST, action="store_true", help="remove what is old by this machine's clock, however much")
    parser.add_argument("overrides", nargs="*", help="settings, such as serving.retention.days=7")
    options = parser.parse_args(list(argv))
    settings = ServingSettings.from_params("serving", options.overrides)
    with open_store(settings.store_folder) as store:
        removal = remove_old(store, settings.retention, clock_is_right=options.clock_is_right)
        print(f"{removal} last seen more than {settings.retention.days} days ago")
        print(f"removed {removal.cases} cases closed more than {settings.retention.case_days} days ago")
        for path in removal.strange:
            print(f"left alone, for no district of the store put it there: {store.folder / path}")
        with store.begin() as connection:
            places = unreached(Path.cwd(), connection)
    if places:
        print("retention does not reach these places; docs/deploy.md says how to remove them:")
    for place in places:
        print(f"  {place}")


if __name__ == "__main__":
    run_command(main)
