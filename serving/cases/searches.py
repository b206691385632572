"""Searches and routes of a case, recorded with the case and in the audit before they are answered.

The case must still be open, and the account's, when the answer is recorded: otherwise nothing is answered.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from serving.access.accounts import Account
from serving.cases.visible import open_case_of, require_in_view, show_in_case
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.crops import segment_of
from serving.search.coverage import Coverage
from serving.search.messages import RouteAnswer, SearchAnswer, SightingId, WhereNextAnswer
from serving.search.search import Hit, SightingKey

_OF_ONE_ACCOUNT = {"rejected", "like"}


class RecordedRequest(BaseModel):
    """A request for a search or route, with its case and reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case_id: int
    reason: str
    question: dict[str, Any]  # fields of the request without photos, case and reason


def without_verdicts(question: Mapping[str, Any]) -> dict[str, Any]:
    """The question but for sightings that one account judged: who judges them next is not told."""
    return {name: value for name, value in question.items() if name not in _OF_ONE_ACCOUNT}


class RecordedSearch(BaseModel):
    """A recorded search of a case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    account: str
    at: datetime
    reason: str
    question: dict[str, Any]  # as in `RecordedRequest`
    photo_sha256: str | None  # of each photo, separated by spaces
    model_version: str
    deployment_version: str | None  # one id of the models that answered; None if unknown
    found: list[tuple[str, int]]  # district and tracklet id, nearest first; a route's sightings in its order
    coverage: Coverage  # what could be searched


def record_search(
    connection: sa.Connection,
    account: Account,
    request: RecordedRequest,
    photo_sha256: str | None,
    answer: SearchAnswer,
) -> None:
    """Record a search with its sightings and coverage; the case shows these sightings from now on.

    Raises:
        UnknownCaseError, InputError: if the case was closed or taken from the account while the search ran.
    """
    open_case_of(connection, account, request.case_id, locked=True)
    row = request.model_dump() | {"photo_sha256": photo_sha256} | _versions(answer)
    _record(connection, account, row, answer.sightings, answer.coverage)


def record_route(
    connection: sa.Connection, account: Account, request: RecordedRequest, format: str, answer: RouteAnswer
) -> None:
    """Record the view (JSON) or export (another format) of a route, and its search for likely sightings, if any.

    Raises:
        UnknownCaseError, InputError: as `record_search`.
    """
    open_case_of(connection, account, request.case_id, locked=True)
    if answer.coverage is not None:
        hits = [hit for each in (answer, *answer.alternatives) for hit in each.route]
        row = request.model_dump() | {"photo_sha256": None} | _versions(answer)
        _record(connection, account, row, hits, answer.coverage)
    if format == "json":
        audit.append(connection, account.name, Action.ROUTE, request.model_dump())
    else:
        exported = {"what": "route", "format": format, **request.model_dump()}
        audit.append(connection, account.name, Action.EXPORT, exported)


def record_where_next(
    connection: sa.Connection, account: Account, request: RecordedRequest, answer: WhereNextAnswer
) -> None:
    """Record the view of where the person is next, and its search for later sightings, if any.

    Raises:
        UnknownCaseError, InputError: as `record_search`.
    """
    open_case_of(connection, account, request.case_id, locked=True)
    if answer.coverage is not None:
        row = request.model_dump() | {"photo_sha256": None} | _versions(answer)
        _record(connection, account, row, answer.sightings, answer.coverage)
    audit.append(connection, account.name, Action.WHERE_NEXT, request.model_dump())


def record_view(connection: sa.Connection, account: Account, case_id: int, sighting: SightingId) -> None:
    """Record that the crop of a sighting is shown.

    Raises:
        UnknownCaseError, InputError, UnknownSightingError: as `require_in_view`.
    """
    require_in_view(connection, account, case_id, sighting)
    audit.append(connection, account.name, Action.VIEW, {"case_id": case_id, **sighting.model_dump()})


def searches_of(connection: sa.Connection, case_id: int) -> list[RecordedSearch]:
    """All searches of a case, by time."""
    table = tables.searches
    rows = connection.execute(sa.select(table).where(table.c.case_id == case_id).order_by(table.c.id)).mappings()
    return [RecordedSearch(**{name: row[name] for name in RecordedSearch.model_fields}) for row in rows]


def _versions(answer: SearchAnswer | RouteAnswer | WhereNextAnswer) -> dict[str, str]:
    return {"model_version": answer.model_version, "deployment_version": answer.deployment_version}


def _record(
    connection: sa.Connection, account: Account, row: dict[str, Any], hits: Sequence[Hit], coverage: Coverage
) -> None:
    found = list(dict.fromkeys((hit.district, hit.tracklet_id) for hit in hits))
    searched = {"account": account.name, **row, "found": found, "coverage": coverage.model_dump(mode="json")}
    connection.execute(sa.insert(tables.searches).values(searched))
    show_in_case(connection, row["case_id"], _still_stored(connection, hits))
    audit.append(connection, account.name, Action.SEARCH, row | {"found": found})


def _still_stored(connection: sa.Connection, hits: Sequence[Hit]) -> set[SightingKey]:
    """Keys of the hits but of those whose district was replaced meanwhile: their numbers may mean other people now.

    Who replaces a district or a segment waits until the transaction ends.
    """
    table = tables.segments
    segments = sa.select(table.c.id).where(table.c.id.in_({segment_of(hit.crop) for hit in hits}))
    stored = set(connection.execute(segments.with_for_update(read=True, key_share=True)).scalars())
    return {(hit.district, hit.tracklet_id) for hit in hits if segment_of(hit.crop) in stored}
