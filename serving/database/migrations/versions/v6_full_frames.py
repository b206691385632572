"""Which frame lies, as a whole, beside a tracklet's crop; none of earlier tracklets does."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    """Adds its number."""
    op.add_column("tracklets", sa.Column("full_frame", sa.Integer))
