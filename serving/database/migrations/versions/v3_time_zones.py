"""Districts have a time zone, in which times are shown."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Add it; districts of before have UTC until `track` fills them again."""
    op.add_column("districts", sa.Column("time_zone", sa.Text, nullable=False, server_default="UTC"))
