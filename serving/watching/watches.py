"""Watches and alerts of cases: opened, listed and ended by accounts, each change with a record in the audit."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa
from pgvector import HalfVector
from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects.postgresql import insert

from domain.attributes import AttributeSchema
from domain.embeddings import unit_length
from domain.errors import DongseonError
from serving.access.accounts import Account
from serving.cases.searches import without_verdicts
from serving.cases.standing import Standing, sightings_standing
from serving.cases.visible import open_case_of, show_in_case, visible_cases
from serving.database import audit, queries, tables
from serving.database.audit import Action
from serving.database.watches import is_active
from serving.matching.description import LabelQuestion, read_description
from serving.search.service import Sought
from serving.watching.watch import Watch
from serving.watching.whereabouts import whereabouts

_MOST_REJECTED = 200  # sightings of a case that lower the probability of those that look alike


class UnknownWatchError(DongseonError):
    """There is no such watch, or the account may not work on its case."""


class WatchAnswer(BaseModel):
    """A watch of a case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    case_id: int
    account: str
    reason: str
    created: datetime
    until: datetime
    ended: datetime | None
    is_active: bool
    min_probability: float
    question: dict[str, Any]  # all fields of the request but the photos
    alarms_a_day: float | None  # expected when it was created; None if nothing was seen before
    told: int  # sightings so far


