"""The audit: who did what and when, append-only and chained by hashes.

    python -m serving.audit verify [--head NUMBER:HASH]
    python -m serving.audit export > audit.jsonl

Each record has the SHA-256 over the hash before it and its own canonical JSON, so none can be changed, taken out or
moved without all after it. What is cut off at the end, or written anew from some record on, only shows against a head
noted elsewhere: `verify` prints today's head, and takes an earlier one. Settings: section `serving` of params.yaml in
the current folder.
"""

import argparse
import getpass
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from domain.errors import DongseonError, InputError
from domain.stage import run_stage
from serving.database.store import open_store
from serving.database.tables import audit
from serving.deployment import ServingSettings

_AUDIT_LOCK = 2024  # any number but those of serving.database.connection and serving.database.store
_BATCH = 1000  # records read at a time


class Action(StrEnum):
    """What is recorded."""

    SIGN_IN = "sign-in"
    SIGN_OUT = "sign-out"
    REFUSED = "refused token"
    SEARCH = "search"
    VIEW = "view crop"
    VIEW_CASE = "view case"
    READ_AUDIT = "read audit"
    ROUTE = "route"
    VERDICT = "verdict"
    CASE = "case"
    EXPORT = "export"
    ACCOUNT = "account"
    RETENTION = "retention"
    REPLACEMENT = "replacement"
    CONFIGURATION = "configuration"


class BrokenAuditError(DongseonError):
    """The audit is not what was recorded; the message names the first record that shows it."""


@dataclass(frozen=True)
class Record:
    """One entry."""

    number: int  # 1, 2, 3, … without a gap
    at: datetime  # UTC
    account: str  # or `command:<user of the machine>`
    action: str
    details: Any  # JSON
    hash: str

    def hash_after(self, previous: str) -> str:
        """What `hash` must be when `previous` is the hash of the record before."""
        content = [self.number, self.at.astimezone(UTC).isoformat(), self.account, self.action, self.details]
        return hashlib.sha256(f"{previous}{_canonical(content)}".encode()).hexdigest()


@dataclass(frozen=True)
class Head:
    """The last record of an audit, by which it is known again; its text is `<number>:<hash>`."""

    number: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The head that `text` is of.

        Raises:
            InputError: if it is none.
        """
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit() and len(digest) == len(_BEFORE_ALL.hash)):
            raise InputError(f"a head must be NUMBER:HASH as serving.audit verify prints it, got {text!r}")
        return cls(int(number), digest)

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.number}:{self.hash}"


_BEFORE_ALL = Head(0, "0" * 64)


def main(argv: Sequence[str] = ()) -> None:
    """Verify or export.

    Raises:
        InputError: if the settings or the head are wrong, or the database does not answer.
        BrokenAuditError: if a record was changed, removed or moved.
    """
    parser = argparse.ArgumentParser(prog="python -m serving.audit", description="verify or export the audit")
    commands = parser.add_subparsers(dest="command", required=True)
    verifying = commands.add_parser("verify", help="name the first record that is changed, missing or moved")
    verifying.add_argument("--head", help="NUMBER:HASH that an earlier verify printed")
    commands.add_parser("export", help="print all records as JSON lines")
    options = parser.parse_args(argv)
    settings = ServingSettings.from_params("serving")
    with open_store(settings.store_folder) as store:
        if options.command == "export":
            with store.begin() as connection:
                append(connection, command_account(), Action.EXPORT, {"what": "audit"})
            with store.begin() as connection:
                for record in records(connection):
                    print(as_line(record))
            return
        noted = Head.parse(options.head) if options.head else None
        with store.begin() as connection:
            head = verify(connection, noted)
    print(f"{head.number} records, none changed, missing or moved; note this head elsewhere and hand it in next time:")
    print(f"  python -m serving.audit verify --head {head}")


def append(connection: sa.Connection, account: str, action: Action, details: Mapping[str, Any]) -> None:
    """Add a record; others wait until the transaction of `connection` ends, so let it be its last statement.

    Args:
        connection: in a transaction, with which the record stands or falls.
        account: who did it.
        action: what was done.
        details: JSON; no secret, no picture.
    """
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_AUDIT_LOCK)))
    newest = sa.select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1).subquery()
    now = sa.func.clock_timestamp().label("at")
    kept = sa.cast(sa.literal(dict(details), JSONB), JSONB).label("details")  # as the database gives it back
    one = sa.select(now, kept).subquery()
    row = connection.execute(sa.select(one, newest).join_from(one, newest, sa.true(), isouter=True)).one()
    before = _BEFORE_ALL if row.number is None else Head(row.number, row.hash)
    record = Record(before.number + 1, row.at, account, action.value, row.details, hash="")
    connection.execute(sa.insert(audit), {**vars(record), "hash": record.hash_after(before.hash)})


def append_change(connection: sa.Connection, action: Action, details: Mapping[str, Any]) -> None:
    """Add a record of this machine's service, unless the last one of `action` has the same details."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_AUDIT_LOCK)))
    now = sa.cast(sa.literal(dict(details), JSONB), JSONB)
    last = sa.select(audit.c.details == now).where(audit.c.action == action).order_by(audit.c.number.desc()).limit(1)
    if not connection.execute(last).scalar():
        append(connection, command_account(), action, details)


def read_by(connection: sa.Connection, account: str, after: int, limit: int) -> list[Record]:
    """Records as `records` has them, whose reading is recorded too.

    But for a reading that shows nothing except the reader's own ones: else nobody who goes on to the end gets there.
    """
    found = list(records(connection, after, limit))
    if any((one.account, one.action) != (account, Action.READ_AUDIT) for one in found):
        append(connection, account, Action.READ_AUDIT, {"after": after, "limit": limit})
    return found


def append_replacement(connection: sa.Connection, details: Mapping[str, Any]) -> None:
    """Add a record of sightings that were replaced by this machine's `track`, `ingest --again` or `worker`."""
    append(connection, command_account(), Action.REPLACEMENT, details)


def records(connection: sa.Connection, after: int = 0, limit: int | None = None) -> Iterator[Record]:
    """Records with a number above `after`, at most `limit`, in order; read in batches while they are taken."""
    query = sa.select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(limit)
    for row in connection.execute(query.execution_options(yield_per=_BATCH)):
        yield Record(row.number, row.at.astimezone(UTC), row.account, row.action, row.details, row.hash)


def verify(connection: sa.Connection, noted: Head | None = None) -> Head:
    """The audit's head, when every record is what was recorded.

    Args:
        connection: to the database.
        noted: the head of an earlier time, which must still be in it.

    Raises:
        BrokenAuditError: if a record was changed, removed or moved; it names the first.
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
                f"record {record.number} has another hash than was noted: it or one before it was written anew"
            )
        head = Head(record.number, record.hash)
    if noted is not None and head.number < noted.number:
        raise BrokenAuditError(f"record {head.number + 1} is missing: the head noted is {noted.number}, cut off since")
    return head


def as_line(record: Record) -> str:
    """The record as one line of JSON."""
    return _canonical({**vars(record), "at": record.at.isoformat()})


def command_account() -> str:
    """Who works on this machine: the user's name, or number where there is no name, as in many a container."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        user = str(os.getuid())
    return f"command:{user}"


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


if __name__ == "__main__":
    run_stage(main)
