"""Cases whose verdicts count when a second person agrees."""

import sqlalchemy as sa
from alembic import op

revision = "11"
down_revision = "10"


def upgrade() -> None:
    """Adds the rule; of the cases that are there already the last verdict counts."""
    op.add_column("cases", sa.Column("second_person", sa.Boolean, nullable=False, server_default="false"))
