"""Accounts: name, role and a token, which is shown once and stored as an Argon2id hash.

A token is `dongseon_<id>_<secret>`: the id identifies the account, the secret has 256 random bits.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from threading import Lock

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from domain.errors import InputError
from serving.access.roles import BOUND_ROLES, PERMISSIONS, Permission, Role
from serving.database import audit, tables
from serving.database.audit import Action

_ID_BYTES, _SECRET_BYTES = 8, 32
_TOKEN = re.compile(r"dongseon_(?P<id>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]{43})")
_NAME = re.compile(r"\w[\w.-]{0,63}")
FIRST_EXPIRE_DAYS = 365  # of the first accounts
_HASHER = PasswordHasher()  # Argon2id with the cost recommended by RFC 9106


@dataclass(frozen=True)
class Account:
    """Account of a person who may use the service."""

    name: str
    role: Role
    created: datetime
    expires: datetime | None
    disabled: datetime | None
    districts: frozenset[str] | None = None  # to which it is bound: all else does not exist for it; None: all

    def may(self, permission: Permission) -> bool:
        """Whether the role has the permission."""
        return permission in PERMISSIONS[self.role]

    def is_open(self) -> bool:
        """Whether the account is neither disabled nor expired."""
        return self.disabled is None and (self.expires is None or datetime.now(UTC) < self.expires)


@dataclass(frozen=True)
class Person:
    """A person with an account at an OpenID provider."""

    subject: str  # unique and lasting: the provider, and its name for the person
    name: str
    role: Role
    districts: frozenset[str] | None = None  # as of an account


class NotAdmittedError(Exception):
    """The person of a provider gets no account; the message says why."""


def admit(connection: sa.Connection, person: Person) -> Account:
    """The account of a provider's person: created at the first sign-in, with the role and districts that they have now.

    Raises:
        NotAdmittedError: if the account is disabled, or the name is invalid or another account's.
    """
    table = tables.accounts
    row = _find(connection, table.c.subject == person.subject)
    if row is None:
        try:
            # Nobody sees the account's token.
            create_account(connection, person.name, person.role, by=person.name, districts=person.districts)
        except InputError as error:
            raise NotAdmittedError(str(error)) from error
        connection.execute(sa.update(table).where(table.c.name == person.name).values(subject=person.subject))
    elif (row["role"], _districts_of(row)) != (person.role, person.districts):
        now = {"role": person.role, "districts": _listed(person.districts)}
        connection.execute(sa.update(table).where(table.c.subject == person.subject).values(now))
        audit.append(connection, row["name"], Action.ACCOUNT, {"changed": row["name"], **now})
    found = _find(connection, table.c.subject == person.subject)
    assert found is not None, "it was there, or was created"
    account = account_of_row(found)
    if not account.is_open():
        raise NotAdmittedError(f"the account {account.name} must be neither disabled nor expired")
    return account


def create_account(
    connection: sa.Connection,
    name: str,
    role: Role,
    by: str,
    expires_days: int | None = None,
    districts: Collection[str] | None = None,
) -> str:
    """Creates an account and returns its token, which is not stored.

    Args:
        connection: to the database.
        name: of the account.
        role: of the account.
        by: who creates it.
        expires_days: days until it expires; None: never.
        districts: to which it is bound; None: all.

    Raises:
        InputError: if the name is invalid or taken, the expiry out of range, or a district not stored; or if an account
            of this role cannot be bound.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"the name of an account must be 1 to 64 letters, digits, dots, - and _, got {name!r}")
    if _find(connection, tables.accounts.c.name == name) is not None:
        raise InputError(f"the name of an account must be new, {name} is taken; renew replaces its token")
    _require_bindable(connection, role, districts)
    token_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    new = {"name": name, "role": role, "token_id": token_id, "token_hash": _HASHER.hash(secret)}
    bound = {"districts": _listed(districts)}
    connection.execute(sa.insert(tables.accounts).values(**new, **bound, expires=_end(expires_days)))
    details = {"created": name, "role": role, "expires_days": expires_days, **bound}
    audit.append(connection, by, Action.ACCOUNT, details)
    return f"dongseon_{token_id}_{secret}"


def create_first_accounts(connection: sa.Connection, by: str) -> list[tuple[str, Role, str]]:
    """Creates an admin and a reviewer if there is no account yet; returns name, role and token of each.

    They expire after `FIRST_EXPIRE_DAYS`; `renew_account` prolongs them.
    """
    connection.execute(sa.text("LOCK TABLE accounts IN EXCLUSIVE MODE"))
    if accounts(connection):
        return []
    return [
        (role.value, role, create_account(connection, role.value, role, by, FIRST_EXPIRE_DAYS))
        for role in (Role.ADMIN, Role.REVIEWER)
    ]


def renew_account(connection: sa.Connection, name: str, by: str, expires_days: int | None = None) -> str:
    """Replaces the token of an account, ends its sessions and enables it; returns the new token.

    Raises:
        InputError: if the account does not exist, or the expiry is out of range.
    """
    token_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    _change(
        connection,
        name,
        token_id=token_id,
        token_hash=_HASHER.hash(secret),
        created=sa.func.now(),
        expires=_end(expires_days),
        disabled=None,
    )
    audit.append(connection, by, Action.ACCOUNT, {"renewed": name, "expires_days": expires_days})
    return f"dongseon_{token_id}_{secret}"


