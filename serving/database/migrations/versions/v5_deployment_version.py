"""Which models processed a segment, and which answered a search: one id of detector, attribute and re-ID model."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Adds the id; of what is there already it is unknown."""
    for name in ("segments", "searches"):
        op.add_column(name, sa.Column("deployment_version", sa.Text))
