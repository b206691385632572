"""Alembic runs this to change the schema, on the connection that `serving.database.schema` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
