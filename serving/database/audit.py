"""The audit: who did what and when, append-only and chained by hashes.

Each record has the SHA-256 over the hash before it and its own canonical JSON, so a record cannot be changed, removed
or moved without changing all records after it. Records that were cut off at the end, or rewritten from some record on,
show only against a head that was noted elsewhere.
"""

import getpass
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from domain.errors import DongseonError, InputError
from serving.database.locks import lock_audit
from serving.database.tables import audit

_PAGE_BYTES = 2**20  # of the details of a page
_BATCH_BYTES = 4 * 2**20  # of the details read at a time
_BATCH = 1000  # records read at a time
MOST_DETAILS_BYTES = 16_000  # of a record; nobody may remove one


class Action(StrEnum):
    """Kinds of records."""

    SIGN_IN = "sign-in"
    SIGN_OUT = "sign-out"
    REFUSED = "refused token"
    REFUSED_ACCESS = "refused access"
    SEARCH = "search"
    VIEW = "view crop"
    TRAIL = "view trail"
    FOOTAGE = "view footage"
    WATCH = "watch"
    ALERT = "alert"
    SHEET = "sheet"
    VIEW_CASE = "view case"
    LIST_CASES = "list cases"
    READ_AUDIT = "read audit"
    ROUTE = "route"
    WHERE_NEXT = "where next"
    VERDICT = "verdict"
    CORRECTION = "correction"
    CASE = "case"
    EXPORT = "export"
    ACCOUNT = "account"
    CAMERA = "camera"
    RETENTION = "retention"
    KEYS = "keys"
    MODEL = "model in use"
    REEMBEDDING = "re-embedding"
    REPLACEMENT = "replacement"
    CONFIGURATION = "configuration"


class BrokenAuditError(DongseonError):
    """The audit differs from what was recorded; the message names the first record that shows it."""


@dataclass(frozen=True)
class Record:
    """A record of the audit."""

    number: int  # 1, 2, 3, … without a gap
    at: datetime  # UTC
    account: str  # or `command:<user of the machine>`
    action: str
    details: Any  # JSON
    hash: str

    def hash_after(self, previous: str) -> str:
        """Hash that this record must have if `previous` is the hash of the record before it."""
        content = [self.number, self.at.astimezone(UTC).isoformat(), self.account, self.action, self.details]
        return hashlib.sha256(f"{previous}{_canonical(content)}".encode()).hexdigest()


@dataclass(frozen=True)
class Head:
    """Number and hash of the last record of an audit, which identify it; as text `<number>:<hash>`."""

    number: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a head from its text.

        Raises:
            InputError: if the text is not NUMBER:HASH.
        """
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit() and len(digest) == len(_BEFORE_ALL.hash)):
            raise InputError(f"a head must be NUMBER:HASH as serving.audit verify prints it, got {text!r}")
        return cls(int(number), digest)

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


_BEFORE_ALL = Head(0, "0" * 64)


def append(connection: sa.Connection, account: str, action: Action, details: Mapping[str, Any]) -> int:
    """Adds a record in the transaction of `connection`; returns its number.

    Other writers of the audit wait until the transaction ends, so call this as its last statement.

    Args:
        connection: in the transaction of the recorded action.
        account: name of the account that acted, or `command_account`.
        action: kind of the record.
        details: JSON, without secrets and pictures. Where it takes more than `MOST_DETAILS_BYTES`, the checksums of
            its longest values take their places.
    """
    lock_audit(connection)
    newest = sa.select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1).subquery()
    now = sa.func.clock_timestamp().label("at")
    stored = sa.cast(sa.literal(_bounded(details), JSONB), JSONB).label("details")  # as the database gives it back
    new = sa.select(now, stored).subquery()
    row = connection.execute(sa.select(new, newest).join_from(new, newest, sa.true(), isouter=True)).one()
    before = _BEFORE_ALL if row.number is None else Head(row.number, row.hash)
    record = Record(before.number + 1, row.at, account, action.value, row.details, hash="")
    connection.execute(sa.insert(audit), {**vars(record), "hash": record.hash_after(before.hash)})
    return record.number


def append_once_a_minute(connection: sa.Connection, account: str, action: Action, details: Mapping[str, Any]) -> None:
    """Adds a record, unless the account has the same of the last minute: so repeating it does not fill the audit."""
    details, now = _bounded(details), sa.func.clock_timestamp()
    is_recent = audit.c.at.between(now - timedelta(minutes=1), now)
    same = (audit.c.account == account) & (audit.c.action == action) & (audit.c.details == sa.literal(details, JSONB))
    if not connection.execute(sa.select(sa.exists().where(is_recent, same))).scalar():
        append(connection, account, action, details)


def append_change(connection: sa.Connection, action: Action, details: Mapping[str, Any]) -> None:
    """Adds a record of this machine's service, unless the last record of this kind has the same details."""
    lock_audit(connection)
    now = sa.cast(sa.literal(_bounded(details), JSONB), JSONB)
    last = sa.select(audit.c.details == now).where(audit.c.action == action).order_by(audit.c.number.desc()).limit(1)
    if not connection.execute(last).scalar():
        append(connection, command_account(), action, details)


