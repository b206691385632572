"""Cases: what every search is for; who may work on them, what was judged, what must stay.

Operators see the cases that name them, reviewers all. Whatever changes here is recorded in the audit, in the same
transaction; whatever shows sightings, before it is sent.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum, auto
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects.postgresql import distinct_on, insert

from domain.errors import DongseonError, InputError
from serving.access.accounts import Account, account_named
from serving.access.roles import Permission, Role
from serving.cases.searches import RecordedSearch, searches_of
from serving.database import audit, tables
from serving.database.audit import Action
from serving.search.messages import SightingId
from serving.search.service import UnknownSightingError


class UnknownCaseError(DongseonError):
    """There is no such case, or the account may not work on it."""


class Verdict(StrEnum):
    """What a person said of a sighting."""

    CONFIRMED = auto()
    REJECTED = auto()
    NONE = auto()  # taken back


class CaseAnswer(BaseModel):
    """A case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    title: str
    opened: datetime
    closed: datetime | None
    legal_hold: bool
    operators: list[str]  # accounts, besides the reviewers


class JudgedSighting(SightingId):
    """A sighting and what was said of it last."""

    verdict: Verdict
    account: str
    at: datetime


class CaseSighting(JudgedSighting):
    """A judged sighting, with place and times as long as it is stored."""

    camera_id: str | None
    first_seen: datetime | None
    last_seen: datetime | None


class CaseDetails(CaseAnswer):
    """A case and what was judged in it."""

    verdicts: list[CaseSighting]  # the last of each sighting


class CaseExport(CaseAnswer):
    """All that is known of a case."""

    verdicts: list[JudgedSighting]  # all, by time
    searches: list[RecordedSearch]  # by time


def open_case(connection: sa.Connection, account: Account, title: str, operators: Sequence[str]) -> CaseAnswer:
    """A new case, on which `operators` may work.

    Raises:
        InputError: if an operator is no account of that role.
    """
    new = sa.insert(tables.cases).values(title=title, legal_hold=False).returning(tables.cases.c.id)
    case_id = connection.execute(new).scalar_one()
    _name_operators(connection, case_id, operators)
    _record(connection, account, case_id, {"opened": title, "operators": sorted(set(operators))})
    return case_of(connection, account, case_id)


def cases_of(connection: sa.Connection, account: Account) -> list[CaseAnswer]:
    """Cases on which the account may work, newest first."""
    return [_case(row) for row in connection.execute(_visible(account)).mappings()]


def case_of(connection: sa.Connection, account: Account, case_id: int) -> CaseAnswer:
    """A case on which the account may work.

    Raises:
        UnknownCaseError: if there is none.
    """
    row = connection.execute(_visible(account).where(tables.cases.c.id == case_id)).mappings().one_or_none()
    if row is None:
        raise UnknownCaseError(f"the case must be one that {account.name} may work on, got {case_id}; see /v1/cases")
    return _case(row)


def open_case_of(connection: sa.Connection, account: Account, case_id: int) -> CaseAnswer:
    """A case on which the account may work now.

    Raises:
        UnknownCaseError: if there is none.
        InputError: if it is closed.
    """
    case = case_of(connection, account, case_id)
    if case.closed is not None:
        raise InputError(f"the case must be open, {case_id} was closed on {case.closed:%Y-%m-%d}; open another one")
    return case


def require_in_view(connection: sa.Connection, account: Account, case_id: int, sighting: SightingId) -> None:
    """Return if the picture of a sighting may be seen for a case.

    Raises:
        UnknownCaseError: if the account may not work on it.
        InputError: if it is closed, and the sighting was not judged in it.
    """
    case, table = case_of(connection, account, case_id), tables.verdicts
    if case.closed is not None:
        is_meant = (table.c.district == sighting.district) & (table.c.tracklet_id == sighting.tracklet_id)
        judged = sa.select(sa.exists().where(table.c.case_id == case_id, is_meant))
        if not connection.execute(judged).scalar():
            raise InputError(f"of a closed case only judged sightings may be seen, {case_id} is closed; open another")


def case_details(connection: sa.Connection, account: Account, case_id: int) -> CaseDetails:
    """A case with the last verdict of each sighting, in order of time; recorded as seen.

    Raises:
        UnknownCaseError: if the account may not work on it.
    """
    case = case_of(connection, account, case_id)
    last, seen = _last_verdicts(case_id), tables.tracklets
    is_seen = (seen.c.district == last.c.district) & (seen.c.id == last.c.tracklet_id)
    judged = (
        sa.select(last, seen.c.camera_id, seen.c.first_seen, seen.c.last_seen)
        .join_from(last, seen, is_seen, isouter=True)
        .where(last.c.verdict != Verdict.NONE)
        .order_by(seen.c.first_seen, last.c.id)
    )
    rows = connection.execute(judged).mappings()
    sightings = [CaseSighting(**{name: row[name] for name in CaseSighting.model_fields}) for row in rows]
    audit.append(connection, account.name, Action.VIEW_CASE, {"case_id": case_id})
    return CaseDetails(**case.model_dump(), verdicts=sightings)


def close_case(connection: sa.Connection, account: Account, case_id: int) -> CaseAnswer:
    """Let nobody search for the case any longer; a legal hold stays.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
    """
    open_case_of(connection, account, case_id)
    _update(connection, case_id, closed=sa.func.now())
    _record(connection, account, case_id, {"closed": True})
    return case_of(connection, account, case_id)