def bind_account(connection: sa.Connection, name: str, districts: Collection[str] | None, by: str) -> None:
    """Binds an account to districts, from its next request on; None: to none, so that it has all.

    Raises:
        InputError: if the account does not exist, a district is not stored, or an account of its role cannot be bound.
    """
    _require_bindable(connection, account_named(connection, name).role, districts)
    bound = {"districts": _listed(districts)}
    connection.execute(sa.update(tables.accounts).where(tables.accounts.c.name == name).values(bound))
    audit.append(connection, by, Action.ACCOUNT, {"bound": name, **bound})


def disable_account(connection: sa.Connection, name: str, by: str) -> None:
    """Disables an account and ends its sessions.

    Raises:
        InputError: if the account does not exist.
    """
    _change(connection, name, disabled=sa.func.now())
    audit.append(connection, by, Action.ACCOUNT, {"disabled": name})


def accounts(connection: sa.Connection) -> list[Account]:
    """All accounts, by name."""
    rows = connection.execute(sa.select(tables.accounts).order_by(tables.accounts.c.name)).mappings()
    return [account_of_row(row) for row in rows]


def account_named(connection: sa.Connection, name: str) -> Account:
    """The account of this name.

    Raises:
        InputError: if it does not exist.
    """
    row = _find(connection, tables.accounts.c.name == name)
    if row is None:
        raise InputError(
            f"the account must exist, got {name!r}; see python -m serving.accounts list", code="no_account"
        )
    return account_of_row(row)


def account_of_row(row: sa.RowMapping) -> Account:
    """Account of a row of the table `accounts`, or of a join with it."""
    times = row["created"], row["expires"], row["disabled"]
    return Account(row["name"], Role(row["role"]), *times, _districts_of(row))


class TokenCheck:
    """Finds the account of a token; threads may share it.

    The account is read at each check, so disabling and renewing take effect at once. Only the result of Argon2 is
    cached: per account the last verified hash and the SHA-256 of its secret.
    """

    def __init__(self) -> None:
        self._verified: dict[str, tuple[str, bytes]] = {}  # token id -> Argon2's hash, SHA-256 of the secret
        self._lock = Lock()  # one Argon2 at a time: it takes 64 MB, and many requests may carry the same new token

    def account_of(self, connection: sa.Connection, token: str) -> Account | None:
        """Account of the token; None if the token is invalid or its account disabled or expired."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        row = _find(connection, tables.accounts.c.token_id == parts["id"])
        # An unknown id takes as long as a known one, so the time does not tell which ids exist.
        token_hash = row["token_hash"] if row is not None else _hash_of_no_account()
        if not self._fits(parts["id"], token_hash, parts["secret"]) or row is None:
            return None
        account = account_of_row(row)
        return account if account.is_open() else None

    def is_known(self, token: str) -> bool:
        """Whether this token was verified before, without the database."""
        parts = _TOKEN.fullmatch(token)
        return parts is not None and hmac.compare_digest(self._cached(parts["id"])[1], _digest(parts["secret"]))

    def _fits(self, token_id: str, token_hash: str, secret: str) -> bool:
        verified = (token_hash, _digest(secret))
        if self._cached(token_id) == verified:
            return True
        with self._lock:
            if self._cached(token_id) == verified:
                return True
            try:
                _HASHER.verify(token_hash, secret)
            except VerifyMismatchError:
                return False
            self._verified[token_id] = verified
            return True

    def _cached(self, token_id: str) -> tuple[str, bytes]:
        return self._verified.get(token_id, ("", b""))


@cache
def _hash_of_no_account() -> str:
    return _HASHER.hash(secrets.token_urlsafe(_SECRET_BYTES))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _find(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> sa.RowMapping | None:
    return connection.execute(sa.select(tables.accounts).where(condition)).mappings().one_or_none()


def _change(connection: sa.Connection, name: str, **values: object) -> None:
    changed = sa.update(tables.accounts).where(tables.accounts.c.name == name).values(**values)
    if connection.execute(changed).rowcount == 0:
        raise InputError(f"the account must exist, got {name!r}; see python -m serving.accounts list")
    connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.account == name))


def _districts_of(row: sa.RowMapping) -> frozenset[str] | None:
    return None if row["districts"] is None else frozenset(row["districts"])


def _listed(districts: Collection[str] | None) -> list[str] | None:
    return None if districts is None else sorted(set(districts))


def _require_bindable(connection: sa.Connection, role: Role, districts: Collection[str] | None) -> None:
    if districts is None:
        return
    if role not in BOUND_ROLES:
        raise InputError(f"only accounts with the role {' or '.join(sorted(BOUND_ROLES))} have districts, got {role}")
    stored = sorted(connection.execute(sa.select(tables.districts.c.name)).scalars())
    if not districts or not set(districts) <= set(stored):
        strange = ", ".join(sorted(set(districts) - set(stored))) or "none"
        raise InputError(f"districts must be stored ones ({', '.join(stored) or 'there is none'}), got {strange}")


def _end(expires_days: int | None) -> datetime | None:
    if expires_days is None:
        return None
    if not 1 <= expires_days <= 36500:
        raise InputError(f"an account must expire after 1 to 36500 days, got {expires_days}")
    return datetime.now(UTC) + timedelta(days=expires_days)
