"""Cases: every search belongs to one. A case has operators, verdicts on sightings, and perhaps a legal hold.

Operators see the cases that name them, reviewers all cases. Every change, and every view of sightings, is recorded in
the audit in the same transaction, so before the answer is sent.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert

from domain.errors import InputError, shown
from serving.access.accounts import Account, account_named
from serving.access.roles import Role
from serving.cases.boxes import CorrectedBox, boxes_of
from serving.cases.corrections import Correction, corrections_of
from serving.cases.searches import RecordedSearch, searches_of, without_verdicts
from serving.cases.standing import Standing, standing_of, standings, voices
from serving.cases.verdict import Verdict
from serving.cases.visible import CaseAnswer, case_of, open_case_of
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.districts import stored_districts
from serving.search.messages import SightingId
from serving.search.service import UnknownSightingError

_Record = TypeVar("_Record", bound=BaseModel)


class CasePlace(SightingId):
    """A sighting of a case; place and times while it is stored."""

    district: str  # verdicts of old may be on names that are none now
    camera_id: str | None
    first_seen: datetime | None
    last_seen: datetime | None


class CaseSighting(CasePlace):
    """A sighting with a verdict."""

    verdict: Verdict
    account: str
    at: datetime
    standing: Standing  # what all verdicts on it come to


class JudgedSighting(CaseSighting):
    """A sighting with the verdict of the account that asks, or the last one; `account` and `at` are of the last one."""

    judges: list[str]  # accounts whose verdicts count


class CaseDetails(CaseAnswer):
    """A case and its judged sightings."""

    verdicts: list[JudgedSighting]
    to_judge: list[CasePlace]  # a second person's verdict is missing, and the account has given none
    corrections: list[Correction]  # of attributes
    boxes: list[CorrectedBox]  # in full frames


class ExportedSighting(CaseSighting):
    """A verdict for people who do not know the cameras by their ids."""

    camera_name: str | None


class CaseExport(CaseAnswer):
    """The whole record of a case; times as clocks of the district show them, with their offset from UTC."""

    verdicts: list[ExportedSighting]  # all verdicts, by time, but those that await a second person's verdict
    searches: list[RecordedSearch]  # by time


def open_case(
    connection: sa.Connection,
    account: Account,
    title: str,
    operators: Sequence[str],
    districts: Collection[str] | None = None,
    *,
    second_person: bool = False,
) -> CaseAnswer:
    """Open a case on which `operators` may work.

    Args:
        connection: in a transaction.
        account: who opens it.
        title: of the case.
        operators: accounts.
        districts: whose sightings the case may show; None for all that the account has.
        second_person: whether a verdict counts only when a second person agrees.

    Raises:
        InputError: if an operator is no account with the role operator, or is bound to other districts, or if a
            district is not stored, or none of the account's.
    """
    limited = _districts_of_case(connection, account, districts)
    row = {"title": title, "legal_hold": False, "second_person": second_person, "districts": limited}
    case_id = connection.execute(sa.insert(tables.cases).values(row).returning(tables.cases.c.id)).scalar_one()
    _name_operators(connection, case_id, limited, operators)
    opened = {"opened": title, "operators": sorted(set(operators)), "second_person": second_person}
    _record(connection, account, case_id, opened | {"districts": limited})
    return case_of(connection, account, case_id)


def case_details(connection: sa.Connection, account: Account, case_id: int) -> CaseDetails:
    """A case and its judged sightings, in order of time. The view is recorded.

    Raises:
        UnknownCaseError: if the account may not work on the case.
    """
    case = case_of(connection, account, case_id)
    sightings, to_judge = [], []
    for row in connection.execute(_judged(), {"account": account.name, "case_id": case_id}).mappings():
        if row["standing"] == Standing.OPEN and row["own"] is None:
            if row["camera_id"] is not None:  # it is still stored
                to_judge.append(CasePlace(**{name: row[name] for name in CasePlace.model_fields}))
            continue
        verdict = row["own"] or row["standing"]
        told = {name: row[name] for name in JudgedSighting.model_fields if name != "verdict"}
        sightings.append(JudgedSighting(**told, verdict=verdict))
    corrections, boxes = corrections_of(connection, case_id), boxes_of(connection, case_id)
    audit.append(connection, account.name, Action.VIEW_CASE, {"case_id": case_id})
    to_judge = to_judge if case.closed is None else []
    told = {"verdicts": sightings, "to_judge": to_judge, "corrections": corrections, "boxes": boxes}
    return CaseDetails(**case.model_dump(), **told)


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
        in_case, voice = tables.case_sightings, voices(tables.cases.c.id == case_id)
        sighting = (voice.c.district, voice.c.tracklet_id)
        is_confirmed = sa.func.bool_or(voice.c.verdict == Verdict.CONFIRMED)
        withdrawn = sa.select(*sighting).group_by(*sighting).having(~is_confirmed)
        is_withdrawn = sa.tuple_(in_case.c.district, in_case.c.tracklet_id).in_(withdrawn)
        connection.execute(sa.delete(in_case).where(in_case.c.case_id == case_id, is_withdrawn))
    _record(connection, account, case_id, {"legal_hold": held})
    return case_of(connection, account, case_id)


def name_operators(connection: sa.Connection, account: Account, case_id: int, operators: Sequence[str]) -> CaseAnswer:
    """Let these operators, and no others, work on the case.

    Raises:
        UnknownCaseError: if the account may not work on the case.
        InputError: if one is no account with the role operator, or is bound to other districts.
    """
    case = case_of(connection, account, case_id)
    table = tables.case_operators
    connection.execute(sa.delete(table).where(table.c.case_id == case_id))
    _name_operators(connection, case_id, case.districts, operators)
    _record(connection, account, case_id, {"operators": sorted(set(operators))})
    return case_of(connection, account, case_id)


def give_verdict(
    connection: sa.Connection, account: Account, case_id: int, sighting: SightingId, verdict: Verdict
) -> Standing:
    """Judge a sighting; what the verdicts on it come to.

    A sighting that somebody confirms belongs to the case; under a legal hold no sighting leaves it.

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
    given = {"case_id": case_id, **sighting.model_dump(), "verdict": verdict}
    connection.execute(sa.insert(tables.verdicts).values(account=account.name, **given))
    if verdict is Verdict.CONFIRMED:
        confirmed = insert(in_case).values(case_id=case_id, day=day, **sighting.model_dump())
        connection.execute(confirmed.on_conflict_do_nothing())  # another account may have confirmed it
    elif not case.legal_hold and not _is_confirmed_by_any(connection, case_id, sighting):
        is_judged = (in_case.c.district == sighting.district) & (in_case.c.tracklet_id == sighting.tracklet_id)
        connection.execute(sa.delete(in_case).where(is_judged, in_case.c.case_id == case_id))
    standing = standing_of(connection, case_id, sighting)
    audit.append(connection, account.name, Action.VERDICT, given)
    return standing


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
    for judged in _verdicts(connection, account, case_id):
        name = names.get((judged.district, judged.camera_id)) if judged.camera_id is not None else None
        local = _in_zone(judged, zones.get(judged.district, home))
        verdicts.append(ExportedSighting(**local.model_dump(), camera_name=name))
    if case.second_person:
        searches = [one.model_copy(update={"question": without_verdicts(one.question)}) for one in searches]
    return CaseExport(
        **_in_zone(case, home).model_dump(),
        verdicts=verdicts,
        searches=[_in_zone(search, home) for search in searches],
    )


