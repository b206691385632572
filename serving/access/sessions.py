"""Sessions of browsers: a random id in a cookie, stored as its hash, with an account and an expiry."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from serving.access.accounts import Account, account_of_row
from serving.database import audit, tables
from serving.database.audit import Action

_ID_BYTES = 32


def begin_session(connection: sa.Connection, account: Account, hours: float) -> str:
    """Starts a session of `account` and returns its id, for the cookie only. Deletes expired sessions."""
    session_id = secrets.token_urlsafe(_ID_BYTES)
    now, table = datetime.now(UTC), tables.sessions
    connection.execute(sa.delete(table).where(table.c.expires < now))
    connection.execute(
        sa.insert(table).values(
            id_hash=_hash(session_id), account=account.name, created=now, expires=now + timedelta(hours=hours)
        )
    )
    audit.append(connection, account.name, Action.SIGN_IN, {"role": account.role})
    return session_id


def account_of_session(connection: sa.Connection, session_id: str) -> Account | None:
    """Account of the session; None if the session is unknown or expired, or its account expired or disabled."""
    table = tables.sessions
    is_current = (table.c.id_hash == _hash(session_id)) & (table.c.expires > datetime.now(UTC))
    query = sa.select(tables.accounts).join(table).where(is_current)
    row = connection.execute(query).mappings().one_or_none()
    account = account_of_row(row) if row is not None else None
    return account if account is not None and account.is_open() else None


def end_session(connection: sa.Connection, account: Account, session_id: str) -> None:
    """Ends the session."""
    connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.id_hash == _hash(session_id)))
    audit.append(connection, account.name, Action.SIGN_OUT, {})


def _hash(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
