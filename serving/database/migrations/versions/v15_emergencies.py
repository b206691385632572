"""Cases that an operator opened in an emergency, to which a reviewer must agree."""

import sqlalchemy as sa
from alembic import op

revision = "15"
down_revision = "14"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "emergencies",
        sa.Column("case_id", sa.BigInteger, sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("agree_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agreed", sa.DateTime(timezone=True)),
        sa.Column("agreed_by", sa.Text),
        sa.Column("told", sa.DateTime(timezone=True)),
        sa.Column("sent", sa.DateTime(timezone=True)),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_try", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
