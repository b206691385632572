"""Sessions of browsers: a random id in a cookie, stored as its hash, with an account and an expiry.

A session that has ended stays ended when the clock is set back: it is deleted when its end is noticed, and a record of
the audit that was written after its beginning and not before its end shows the end too.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from serving.access.accounts import Account, account_of_row
from serving.database import audit, tables
from serving.database.audit import Action

_ID_BYTES = 32
_SKEW = timedelta(minutes=1)  # between the clocks of the service's machines


def begin_session(connection: sa.Connection, account: Account, hours: float, earlier: str = "") -> str:
    """Starts a session of `account` and returns its id, for the cookie only.

    Deletes expired sessions, and the browser's session before, whose id is `earlier`.
    """
    session_id = secrets.token_urlsafe(_ID_BYTES)
    now, table = datetime.now(UTC), tables.sessions
    connection.execute(sa.delete(table).where((table.c.expires < now) | (table.c.id_hash == _hash(earlier))))
    number = audit.append(connection, account.name, Action.SIGN_IN, {"role": account.role})
    lasts = {"created": now, "expires": now + timedelta(hours=hours), "sign_in": number}
    connection.execute(sa.insert(table).values(id_hash=_hash(session_id), account=account.name, **lasts))
    return session_id


def account_of_session(connection: sa.Connection, session_id: str) -> Account | None:
    """Account of the session; None if the session is unknown or expired, or its account expired or disabled."""
    table, records, now = tables.sessions, tables.audit, datetime.now(UTC)
    # A clock that was set back since wrote such a record.
    later = (records.c.at >= table.c.expires) & (records.c.number > table.c.sign_in)
    ended_by = sa.select(records.c.number).where(later).order_by(records.c.at.desc()).limit(1).scalar_subquery()
    is_current = (table.c.expires > now) & (table.c.created < now + _SKEW) & ended_by.is_(None)
    query = sa.select(tables.accounts, is_current.label("is_current")).join(table)
    row = connection.execute(query.where(table.c.id_hash == _hash(session_id))).mappings().one_or_none()
    if row is None:
        return None
    if not row["is_current"]:
        connection.execute(sa.delete(table).where(table.c.id_hash == _hash(session_id)))
        return None
    account = account_of_row(row)
    return account if account.is_open() else None


def end_sessions(connection: sa.Connection, account: Account, session_id: str | None) -> None:
    """Ends the session with this id; with None, all sessions of the account."""
    table = tables.sessions
    is_meant = table.c.account == account.name if session_id is None else table.c.id_hash == _hash(session_id)
    connection.execute(sa.delete(table).where(is_meant))
    audit.append(connection, account.name, Action.SIGN_OUT, {"everywhere": True} if session_id is None else {})


def _hash(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
