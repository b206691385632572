"""From a sighting to the models that made it, their registered versions, runs, data and commits.

    python -m serving.trail DISTRICT NUMBER

Settings: section `serving` of params.yaml in the current folder.
"""

import argparse
from collections.abc import Sequence

from serving.database.commands import run_command
from serving.database.deployments import lines_of, trail
from serving.database.store import open_store
from serving.deployment import ServingSettings


def main(argv: Sequence[str] = ()) -> None:
    """Print the trail.

    Raises:
        InputError: if the sighting is not stored, or the database does not answer.
    """
    parser = argparse.ArgumentParser(prog="python -m serving.trail", description="where a sighting comes from")
    parser.add_argument("district")
    parser.add_argument("number", type=int, help="of the sighting, as an answer names it")
    given = parser.parse_args(list(argv))
    settings = ServingSettings.from_params("serving")
    with open_store(settings.store_folder) as store, store.begin() as connection:
        print(*lines_of(trail(connection, given.district, given.number)), sep="\n")


if __name__ == "__main__":
    run_command(main)
