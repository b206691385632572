"""Alembic runs this module to change the schema, on the connection of `serving.database.schema`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
