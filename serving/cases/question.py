"""The question of a case, so that the next shift goes on: photos of the person, notes, and the last search.

Photos lie encrypted beside the crops. They are kept while the case is, and can be taken out of it.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects.postgresql import array

from domain.errors import ArtifactError, DongseonError
from serving.access.accounts import Account
from serving.cases.searches import without_verdicts
from serving.cases.visible import case_of, open_case_of
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.case_photos import photo_path
from serving.database.crops import Crops

MOST_PHOTOS = 30  # of a case
_KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"RIFF": "image/webp", b"BM": "image/bmp"}


class UnknownPhotoError(DongseonError):
    """The case has no such photo."""


class CasePhoto(BaseModel):
    """A photo of the person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    account: str  # who searched with it first
    at: datetime
    sha256: str


class CaseNote(BaseModel):
    """A note for whoever works on the case next."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    account: str
    at: datetime
    text: str


class LastSearch(BaseModel):
    """The last search of a case that was neither a route nor a place to look next."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: str
    at: datetime
    reason: str
    question: dict[str, Any]  # its fields without photos, case and reason


class CaseQuestion(BaseModel):
    """Who a case looks for, as far as it is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    photos: list[CasePhoto]  # oldest first
    notes: list[CaseNote]  # newest first
    last_search: LastSearch | None


def question_of(connection: sa.Connection, account: Account, case_id: int) -> CaseQuestion:
    """Photos, notes and last search of a case. The view is recorded.

    Raises:
        UnknownCaseError: if the account may not work on the case.
    """
    case_of(connection, account, case_id)
    photos, notes, searches = tables.case_photos, tables.case_notes, tables.searches
    of_case = sa.select(photos).where(photos.c.case_id == case_id).order_by(photos.c.id)
    noted = sa.select(notes).where(notes.c.case_id == case_id).order_by(notes.c.id.desc())
    is_search = searches.c.question.has_any(array(["attributes", "confirmed"])) | searches.c.photo_sha256.is_not(None)
    last = sa.select(searches).where(searches.c.case_id == case_id, is_search).order_by(searches.c.id.desc()).limit(1)
    row = connection.execute(last).mappings().one_or_none()
    answer = CaseQuestion(
        photos=[_of(CasePhoto, one) for one in connection.execute(of_case).mappings()],
        notes=[_of(CaseNote, one) for one in connection.execute(noted).mappings()],
        last_search=_last_search(row) if row is not None else None,
    )
    audit.append(connection, account.name, Action.VIEW_CASE, {"case_id": case_id, "what": "question"})
    return answer


def keep_photos(
    connection: sa.Connection, crops: Crops, account: Account, case_id: int, photos: Sequence[bytes]
) -> None:
    """Keep the photos of a search with its case; of those that it has already, none twice.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
    """
    open_case_of(connection, account, case_id, locked=True)
    table = tables.case_photos
    known = set(connection.execute(sa.select(table.c.sha256).where(table.c.case_id == case_id)).scalars())
    new = {hashlib.sha256(photo).hexdigest(): photo for photo in photos}
    new = {digest: photo for digest, photo in new.items() if digest not in known}
    files = {}
    for digest, photo in list(new.items())[: MOST_PHOTOS - len(known)]:
        row = {"case_id": case_id, "account": account.name, "sha256": digest}
        number = connection.execute(sa.insert(table).values(row).returning(table.c.id)).scalar_one()
        files[photo_path(case_id, number)] = photo
    crops.write_files(files)  # before the commit: a row never lacks its file


def photo_of(connection: sa.Connection, crops: Crops, account: Account, case_id: int, photo_id: int) -> bytes:
    """A photo of a case, as it was sent. The view is recorded.

    Raises:
        UnknownCaseError: if the account may not work on the case.
        UnknownPhotoError: if the case has no such photo.
    """
    case_of(connection, account, case_id)
    _require_photo(connection, case_id, photo_id)
    try:
        content = crops.read(photo_path(case_id, photo_id))
    except (FileNotFoundError, ArtifactError) as error:
        raise UnknownPhotoError(f"the photo {photo_id} of case {case_id} must be readable, it is not") from error
    audit.append(connection, account.name, Action.VIEW, {"case_id": case_id, "photo": photo_id})
    return content


def remove_photo(connection: sa.Connection, crops: Crops, account: Account, case_id: int, photo_id: int) -> None:
    """Remove a photo from a case, such as a photo of another person.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
        UnknownPhotoError: if the case has no such photo.
    """
    open_case_of(connection, account, case_id, locked=True)
    _require_photo(connection, case_id, photo_id)
    connection.execute(sa.delete(tables.case_photos).where(tables.case_photos.c.id == photo_id))
    crops.delete([photo_path(case_id, photo_id)])  # what stays without a row, the next retention deletes
    audit.append(connection, account.name, Action.CASE, {"case_id": case_id, "removed_photo": photo_id})


def add_note(connection: sa.Connection, account: Account, case_id: int, text: str) -> CaseNote:
    """Add a note to an open case; notes are never changed.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
    """
    open_case_of(connection, account, case_id, locked=True)
    table = tables.case_notes
    row = {"case_id": case_id, "account": account.name, "text": text}
    note = _of(CaseNote, connection.execute(sa.insert(table).values(row).returning(table)).mappings().one())
    audit.append(connection, account.name, Action.CASE, {"case_id": case_id, "note": note.id})
    return note


def kind_of_photo(content: bytes) -> str:
    """Media type of a photo that a search has decoded."""
    return next((kind for start, kind in _KINDS.items() if content.startswith(start)), "image/tiff")


def _require_photo(connection: sa.Connection, case_id: int, photo_id: int) -> None:
    table = tables.case_photos
    is_it = (table.c.id == photo_id) & (table.c.case_id == case_id)
    if connection.execute(sa.select(table.c.id).where(is_it)).first() is None:
        raise UnknownPhotoError(f"the photo must be one of case {case_id}, got {photo_id}")


def _last_search(row: sa.RowMapping) -> LastSearch:
    return LastSearch(**_fields(LastSearch, row) | {"question": without_verdicts(row["question"])})


def _of(kind: type[Any], row: sa.RowMapping) -> Any:
    return kind(**_fields(kind, row))


def _fields(kind: type[BaseModel], row: sa.RowMapping) -> dict[str, Any]:
    return {name: row[name] for name in kind.model_fields}
