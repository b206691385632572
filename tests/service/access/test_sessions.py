"""A session that has ended stays ended, whatever the clock says later."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from serving.access.accounts import Account, account_named, create_account
from serving.access.roles import Role
from serving.access.sessions import account_of_session, begin_session
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.store import Store


@pytest.fixture
def kim(store: Store) -> Account:
    with store.begin() as connection:
        create_account(connection, "kim", Role.OPERATOR, "test")
        return account_named(connection, "kim")


def begin(store: Store, account: Account) -> str:
    with store.begin() as connection:
        return begin_session(connection, account, hours=8)


def is_in(store: Store, session: str) -> bool:
    with store.begin() as connection:
        return account_of_session(connection, session) is not None


def change_sessions(store: Store, **values: datetime) -> None:
    with store.begin() as connection:
        connection.execute(sa.update(tables.sessions).values(**values))


def record_at(store: Store, moment: datetime) -> None:
    """A record by a clock that says this."""
    with store.begin() as connection:
        number = audit.append(connection, "lee", Action.ROUTE, {})
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.execute(sa.update(tables.audit).where(tables.audit.c.number == number).values(at=moment))


def test_a_session_whose_end_was_noticed_does_not_come_back(store: Store, kim: Account) -> None:
    session = begin(store, kim)
    assert is_in(store, session)
    change_sessions(store, expires=datetime.now(UTC) - timedelta(seconds=1))
    assert not is_in(store, session)
    change_sessions(store, expires=datetime.now(UTC) + timedelta(hours=1))  # as if the clock were set back
    assert not is_in(store, session)


def test_a_session_whose_end_the_audit_shows_does_not_come_back(store: Store, kim: Account) -> None:
    session = begin(store, kim)
    record_at(store, datetime.now(UTC) + timedelta(hours=7))
    assert is_in(store, session)
    record_at(store, datetime.now(UTC) + timedelta(hours=9))  # and then the clock was set back
    assert not is_in(store, session)


def test_a_session_of_the_future_does_not_last_until_then(store: Store, kim: Account) -> None:
    session, later = begin(store, kim), datetime.now(UTC) + timedelta(days=1)
    change_sessions(store, created=later, expires=later + timedelta(hours=8))
    assert not is_in(store, session)


def test_who_signs_in_after_a_wrong_hour_is_in(store: Store, kim: Account) -> None:
    record_at(store, datetime.now(UTC) + timedelta(days=400))
    assert is_in(store, begin(store, kim))
