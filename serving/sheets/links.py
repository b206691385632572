"""Sheets of cases and their links, which open a sheet without an account until they expire or are revoked.

A link holds a token of which the store has the hash alone. A sheet out of use is not shown from that moment on; its
files are deleted when it is revoked, else by the next retention.
"""

import hashlib
import secrets
from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from domain.errors import ArtifactError, DongseonError, InputError
from serving.access.accounts import Account
from serving.cases.visible import case_of, open_case_of
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.crops import Crops
from serving.database.sheet_files import is_in_use, pdf_path, sheet_path
from serving.sheets.making import Plan, plan_sheet
from serving.sheets.sheet import Sheet

_TOKEN_BYTES = 32
MOST_TOKEN = 64  # letters


class UnknownSheetError(DongseonError):
    """There is no such sheet in use, or the account may not work on its case."""


class SheetAnswer(BaseModel):
    """A sheet of a case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    case_id: int
    account: str  # who made it
    reason: str
    created: datetime
    expires: datetime
    revoked: datetime | None
    is_in_use: bool
    opened: int  # how often the link was opened
    pdf_sha256: str


class NewSheetAnswer(SheetAnswer):
    """A sheet that was made, with the token of its link, which is told only now."""

    token: str


def keep_sheet(
    connection: sa.Connection,
    crops: Crops,
    account: Account,
    reason: str,
    plan: Plan,
    sheet: Sheet,
    pdf: bytes,
) -> NewSheetAnswer:
    """Keep a sheet, encrypted, and make its link.

    Args:
        connection: in a transaction.
        crops: where it is kept.
        account: who made it.
        reason: for the audit.
        plan: from which it was made.
        sheet: what its link shows.
        pdf: the same as a file.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
        InputError: if the matches of the case have changed meanwhile.
    """
    open_case_of(connection, account, plan.case.id, locked=True)
    if plan_sheet(connection, account, plan.case.id).keys != plan.keys:
        raise InputError("the matches of the case must stay as they are while a sheet is made; make it again")
    token, table = secrets.token_urlsafe(_TOKEN_BYTES), tables.sheets
    row = {
        "case_id": sheet.case_id,
        "account": account.name,
        "reason": reason,
        "expires": sheet.expires,
        "token_hash": _hash(token),
        "pdf_sha256": hashlib.sha256(pdf).hexdigest(),
    }
    number = connection.execute(sa.insert(table).values(row).returning(table.c.id)).scalar_one()
    content = sheet.model_dump_json().encode()
    crops.write_files({sheet_path(sheet.case_id, number): content, pdf_path(sheet.case_id, number): pdf})
    details = {
        "case_id": sheet.case_id,
        "sheet": number,
        "reason": reason,
        "expires": sheet.expires.isoformat(),
        "pdf_sha256": row["pdf_sha256"],
        "shown": plan.keys,
        "manifest": {listed.name: listed.sha256 for listed in sheet.manifest},
    }
    audit.append(connection, account.name, Action.SHEET, details)
    return NewSheetAnswer(**_answer(connection, sheet.case_id, number).model_dump(), token=token)


def sheets_of(connection: sa.Connection, account: Account, case_id: int) -> list[SheetAnswer]:
    """The sheets of a case, newest first.

    Raises:
        UnknownCaseError: if the account may not work on the case.
    """
    case_of(connection, account, case_id)
    rows = connection.execute(_sheets().where(tables.sheets.c.case_id == case_id)).mappings()
    return [SheetAnswer(**row) for row in rows]


def pdf_of(connection: sa.Connection, crops: Crops, account: Account, case_id: int, sheet_id: int) -> bytes:
    """The PDF of a sheet in use. The view is recorded.

    Raises:
        UnknownCaseError: if the account may not work on the case.
        UnknownSheetError: if the case has no such sheet, or it is out of use.
    """
    case_of(connection, account, case_id)
    if not _answer(connection, case_id, sheet_id).is_in_use:
        raise UnknownSheetError(f"the sheet {sheet_id} of case {case_id} is out of use; make another")
    pdf = _read(crops, pdf_path(case_id, sheet_id))
    audit.append(connection, account.name, Action.SHEET, {"case_id": case_id, "sheet": sheet_id, "what": "pdf"})
    return pdf


def revoke(connection: sa.Connection, crops: Crops, account: Account, case_id: int, sheet_id: int) -> SheetAnswer:
    """Take a sheet out of use for good, and delete it. Idempotent.

    Raises:
        UnknownCaseError: if the account may not work on the case.
        UnknownSheetError: if the case has no such sheet.
    """
    case_of(connection, account, case_id)
    _answer(connection, case_id, sheet_id)
    table = tables.sheets
    revoking = sa.update(table).where(table.c.id == sheet_id, table.c.revoked.is_(None)).values(revoked=sa.func.now())
    connection.execute(revoking)
    crops.delete([sheet_path(case_id, sheet_id), pdf_path(case_id, sheet_id)])  # what stays, the next retention deletes
    audit.append(connection, account.name, Action.SHEET, {"case_id": case_id, "sheet": sheet_id, "revoked": True})
    return _answer(connection, case_id, sheet_id)


def open_link(connection: sa.Connection, crops: Crops, token: str) -> Sheet | None:
    """The sheet whose link holds `token`; None if there is none in use. The view is recorded."""
    table = tables.sheets
    query = sa.select(table.c.id, table.c.case_id).join(tables.cases).where(is_in_use())
    row = connection.execute(query.where(table.c.token_hash == _hash(token))).one_or_none()
    if row is None:
        return None
    try:
        content = _read(crops, sheet_path(row.case_id, row.id))
    except UnknownSheetError:
        return None
    connection.execute(sa.update(table).where(table.c.id == row.id).values(opened=table.c.opened + 1))
    details = {"case_id": row.case_id, "sheet": row.id, "what": "link"}
    audit.append_once_a_minute(connection, f"link:{row.id}", Action.SHEET, details)
    return Sheet.model_validate_json(content)


def _read(crops: Crops, path: str) -> bytes:
    try:
        return crops.read(path)
    except (FileNotFoundError, ArtifactError) as error:
        raise UnknownSheetError(f"the sheet at {path} must be readable, it is not; make another") from error


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _sheets() -> sa.Select[tuple[object, ...]]:
    table = tables.sheets
    columns = [table.c[name] for name in SheetAnswer.model_fields if name != "is_in_use"]
    return sa.select(*columns, is_in_use().label("is_in_use")).join(tables.cases).order_by(table.c.id.desc())


def _answer(connection: sa.Connection, case_id: int, sheet_id: int) -> SheetAnswer:
    table = tables.sheets
    query = _sheets().where(table.c.case_id == case_id, table.c.id == sheet_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownSheetError(f"the sheet must be one of case {case_id}, got {sheet_id}")
    return SheetAnswer(**row)
