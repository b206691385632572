"""Accounts and cases that are bound to districts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "18"
down_revision = "17"


def upgrade() -> None:
    """Adds the districts of both; those of before are bound to none."""
    for table in ("accounts", "cases"):
        op.add_column(table, sa.Column("districts", ARRAY(sa.Text)))
