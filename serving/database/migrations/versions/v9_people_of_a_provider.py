"""Accounts of people who sign in at an OpenID provider."""

import sqlalchemy as sa
from alembic import op

revision = "9"
down_revision = "8"


def upgrade() -> None:
    """Adds the person of the provider; accounts with a token have none."""
    op.add_column("accounts", sa.Column("subject", sa.Text))
    op.create_unique_constraint("accounts_subject_key", "accounts", ["subject"])
