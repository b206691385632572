"""What a search could see is kept with it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "7"
down_revision = "6"


def upgrade() -> None:
    """Add the column; of earlier searches nobody knows any more."""
    op.add_column("searches", sa.Column("coverage", JSONB))
