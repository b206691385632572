"""Photos and notes of cases, for the next shift."""

import sqlalchemy as sa
from alembic import op

revision = "8"
down_revision = "7"


def upgrade() -> None:
    """Creates both tables."""
    for name, *columns in (
        ("case_photos", sa.Column("sha256", sa.Text, nullable=False)),
        ("case_notes", sa.Column("text", sa.Text, nullable=False)),
    ):
        op.create_table(
            name,
            sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
            sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
            sa.Column("account", sa.Text, nullable=False),
            sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
            *columns,
        )
        op.create_index(f"{name}_by_case", name, ["case_id"])