def hold_case(connection: sa.Connection, account: Account, case_id: int, *, held: bool) -> CaseAnswer:
    """Keep the confirmed sightings of the case from removal, or no longer; then those rejected meanwhile leave it.

    Raises:
        UnknownCaseError: if the account may not work on it.
    """
    case_of(connection, account, case_id)
    _update(connection, case_id, legal_hold=held)
    if not held:
        kept, last = tables.case_sightings, _last_verdicts(case_id)
        withdrawn = sa.select(last.c.district, last.c.tracklet_id).where(last.c.verdict != Verdict.CONFIRMED)
        is_withdrawn = sa.tuple_(kept.c.district, kept.c.tracklet_id).in_(withdrawn)
        connection.execute(sa.delete(kept).where(kept.c.case_id == case_id, is_withdrawn))
    _record(connection, account, case_id, {"legal_hold": held})
    return case_of(connection, account, case_id)


def name_operators(connection: sa.Connection, account: Account, case_id: int, operators: Sequence[str]) -> CaseAnswer:
    """Let these operators work on the case, and no others.

    Raises:
        UnknownCaseError: if the account may not work on it.
        InputError: if one is no account of that role.
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
    """Judge a sighting; confirmed ones belong to the case, and under a legal hold none leaves it.

    Raises:
        UnknownCaseError, InputError: as `open_case_of`.
        UnknownSightingError: if a sighting that is not stored is to be confirmed or rejected.
    """
    _lock_for_verdict(connection, case_id)
    case = open_case_of(connection, account, case_id)
    table, kept = tables.tracklets, tables.case_sightings
    is_meant = (table.c.district == sighting.district) & (table.c.id == sighting.tracklet_id)
    found = sa.select(table.c.day).where(is_meant).with_for_update(read=True, key_share=True)  # it stays until the end
    day = connection.execute(found).scalar()
    if day is None and verdict is not Verdict.NONE:
        raise UnknownSightingError(
            f"a verdict must be on a stored sighting, got {sighting.district}/{sighting.tracklet_id}"
        )
    if verdict is Verdict.CONFIRMED:
        confirmed = insert(kept).values(case_id=case_id, day=day, **sighting.model_dump())
        connection.execute(confirmed.on_conflict_do_nothing())  # somebody may have confirmed it as well
    elif not case.legal_hold:
        is_in_case = (kept.c.district == sighting.district) & (kept.c.tracklet_id == sighting.tracklet_id)
        connection.execute(sa.delete(kept).where(is_in_case, kept.c.case_id == case_id))
    given = {"case_id": case_id, **sighting.model_dump(), "verdict": verdict}
    connection.execute(sa.insert(tables.verdicts).values(account=account.name, **given))
    audit.append(connection, account.name, Action.VERDICT, given)


def export_case(connection: sa.Connection, account: Account, case_id: int) -> CaseExport:
    """All that is known of a case.

    Raises:
        UnknownCaseError: if the account may not work on it.
    """
    case, searches = case_of(connection, account, case_id), searches_of(connection, case_id)
    audit.append(connection, account.name, Action.EXPORT, {"what": "case", "case_id": case_id})
    return CaseExport(**case.model_dump(), verdicts=_verdicts(connection, case_id), searches=searches)


def _visible(account: Account) -> sa.Select[Any]:
    cases, table = tables.cases, tables.case_operators
    named = sa.select(table.c.account).where(table.c.case_id == cases.c.id)
    operators = sa.func.array(named.order_by(table.c.account).scalar_subquery()).label("operators")
    query = sa.select(cases, operators).order_by(cases.c.id.desc())
    is_named = sa.literal(account.name).in_(named)
    return query if account.may(Permission.REVIEW) else query.where(is_named)


def _case(row: sa.RowMapping) -> CaseAnswer:
    return CaseAnswer(**{name: row[name] for name in CaseAnswer.model_fields})


def _name_operators(connection: sa.Connection, case_id: int, operators: Sequence[str]) -> None:
    for name in sorted(set(operators)):
        if account_named(connection, name).role is not Role.OPERATOR:
            raise InputError(f"operators of a case must be accounts with the role operator, got {name}")
        connection.execute(sa.insert(tables.case_operators).values(case_id=case_id, account=name))


def _update(connection: sa.Connection, case_id: int, **values: object) -> None:
    connection.execute(sa.update(tables.cases).where(tables.cases.c.id == case_id).values(**values))


def _record(connection: sa.Connection, account: Account, case_id: int, details: dict[str, Any]) -> None:
    audit.append(connection, account.name, Action.CASE, {"case_id": case_id, **details})


def _lock_for_verdict(connection: sa.Connection, case_id: int) -> None:
    """Let nobody add or remove sightings, nor change the case, before this transaction ends.

    Tables before tracklets, in the order of `serving.database.locks.lock_cases`: nobody then holds what another waits
    for.
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


def _verdicts(connection: sa.Connection, case_id: int) -> list[JudgedSighting]:
    table = tables.verdicts
    rows = connection.execute(sa.select(table).where(table.c.case_id == case_id).order_by(table.c.id)).mappings()
    return [JudgedSighting(**{name: row[name] for name in JudgedSighting.model_fields}) for row in rows]