def read_by(connection: sa.Connection, account: str, after: int, limit: int) -> list[Record]:
    """Returns records as `records` does, as many as a page holds, and records that `account` read them.

    Long values of a record from before there was a limit are replaced by their checksums. A page that holds nothing but
    the reader's own readings is not recorded: otherwise reading the audit to its end would never finish, as each
    reading adds a record.
    """
    page: list[Record] = []
    num_bytes = 0
    for record in records(connection, after, limit):
        shown = replace(record, details=_bounded(record.details))
        num_bytes += len(as_line(shown).encode())
        if page and num_bytes > _PAGE_BYTES:
            break
        page.append(shown)
    if any((record.account, record.action) != (account, Action.READ_AUDIT) for record in page):
        append(connection, account, Action.READ_AUDIT, {"after": after, "limit": limit})
    return page


def append_replacement(connection: sa.Connection, details: Mapping[str, Any]) -> None:
    """Adds a record of sightings that a command of this machine replaces, or is to replace."""
    append(connection, command_account(), Action.REPLACEMENT, details)


def records(connection: sa.Connection, after: int = 0, limit: int | None = None) -> Iterator[Record]:
    """Yields records with a number above `after`, at most `limit`, in order; some megabytes are in memory at a time."""
    while limit is None or limit > 0:
        most = _BATCH if limit is None else min(limit, _BATCH)
        last = _end_of_batch(connection, after, most)
        if last is None:
            return
        query = sa.select(audit).where(audit.c.number > after, audit.c.number <= last).order_by(audit.c.number)
        rows = connection.execute(query).all()
        for row in rows:
            yield Record(row.number, row.at.astimezone(UTC), row.account, row.action, row.details, row.hash)
        after, limit = last, None if limit is None else limit - len(rows)


def _end_of_batch(connection: sa.Connection, after: int, most: int) -> int | None:
    """Number of the last of at most `most` records above `after` to read together; None if there is none."""
    details = audit.c.details
    size = sa.case(
        (sa.func.pg_column_compression(details).is_(None), sa.func.pg_column_size(details)),
        else_=sa.func.octet_length(sa.cast(details, sa.Text)),
    )
    query = sa.select(audit.c.number, size).where(audit.c.number > after).order_by(audit.c.number).limit(most)
    last, num_bytes = None, 0
    for number, size_bytes in connection.execute(query):
        num_bytes += size_bytes
        if last is not None and num_bytes > _BATCH_BYTES:
            break
        last = number
    return last


def verify(connection: sa.Connection, noted: Head | None = None) -> Head:
    """Checks the whole chain and returns its head.

    Args:
        connection: to the database.
        noted: head of an earlier time, which the audit must still contain.

    Raises:
        BrokenAuditError: if a record was changed, removed or moved; the message names the first.
    """
    head = _BEFORE_ALL
    for record in records(connection):
        if record.number != head.number + 1:
            raise BrokenAuditError(f"record {head.number + 1} is missing: record {record.number} follows {head.number}")
        if record.hash != record.hash_after(head.hash):
            raise BrokenAuditError(
                f"record {record.number} was changed or moved: its hash does not follow from record {head.number} and "
                "its content"
            )
        if noted is not None and record.number == noted.number and record.hash != noted.hash:
            raise BrokenAuditError(
                f"record {record.number} has another hash than the noted head: it or a record before it was rewritten"
            )
        head = Head(record.number, record.hash)
    if noted is not None and head.number < noted.number:
        raise BrokenAuditError(
            f"record {head.number + 1} is missing: the noted head is record {noted.number}, the end was cut off since"
        )
    return head


def as_line(record: Record) -> str:
    """The record as a line of JSON."""
    return _canonical({**vars(record), "at": record.at.isoformat()})


def command_account() -> str:
    """Account of the commands on this machine: `command:` and the user's name, or number where a user has no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        user = str(os.getuid())
    return f"command:{user}"


def _bounded(details: Mapping[str, Any]) -> dict[str, Any]:
    bounded = dict(details)
    while len(_canonical(bounded).encode()) > MOST_DETAILS_BYTES:
        texts = {name: _canonical(value).encode() for name, value in bounded.items()}
        longest = max(texts, key=lambda name: len(texts[name]))
        bounded[longest] = {"sha256": hashlib.sha256(texts[longest]).hexdigest(), "bytes": len(texts[longest])}
    return bounded


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
