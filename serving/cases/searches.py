"""What was searched for a case: kept with it, and recorded in the audit, before it is answered."""

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


class Asked(BaseModel):
    """A question, and what it is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case_id: int
    reason: str
    question: dict[str, Any]  # all fields but the photo


class RecordedSearch(BaseModel):
    """A search for a case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    account: str
    at: datetime
    reason: str
    question: dict[str, Any]  # all fields but the photo
    photo_sha256: str | None
    model_version: str
    found: list[tuple[str, int]]  # district and tracklet id, nearest first; of a route in its order
    coverage: Coverage  # what could be searched


def record_search(
    connection: sa.Connection, account: Account, asked: Asked, photo_sha256: str | None, answer: SearchAnswer
) -> None:
    """Keep what was asked for the case, why, what was found, and what could be searched."""
    kept = asked.model_dump() | {"photo_sha256": photo_sha256, "model_version": answer.model_version}
    _keep(connection, account, kept, answer.sightings, answer.coverage)


def record_route(connection: sa.Connection, account: Account, asked: Asked, format: str, answer: RouteAnswer) -> None:
    """Record that a route was seen, or exported in a format other than JSON; if it was filled, keep that search too."""
    if answer.coverage is not None:
        seen = [one for way in (answer, *answer.alternatives) for one in way.route]
        kept = asked.model_dump() | {"photo_sha256": None, "model_version": answer.model_version}
        _keep(connection, account, kept, seen, answer.coverage)
    if format == "json":
        audit.append(connection, account.name, Action.ROUTE, asked.model_dump())
    else:
        exported = {"what": "route", "format": format, **asked.model_dump()}
        audit.append(connection, account.name, Action.EXPORT, exported)


def searches_of(connection: sa.Connection, case_id: int) -> list[RecordedSearch]:
    """All searches for a case, by time."""
    table = tables.searches
    found = connection.execute(sa.select(table).where(table.c.case_id == case_id).order_by(table.c.id)).mappings()
    return [RecordedSearch(**{name: row[name] for name in RecordedSearch.model_fields}) for row in found]


def _keep(
    connection: sa.Connection, account: Account, kept: dict[str, Any], seen: Iterable[Hit], coverage: Coverage
) -> None:
    found = list(dict.fromkeys((one.district, one.tracklet_id) for one in seen))
    row = {"account": account.name, **kept, "found": found, "coverage": coverage.model_dump(mode="json")}
    connection.execute(sa.insert(tables.searches).values(row))
    audit.append(connection, account.name, Action.SEARCH, kept | {"found": found})
