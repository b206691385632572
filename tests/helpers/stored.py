"""What a deployment holds, to see that a request left nothing behind."""

from pathlib import Path

import sqlalchemy as sa

from serving.database import tables
from serving.database.store import open_store
from serving.deployment import Deployment

_OF_REQUESTS = {
    "audit",
    "searches",
    "cases",
    "case_operators",
    "case_photos",
    "case_sightings",
    "verdicts",
    "sessions",
    "sheets",
    "corrections",
    "corrected_boxes",
}


def stored(deployment: Deployment, *temporary: Path) -> tuple[dict[str, int], set[Path]]:
    """Rows of every table but those that say who asked for what, and every file there and below `temporary`.

    The database's own files are left out, and the photos and sheets that a case keeps.
    """
    with open_store(deployment.store) as store, store.begin() as connection:
        names = sa.inspect(connection).get_table_names()
        rows = {
            name: connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar_one()
            for name in names
            if name not in _OF_REQUESTS
        }
    files = {file for folder in (deployment.root, *temporary) for file in folder.rglob("*") if file.is_file()}
    left_out = {deployment.store / "postgres", deployment.store / "photos", deployment.store / "sheets"}
    return rows, {file for file in files if not left_out & set(file.parents)}


def num_searches(deployment: Deployment) -> int:
    """How many searches are recorded: those that were answered."""
    with open_store(deployment.store) as store, store.begin() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(tables.searches)).scalar_one()