class Alert(BaseModel):
    """A sighting that a watch told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    watch_id: int
    case_id: int
    at: datetime
    match_probability: float
    district: str
    tracklet_id: int
    camera_id: str | None  # None, as the times, once the sighting is removed
    first_seen: datetime | None
    last_seen: datetime | None


def open_watch(
    connection: sa.Connection,
    account: Account,
    case_id: int,
    reason: str,
    question: Mapping[str, Any],
    sought: Sought,
    hours: float,
    min_probability: float,
    alarms_a_day: float | None,
) -> WatchAnswer:
    """Let a case watch for a person from now on, for `hours`.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
    """
    open_case_of(connection, account, case_id, locked=True)
    table = tables.watches
    until = datetime.now(UTC) + timedelta(hours=hours)
    row = {
        "case_id": case_id,
        "account": account.name,
        "reason": reason,
        "until": until,
        "min_probability": min_probability,
        "question": dict(question),
        "cameras": None if sought.cameras is None else [list(camera) for camera in sought.cameras],
        "embedding": None if sought.embedding is None else HalfVector(sought.embedding),
        "model_version": sought.model_version,
        "alarms_a_day": alarms_a_day,
    }
    watch_id = connection.execute(sa.insert(table).values(row).returning(table.c.id)).scalar_one()
    details = {"opened": watch_id, "case_id": case_id, "reason": reason, "min_probability": min_probability}
    audit.append(connection, account.name, Action.WATCH, details | {"until": until.isoformat()})
    return _watch(connection, account, watch_id)


def end_watch(connection: sa.Connection, account: Account, watch_id: int) -> WatchAnswer:
    """End a watch; what it told stays. Idempotent.

    Raises:
        UnknownWatchError: if there is no such watch.
    """
    _watch(connection, account, watch_id)
    table = tables.watches
    now = sa.func.least(table.c.until, sa.func.now())
    ending = sa.update(table).where(table.c.id == watch_id, table.c.ended.is_(None)).values(ended=now)
    connection.execute(ending)
    audit.append(connection, account.name, Action.WATCH, {"ended": watch_id})
    return _watch(connection, account, watch_id)


def watches_of(connection: sa.Connection, account: Account, case_id: int) -> list[WatchAnswer]:
    """Watches of a case, newest first; none of a case on which the account may not work."""
    rows = connection.execute(_watches(account).where(tables.watches.c.case_id == case_id)).mappings()
    return [_answer(row) for row in rows]


def alerts_after(
    connection: sa.Connection, account: Account, after: int, case_id: int | None = None, most: int = 100
) -> list[Alert]:
    """The first alerts with a number above `after` in cases on which the account may work; recorded if there are some.

    Without `case_id`, those of all of them.
    """
    alerts, watches, seen = tables.alerts, tables.watches, tables.tracklets
    is_seen = (seen.c.district == alerts.c.district) & (seen.c.id == alerts.c.tracklet_id)
    columns = [alerts.c[name] for name in ("id", "watch_id", "at", "district", "tracklet_id")]
    query = (
        sa.select(
            *columns,
            watches.c.case_id,
            alerts.c.probability.label("match_probability"),
            seen.c.camera_id,
            seen.c.first_seen,
            seen.c.last_seen,
        )
        .join_from(alerts, watches, alerts.c.watch_id == watches.c.id)
        .join(seen, is_seen, isouter=True)
        .where(alerts.c.id > after, watches.c.case_id.in_(visible_cases(account)))
        .order_by(alerts.c.id)
        .limit(most)
    )
    if case_id is not None:
        query = query.where(watches.c.case_id == case_id)
    told = [Alert(**row) for row in connection.execute(query).mappings()]
    if told:
        details = {"told": [one.id for one in told], "cases": sorted({one.case_id for one in told})}
        audit.append(connection, account.name, Action.ALERT, details)
    return told


def newest_alert(connection: sa.Connection) -> int:
    """Number of the newest alert; 0 without one."""
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(tables.alerts.c.id), 0))).scalar_one())


def active_watches(connection: sa.Connection, model_version: str, schema: AttributeSchema | None) -> list[Watch]:
    """Watches that go on and look for embeddings of this model, or for words, with the verdicts of their cases.

    Where and when the person was is known by the question of a watch and by the matches of its case.
    """
    table = tables.watches
    rows = connection.execute(
        sa.select(table)
        .where(is_active(), (table.c.model_version == model_version) | table.c.embedding.is_(None))
        .order_by(table.c.id)
    ).all()
    rejected, seen = _rejected(connection, {row.case_id for row in rows}, model_version), whereabouts(connection, rows)
    return [
        Watch(
            id=row.id,
            case_id=row.case_id,
            account=row.account,
            reason=row.reason,
            min_probability=row.min_probability,
            cameras=None if row.cameras is None else frozenset((district, camera) for district, camera in row.cameras),
            embedding=None if row.embedding is None else unit_length(np.asarray(row.embedding, np.float32)),
            description=_description(row.question, schema),
            rejected=rejected.get(row.case_id, []),
            seen=seen[row.id],
        )
        for row in rows
    ]


def record_alerts(connection: sa.Connection, told: Sequence[tuple[Watch, Mapping[tuple[str, int], float]]]) -> int:
    """Record the sightings that each watch tells, with their probability; their cases show them from now on.

    Returns their number, without those that were told before.
    """
    number = 0
    recorded = []
    for watch, probabilities in told:
        rows = [
            {"watch_id": watch.id, "district": district, "tracklet_id": tracklet, "probability": probability}
            for (district, tracklet), probability in probabilities.items()
        ]
        table = tables.alerts
        new = (
            insert(table)
            .values(rows)
            .on_conflict_do_nothing()
            .returning(table.c.id, table.c.district, table.c.tracklet_id)
        )
        alerts = connection.execute(new).all()
        if alerts:
            show_in_case(connection, watch.case_id, {(one.district, one.tracklet_id) for one in alerts})
            recorded.append((watch, alerts))
            number += len(alerts)
    for watch, alerts in recorded:  # the audit comes last
        found = [(one.district, one.tracklet_id) for one in alerts]
        details = {"watch": watch.id, "case_id": watch.case_id, "reason": watch.reason, "found": found}
        audit.append(connection, watch.account, Action.ALERT, details)
    return number


def _rejected(connection: sa.Connection, cases: Collection[int], model_version: str) -> dict[int, list[np.ndarray]]:
    """Embeddings of the sightings of other people, by case: the latest of them."""
    of_case: dict[int, list[tuple[str, int]]] = {}
    for case, key in sightings_standing(connection, tables.cases.c.id.in_(cases), Standing.REJECTED):
        keys = of_case.setdefault(case, [])
        if len(keys) < _MOST_REJECTED:
            keys.append(key)
    everybody = {key for keys in of_case.values() for key in keys}
    stored = queries.tracklets(connection, everybody) if everybody else []
    of_model = queries.embedded(connection, stored, model_version)
    embeddings = {(one.district, one.id): unit_length(one.embedding) for one in of_model}
    return {case: [embeddings[key] for key in keys if key in embeddings] for case, keys in of_case.items()}


def _description(question: Mapping[str, Any], schema: AttributeSchema | None) -> dict[str, Any]:
    asked = {name: LabelQuestion.model_validate(labels) for name, labels in question.get("attributes", {}).items()}
    return read_description(asked, schema) if asked and schema is not None else {}


def _watches(account: Account) -> sa.Select[Any]:
    table, alerts = tables.watches, tables.alerts
    told = sa.select(sa.func.count()).where(alerts.c.watch_id == table.c.id).scalar_subquery()
    query = sa.select(table, is_active().label("is_active"), told.label("told"))
    return query.where(table.c.case_id.in_(visible_cases(account))).order_by(table.c.id.desc())


def _watch(connection: sa.Connection, account: Account, watch_id: int) -> WatchAnswer:
    row = connection.execute(_watches(account).where(tables.watches.c.id == watch_id)).mappings().one_or_none()
    if row is None:
        raise UnknownWatchError(f"the watch must be of a case that {account.name} may work on, got {watch_id}")
    return _answer(row)


def _answer(row: sa.RowMapping) -> WatchAnswer:
    told = {name: row[name] for name in WatchAnswer.model_fields}
    return WatchAnswer(**told | {"question": without_verdicts(row["question"])})
