"""Searches and routes of a case, recorded with the case and in the audit before they are answered."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from serving.access.accounts import Account
from serving.database import audit, tables
from serving.database.audit import Action
from serving.search.coverage import Coverage
from serving.search.messages import RouteAnswer, SearchAnswer
from serving.search.search import Hit


class RecordedRequest(BaseModel):
    """A request for a search or route, with its case and reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case_id: int
    reason: str
    question: dict[str, Any]  # fields of the request without photos, case and reason


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
    found: list[tuple[str, int]]  # district and tracklet id, nearest first; a route's sightings in its order
    coverage: Coverage  # what could be searched


def record_search(
    connection: sa.Connection,
    account: Account,
    request: RecordedRequest,
    photo_sha256: str | None,
    answer: SearchAnswer,
) -> None:
    """Record a search with its sightings and coverage."""
    row = request.model_dump() | {"photo_sha256": photo_sha256, "model_version": answer.model_version}
    _record(connection, account, row, answer.sightings, answer.coverage)


def record_route(
    connection: sa.Connection, account: Account, request: RecordedRequest, format: str, answer: RouteAnswer
) -> None:
    """Record the view (JSON) or export (another format) of a route, and its search for likely sightings, if any."""
    if answer.coverage is not None:
        hits = [hit for each in (answer, *answer.alternatives) for hit in each.route]
        row = request.model_dump() | {"photo_sha256": None, "model_version": answer.model_version}
        _record(connection, account, row, hits, answer.coverage)
    if format == "json":
        audit.append(connection, account.name, Action.ROUTE, request.model_dump())
    else:
        exported = {"what": "route", "format": format, **request.model_dump()}
        audit.append(connection, account.name, Action.EXPORT, exported)


def searches_of(connection: sa.Connection, case_id: int) -> list[RecordedSearch]:
    """All searches of a case, by time."""
    table = tables.searches
    rows = connection.execute(sa.select(table).where(table.c.case_id == case_id).order_by(table.c.id)).mappings()
    return [RecordedSearch(**{name: row[name] for name in RecordedSearch.model_fields}) for row in rows]


def _record(
    connection: sa.Connection, account: Account, row: dict[str, Any], hits: Iterable[Hit], coverage: Coverage
) -> None:
    found = list(dict.fromkeys((hit.district, hit.tracklet_id) for hit in hits))
    searched = {"account": account.name, **row, "found": found, "coverage": coverage.model_dump(mode="json")}
    connection.execute(sa.insert(tables.searches).values(searched))
    audit.append(connection, account.name, Action.SEARCH, row | {"found": found})