def _in_zone(record: _Record, zone: ZoneInfo) -> _Record:
    """`record` with its own times as clocks of `zone` show them."""
    times = {name: value.astimezone(zone) for name, value in record if isinstance(value, datetime)}
    return record.model_copy(update=times)


def _districts_of_case(connection: sa.Connection, account: Account, chosen: Collection[str] | None) -> list[str] | None:
    """The districts of a new case, None for all."""
    if chosen is None:
        return None if account.districts is None else sorted(account.districts)
    known = set(connection.execute(sa.select(tables.districts.c.name)).scalars())
    known &= known if account.districts is None else account.districts
    if not set(chosen) <= known:
        raise InputError(
            f"districts of a case must be among {', '.join(sorted(known)) or 'none'}, "
            f"got {', '.join(map(shown, sorted(set(chosen) - known)[:5]))}",
            code="districts_unknown",
        )
    return sorted(set(chosen))


def _name_operators(
    connection: sa.Connection, case_id: int, districts: Collection[str] | None, operators: Sequence[str]
) -> None:
    for name in sorted(set(operators)):
        named = account_named(connection, name)
        if named.role is not Role.OPERATOR:
            raise InputError(
                f"operators of a case must be accounts with the role operator, got {name}", code="no_operator"
            )
        if named.districts is not None and not (districts is not None and named.districts >= set(districts)):
            raise InputError(
                f"operators of a case must have all its districts, {name} has {', '.join(sorted(named.districts))}; "
                "open a case of these districts",
                code="operator_elsewhere",
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


def _is_confirmed_by_any(connection: sa.Connection, case_id: int, sighting: SightingId) -> bool:
    voice = voices(tables.cases.c.id == case_id)
    is_it = (voice.c.district == sighting.district) & (voice.c.tracklet_id == sighting.tracklet_id)
    query = sa.select(sa.exists().where(is_it, voice.c.verdict == Verdict.CONFIRMED))
    return bool(connection.execute(query).scalar())


@cache  # the page reads the case before each search, and building the query costs more than answering it
def _judged() -> sa.Select[Any]:
    """The judged sightings of a case with an account's `own` verdict, and account and time of the last one.

    Parameters: `case_id` and `account`.
    """
    is_case = tables.cases.c.id == sa.bindparam("case_id")
    stands, voice, last = standings(is_case), voices(is_case), tables.verdicts
    is_own = _is_same(voice, stands) & (voice.c.account == sa.bindparam("account")) & (voice.c.verdict != Verdict.NONE)
    own = sa.select(voice.c.verdict).where(is_own).scalar_subquery()
    seen = tables.tracklets
    return (
        sa.select(stands, own.label("own"), last.c.account, last.c.at, *_places())
        .join_from(stands, last, last.c.id == stands.c.last)
        .join(seen, (seen.c.district == stands.c.district) & (seen.c.id == stands.c.tracklet_id), isouter=True)
        .order_by(seen.c.first_seen, stands.c.last)
    )


def _verdicts(connection: sa.Connection, account: Account, case_id: int) -> list[CaseSighting]:
    """All verdicts of a case by time, but those on sightings that the account is still to judge."""
    given, seen = tables.verdicts, tables.tracklets
    stands, is_case = standings(tables.cases.c.id == case_id), tables.cases.c.id == case_id
    standing = sa.func.coalesce(stands.c.standing, Standing.OPEN)
    is_told = (
        ~tables.cases.c.second_person
        | (standing != Standing.OPEN)
        | (sa.literal(account.name) == sa.any_(stands.c.judges))
    )
    query = (
        sa.select(given, standing.label("standing"), *_places())
        .join_from(given, tables.cases, given.c.case_id == tables.cases.c.id)
        .join(stands, _is_same(stands, given), isouter=True)
        .join(seen, (seen.c.district == given.c.district) & (seen.c.id == given.c.tracklet_id), isouter=True)
        .where(is_case, is_told)
        .order_by(given.c.id)
    )
    rows = connection.execute(query).mappings()
    return [CaseSighting(**{name: row[name] for name in CaseSighting.model_fields}) for row in rows]


def _is_same(one: sa.FromClause, other: sa.FromClause) -> sa.ColumnElement[bool]:
    return (one.c.district == other.c.district) & (one.c.tracklet_id == other.c.tracklet_id)


def _places() -> tuple[sa.Column[Any], ...]:
    seen = tables.tracklets
    return seen.c.camera_id, seen.c.first_seen, seen.c.last_seen
