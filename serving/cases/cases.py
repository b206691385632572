"""Cases: every search belongs to one. A case has operators, verdicts on sightings, and perhaps a legal hold.

Operators see the cases that name them, reviewers all cases. Every change, and every view of sightings, is recorded in
the audit in the same transaction, so before the answer is sent.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import distinct_on, insert

from domain.errors import InputError
from serving.access.accounts import Account, account_named
from serving.access.roles import Role
from serving.cases.searches import RecordedSearch, searches_of
from serving.cases.verdict import Verdict
from serving.cases.visible import CaseAnswer, case_of, open_case_of
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.districts import stored_districts
from serving.search.messages import SightingId
from serving.search.service import UnknownSightingError

_Record = TypeVar("_Record", bound=BaseModel)


class CaseSighting(SightingId):
    """A sighting with a verdict; place and times while it is stored."""

    district: str  # verdicts of old may be on names that are none now
    verdict: Verdict
    account: str
    at: datetime
    camera_id: str | None
    first_seen: datetime | None
    last_seen: datetime | None


class CaseDetails(CaseAnswer):
    """A case and its judged sightings."""

    verdicts: list[CaseSighting]  # the last verdict on each sighting


class ExportedSighting(CaseSighting):
    """A judged sighting for people who do not know the cameras by their ids."""

    camera_name: str | None


class CaseExport(CaseAnswer):
    """The whole record of a case; times as clocks of the district show them, with their offset from UTC."""

    verdicts: list[ExportedSighting]  # all verdicts, by time
    searches: list[RecordedSearch]  # by time


def open_case(connection: sa.Connection, account: Account, title: str, operators: Sequence[str]) -> CaseAnswer:
    """Open a case on which `operators` may work.

    Raises:
        InputError: if an operator is no account with the role operator.
    """
    new = sa.insert(tables.cases).values(title=title, legal_hold=False).returning(tables.cases.c.id)
    case_id = connection.execute(new).scalar_one()
    _name_operators(connection, case_id, operators)
    _record(connection, account, case_id, {"opened": title, "operators": sorted(set(operators))})
    return case_of(connection, account, case_id)


def case_details(connection: sa.Connection, account: Account, case_id: int) -> CaseDetails:
    """A case with the last verdict on each sighting, in order of time. The view is recorded.

    Raises:
        UnknownCaseError: if the account may not work on the case.
    """
    case = case_of(connection, account, case_id)
    last = _last_verdicts(case_id)
    judged = _with_place(last).where(last.c.verdict != Verdict.NONE)
    rows = connection.execute(judged.order_by(tables.tracklets.c.first_seen, last.c.id)).mappings()
    sightings = [CaseSighting(**{name: row[name] for name in CaseSighting.model_fields}) for row in rows]
    audit.append(connection, account.name, Action.VIEW_CASE, {"case_id": case_id})
    return CaseDetails(**case.model_dump(), verdicts=sightings)


def close_case(connection: sa.Connection, account: Account, case_id: int) -> CaseAnswer:
    """Close a case to further searches and verdicts; a legal hold stays.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
    """
    open_case_of(connection, account, case_id)
    _update(connection, case_id, closed=sa.func.now())
    _record(connection, account, case_id, {"closed": True})
    return case_of(connection, account, case_id)


def hold_case(connection: sa.Connection, account: Account, case_id: int, *, held: bool) -> CaseAnswer:
    """Set or lift the legal hold, which keeps the confirmed sightings from removal.

    Lifting it removes from the case the sightings whose verdict has changed meanwhile.

    Raises:
        UnknownCaseError: if the account may not work on the case.
    """
    case_of(connection, account, case_id)
    _update(connection, case_id, legal_hold=held)
    if not held:
        in_case, last = tables.case_sightings, _last_verdicts(case_id)
        withdrawn = sa.select(last.c.district, last.c.tracklet_id).where(last.c.verdict != Verdict.CONFIRMED)
        is_withdrawn = sa.tuple_(in_case.c.district, in_case.c.tracklet_id).in_(withdrawn)
        connection.execute(sa.delete(in_case).where(in_case.c.case_id == case_id, is_withdrawn))
    _record(connection, account, case_id, {"legal_hold": held})
    return case_of(connection, account, case_id)


def name_operators(connection: sa.Connection, account: Account, case_id: int, operators: Sequence[str]) -> CaseAnswer:
    """Let these operators, and no others, work on the case.

    Raises:
        UnknownCaseError: if the account may not work on the case.
        InputError: if one is no account with the role operator.
    """
    case_of(connection, account, case_id)
    table = tables.case_operators
    connection.execute(sa.delete(table).where(table.c.case_id == case_id))
    _name_operators(connection, case_id, operators)
    _record(connection, account, case_id, {"operators": sorted(set(operators))})
    return case_of(connection, account, case_id)


def give_verdict(
    connection: sa.Connection, account: Account, case_id: int, sighting: SightingId, verdict: Verdict
) -> None:
    """Judge a sighting. A confirmed sighting belongs to the case; under a legal hold no sighting leaves it.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
        UnknownSightingError: if the case does not show the sighting, or a sighting to confirm or reject is not stored.
    """
    _lock_for_verdict(connection, case_id)
    case = open_case_of(connection, account, case_id, [sighting])
    table, in_case = tables.tracklets, tables.case_sightings
    is_of_sighting = (table.c.district == sighting.district) & (table.c.id == sighting.tracklet_id)
    stored = sa.select(table.c.day).where(is_of_sighting)
    stored = stored.with_for_update(read=True, key_share=True)  # it cannot be removed before the commit
    day = connection.execute(stored).scalar()
    if day is None and verdict is not Verdict.NONE:
        raise UnknownSightingError(
            f"a verdict must be on a stored sighting, got {sighting.district}/{sighting.tracklet_id}"
        )
    if verdict is Verdict.CONFIRMED:
        confirmed = insert(in_case).values(case_id=case_id, day=day, **sighting.model_dump())
        connection.execute(confirmed.on_conflict_do_nothing())  # another account may have confirmed it
    elif not case.legal_hold:
        is_judged = (in_case.c.district == sighting.district) & (in_case.c.tracklet_id == sighting.tracklet_id)
        connection.execute(sa.delete(in_case).where(is_judged, in_case.c.case_id == case_id))
    given = {"case_id": case_id, **sighting.model_dump(), "verdict": verdict}
    connection.execute(sa.insert(tables.verdicts).values(account=account.name, **given))
    audit.append(connection, account.name, Action.VERDICT, given)


def export_case(connection: sa.Connection, account: Account, case_id: int) -> CaseExport:
    """All that is known of a case.

    Raises:
        UnknownCaseError: if the account may not work on the case.
    """
    case, searches = case_of(connection, account, case_id), searches_of(connection, case_id)
    audit.append(connection, account.name, Action.EXPORT, {"what": "case", "case_id": case_id})
    districts = stored_districts(connection)
    zones = {district.name: ZoneInfo(district.time_zone) for district in districts}
    home = next(iter(zones.values()), ZoneInfo("UTC"))  # of what belongs to no district: the case and its searches
    names = {(district.name, camera.id): camera.name for district in districts for camera in district.cameras}
    verdicts = []
    for judged in _verdicts(connection, case_id):
        name = names.get((judged.district, judged.camera_id)) if judged.camera_id is not None else None
        local = _in_zone(judged, zones.get(judged.district, home))
        verdicts.append(ExportedSighting(**local.model_dump(), camera_name=name))
    return CaseExport(
        **_in_zone(case, home).model_dump(),
        verdicts=verdicts,
        searches=[_in_zone(search, home) for search in searches],
    )


def _in_zone(record: _Record, zone: ZoneInfo) -> _Record:
    """`record` with its own times as clocks of `zone` show them."""
    times = {name: value.astimezone(zone) for name, value in record if isinstance(value, datetime)}
    return record.model_copy(update=times)


def _name_operators(connection: sa.Connection, case_id: int, operators: Sequence[str]) -> None:
    for name in sorted(set(operators)):
        if account_named(connection, name).role is not Role.OPERATOR:
            raise InputError(
                f"operators of a case must be accounts with the role operator, got {name}", code="no_operator"
            )
        connection.execute(sa.insert(tables.case_operators).values(case_id=case_id, account=name))


def _update(connection: sa.Connection, case_id: int, **values: object) -> None:
    connection.execute(sa.update(tables.cases).where(tables.cases.c.id == case_id).values(**values))


def _record(connection: sa.Connection, account: Account, case_id: int, details: dict[str, Any]) -> None:
    audit.append(connection, account.name, Action.CASE, {"case_id": case_id, **details})


def _lock_for_verdict(connection: sa.Connection, case_id: int) -> None:
    """Keep other transactions from adding or removing sightings and from changing the case until this one ends.

    Locks tables before tracklets, in the order of `serving.database.locks.lock_cases`, so that there is no deadlock.
    """
    connection.execute(sa.text("LOCK TABLE cases, case_sightings IN ROW EXCLUSIVE MODE"))
    connection.execute(sa.select(tables.cases.c.id).where(tables.cases.c.id == case_id).with_for_update(read=True))


def _last_verdicts(case_id: int) -> sa.Subquery:
    """The last verdict on each sighting of a case."""
    table = tables.verdicts
    return (
        sa.select(table)
        .ext(distinct_on(table.c.district, table.c.tracklet_id))
        .where(table.c.case_id == case_id)
        .order_by(table.c.district, table.c.tracklet_id, table.c.id.desc())
        .subquery()
    )


def _verdicts(connection: sa.Connection, case_id: int) -> list[CaseSighting]:
    table = tables.verdicts
    rows = connection.execute(_with_place(table).where(table.c.case_id == case_id).order_by(table.c.id)).mappings()
    return [CaseSighting(**{name: row[name] for name in CaseSighting.model_fields}) for row in rows]


def _with_place(verdicts: sa.FromClause) -> sa.Select[Any]:
    """`verdicts` with camera and times of their sightings, while these are stored."""
    seen = tables.tracklets
    is_seen = (seen.c.district == verdicts.c.district) & (seen.c.id == verdicts.c.tracklet_id)
    places = (seen.c.camera_id, seen.c.first_seen, seen.c.last_seen)
    return sa.select(verdicts, *places).join_from(verdicts, seen, is_seen, isouter=True)
