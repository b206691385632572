"""Which models each deployment that has worked on the store consists of, and where they come from."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "14"
down_revision = "13"


def upgrade() -> None:
    """Creates the table; of deployments before nothing is known."""
    op.create_table(
        "deployments",
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("recorded", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("models", JSONB, nullable=False),
    )
