"""The schema of the database, which Alembic upgrades to the revision of `serving.database.tables`."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from domain.errors import InputError


def upgrade(connection: sa.Connection) -> None:
    """Upgrades the tables to the newest revision in the transaction of `connection`.

    Raises:
        InputError: if the database has a revision that this version does not know, so a newer version made it.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "serving.database:migrations")
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]  # newest first
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and revision not in known:
        raise InputError(
            f"the database must have a schema revision up to {known[0]}, it has {revision}, which a newer version of "
            "this software made; update the software, or restore a dump that the present version made"
        )
    command.upgrade(config, "head")
