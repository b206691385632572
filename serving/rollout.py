"""With which re-ID model searches compare, and how far stored sightings have embeddings by each.

    python -m serving.rollout                                               # shows both
    python -m serving.rollout use VERSION --by NAME --reason TEXT           # at once, without a restart

A service whose Bento carries two models switches to the new one by itself when all stored sightings have embeddings by
it; `use` returns to the other one, or goes forward again. Settings: section `serving` of params.yaml in the current
folder.
"""

import argparse
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from domain.errors import InputError
from serving.database import rollout, tables
from serving.database.commands import run_command
from serving.database.store import open_store
from serving.deployment import ServingSettings


def main(argv: Sequence[str] = ()) -> None:
    """Show the models, or choose one; the choice is recorded in the audit.

    Raises:
        InputError: if person or reason is missing, no sighting has an embedding by the model, or the database does not
            answer.
    """
    given = _arguments(argv)
    settings = ServingSettings.from_params("serving")
    with open_store(settings.store_folder) as store, store.begin() as connection:
        if given.version is not None:
            _use(connection, given.version, given.by, given.reason)
        print(*_lines(connection), sep="\n")


def _use(connection: sa.Connection, version: str, by: str, reason: str) -> None:
    for name, text in (("by", by), ("reason", reason)):
        if not text.strip():
            raise InputError(f"--{name} must say {'who decides' if name == 'by' else 'why'}, got nothing")
    if version not in (known := [known for known, _ in _counts(connection)]):
        raise InputError(f"sightings must have embeddings by the model, got {version}; they have some by {known}")
    rollout.use(connection, version, by, reason)


def _lines(connection: sa.Connection) -> Iterator[str]:
    of_all = connection.execute(sa.select(sa.func.count()).select_from(tables.tracklets)).scalar_one()
    for version, number in _counts(connection):
        yield f"{version}: {number} of {of_all} sightings have an embedding"
    if (chosen := rollout.in_use(connection)) is None:
        yield "no model was chosen: a service searches with the one that was in use before, or with its only one"
    else:
        when = f"since {chosen.at:%Y-%m-%d %H:%M} UTC"
        yield f"in use: {chosen.model_version}, {when}, by {chosen.account}: {chosen.reason}"


def _counts(connection: sa.Connection) -> list[tuple[str, int]]:
    table = tables.tracklet_embeddings
    counts = sa.select(table.c.model_version, sa.func.count()).group_by(table.c.model_version)
    return [(version, number) for version, number in connection.execute(counts.order_by(table.c.model_version))]


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.rollout", description="which re-ID model is in use")
    commands = parser.add_subparsers()
    parser.set_defaults(version=None)
    use = commands.add_parser("use", help="let searches compare with a model at once")
    use.add_argument("version", help="such as osnet_x0_25-3f9a0c5d1e22")
    use.add_argument("--by", required=True, help="who decides")
    use.add_argument("--reason", required=True, help="why")
    return parser.parse_args(list(argv))


if __name__ == "__main__":
    run_command(main)
