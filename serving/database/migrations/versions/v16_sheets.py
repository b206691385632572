"""Sheets for officers on foot, whose links expire and can be revoked."""

import sqlalchemy as sa
from alembic import op

revision = "16"
down_revision = "15"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "sheets",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked", sa.DateTime(timezone=True)),
        sa.Column("token_hash", sa.Text, nullable=False, unique=True),
        sa.Column("pdf_sha256", sa.Text, nullable=False),
        sa.Column("opened", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("sheets_by_case", "sheets", ["case_id"])
