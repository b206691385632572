"""What a deployment holds, to see that a request left nothing behind."""

from pathlib import Path

import sqlalchemy as sa

from serving.service_settings import Deployment
from serving.store import open_store


def stored(deployment: Deployment, *temporary: Path) -> tuple[dict[str, int], set[Path]]:
    """Rows of every table, and every file of the deployment and below `temporary` that is not the database's own."""
    with open_store(deployment.store) as store, store.sole_writer() as engine, engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        rows = {
            name: connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar_one()
            for name in tables
        }
    files = {file for folder in (deployment.root, *temporary) for file in folder.rglob("*") if file.is_file()}
    return rows, {file for file in files if deployment.store / "postgres" not in file.parents}
