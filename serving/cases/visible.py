"""What an account may see: cases that it may work on, and sightings that one of these cases may show.

A case shows a sighting if a search or route of the case found it, or if it was judged in the case; a closed case shows
what was judged in it. So trying numbers shows no sighting.

A case is of some districts, to which all its searches are limited, or of all. An account that is bound to districts
sees the cases of these districts alone, so nothing of another one.
"""

from collections.abc import Collection
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects.postgresql import ARRAY, insert

from domain.errors import DongseonError, InputError
from serving.access.accounts import Account
from serving.access.roles import Permission
from serving.cases.verdict import Verdict
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.open_cases import closed_at
from serving.search.messages import SightingId
from serving.search.search import SightingKey
from serving.search.service import UnknownSightingError


class UnknownCaseError(DongseonError):
    """The case does not exist, or the account may not work on it."""


class Emergency(BaseModel):
    """How a case was opened by an operator, and which reviewer agreed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: str
    reason: str
    agree_by: datetime  # if nobody agrees before, the case is closed
    agreed_by: str | None


class CaseAnswer(BaseModel):
    """A case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    title: str
    opened: datetime
    closed: datetime | None
    legal_hold: bool
    second_person: bool  # a verdict counts when a second person agrees
    operators: list[str]  # accounts, besides the reviewers
    emergency: Emergency | None  # None: a reviewer opened it
    districts: list[str] | None = None  # to which its searches are limited; None: all


def cases_of(connection: sa.Connection, account: Account) -> list[CaseAnswer]:
    """Cases on which the account may work, newest first. The list, which shows titles, is recorded."""
    cases = [_case(row) for row in connection.execute(_visible(account)).mappings()]
    listed = {"cases": [case.id for case in cases]}
    audit.append_once_a_minute(connection, account.name, Action.LIST_CASES, listed)
    return cases


def visible_cases(account: Account) -> sa.Select[tuple[int]]:
    """Selects the numbers of the cases on which the account may work."""
    return _visible(account).with_only_columns(tables.cases.c.id).order_by(None)


def case_of(connection: sa.Connection, account: Account, case_id: int, *, locked: bool = False) -> CaseAnswer:
    """A case on which the account may work; `locked` lets no other transaction change it before this one ends.

    Raises:
        UnknownCaseError: if there is no such case.
    """
    query = _visible_case(account.name, may_review=account.may(Permission.REVIEW), locked=locked)
    row = connection.execute(query, {"case_id": case_id}).mappings().one_or_none()
    if row is None:
        raise UnknownCaseError(f"the case must be one that {account.name} may work on, got {case_id}; see /v1/cases")
    return _case(row)


def open_case_of(
    connection: sa.Connection,
    account: Account,
    case_id: int,
    sightings: Collection[SightingId] = (),
    *,
    locked: bool = False,
) -> CaseAnswer:
    """An open case on which the account may work, and which shows all of `sightings`.

    Raises:
        UnknownCaseError: if there is no such case.
        InputError: if the case is closed.
        UnknownSightingError: if the case does not show one of the sightings.
    """
    case = case_of(connection, account, case_id, locked=locked)
    if case.closed is not None:
        raise InputError(
            f"the case must be open, {case_id} was closed on {case.closed:%Y-%m-%d}; choose an open case",
            code="case_closed",
        )
    _require_shown(connection, case, sightings)
    return case


def require_in_view(connection: sa.Connection, account: Account, case_id: int, sighting: SightingId) -> None:
    """Check that a case, open or closed, shows the sighting to the account.

    Raises:
        UnknownCaseError: if the account may not work on the case.
        InputError: if the case is closed and the sighting was not judged in it.
        UnknownSightingError: if the case is open and does not show the sighting.
    """
    _require_shown(connection, case_of(connection, account, case_id), [sighting])


def show_in_case(connection: sa.Connection, case_id: int, found: Collection[SightingKey]) -> None:
    """Let the case show sightings that a search or route of it found."""
    table, rows = tables.found_sightings, _rows()
    new = sa.select(sa.literal(case_id), rows.c.district, rows.c.tracklet_id)
    adding = insert(table).from_select(list(table.c.keys()), new).on_conflict_do_nothing()
    connection.execute(adding, _parameters(sorted(found)))  # sorted: two searches never wait for each other


def _require_shown(connection: sa.Connection, case: CaseAnswer, sightings: Collection[SightingId]) -> None:
    """The one rule: which sightings a case shows."""
    if not sightings:
        return
    keys = sorted({(sighting.district, sighting.tracklet_id) for sighting in sightings})
    query = _hidden(is_closed=case.closed is not None)
    hidden = connection.execute(query, {"case_id": case.id} | _parameters(keys)).all()
    if hidden and case.closed is not None:
        raise InputError(
            f"a closed case shows only sightings that were judged in it, {case.id} is closed; open another case",
            code="case_closed",
        )
    if hidden:
        named = ", ".join(f"{district}/{number}" for district, number in hidden)
        raise UnknownSightingError(
            f"a case shows only sightings that its searches and routes found or that were judged in it; case {case.id} "
            f"does not show {named}; search first"
        )


@cache  # each picture that is shown asks twice, and building the query costs more than answering it
def _hidden(*, is_closed: bool) -> sa.Select[Any]:
    """Up to three of the sightings of `_rows` that the case of the parameter `case_id` does not show."""
    requested = _rows()
    case_id: sa.BindParameter[int] = sa.bindparam("case_id")
    judged, found = tables.verdicts, tables.found_sightings
    in_case = [
        (table.c.case_id == case_id)
        & (table.c.district == requested.c.district)
        & (table.c.tracklet_id == requested.c.tracklet_id)
        for table in (judged, found)
    ]
    # Each is a look-up in an index. Of EXISTS the planner may make a table of all that the case has.
    verdict = sa.select(judged.c.id).where(in_case[0], judged.c.verdict != Verdict.NONE).limit(1).scalar_subquery()
    find = sa.select(found.c.case_id).where(in_case[1]).limit(1).scalar_subquery()
    is_judged, is_found = verdict.is_not(None), find.is_not(None)
    return sa.select(requested).where(~(is_judged if is_closed else is_judged | is_found)).limit(3)


def _rows() -> sa.TableValuedAlias:
    """A table with the columns `district` and `tracklet_id`, of the sightings in `_parameters`."""
    districts = sa.bindparam("districts", type_=ARRAY(sa.Text))
    numbers = sa.bindparam("numbers", type_=ARRAY(sa.BigInteger))
    arrays = sa.cast(districts, ARRAY(sa.Text)), sa.cast(numbers, ARRAY(sa.BigInteger))
    return sa.func.unnest(*arrays).table_valued("district", "tracklet_id", name="requested").render_derived()


def _parameters(keys: Collection[SightingKey]) -> dict[str, list[Any]]:
    return {"districts": [district for district, _ in keys], "numbers": [number for _, number in keys]}


@lru_cache(maxsize=1000)  # each search asks three times, and building the query costs more than answering it
def _visible_case(account: str, *, may_review: bool, locked: bool) -> sa.Select[Any]:
    """As `_visible`, the case of the parameter `case_id`; `locked` as in `case_of`."""
    query = _visible_to(account, may_review=may_review).where(tables.cases.c.id == sa.bindparam("case_id"))
    return query.with_for_update(read=True, of=tables.cases) if locked else query


def _visible(account: Account) -> sa.Select[Any]:
    """Cases on which the account may work; none once it is disabled or expired, also for requests in work then.

    Districts, too, are those to which the account is bound now.
    """
    return _visible_to(account.name, may_review=account.may(Permission.REVIEW))


@lru_cache(maxsize=1000)
def _visible_to(account: str, *, may_review: bool) -> sa.Select[Any]:
    cases, table, accounts = tables.cases, tables.case_operators, tables.accounts
    named = sa.select(table.c.account).where(table.c.case_id == cases.c.id)
    operators = sa.func.array(named.order_by(table.c.account).scalar_subquery()).label("operators")
    is_over = accounts.c.disabled.is_not(None) | (accounts.c.expires <= sa.func.now())
    is_of_others = accounts.c.districts.is_not(None) & ~sa.func.coalesce(
        cases.c.districts.contained_by(accounts.c.districts), sa.false()
    )
    is_closed = sa.exists().where(accounts.c.name == account, is_over | is_of_others)
    emergency = tables.emergencies
    query = (
        sa.select(
            *(column for column in cases.c if column is not cases.c.closed),
            closed_at().label("closed"),
            operators,
            *(emergency.c[name] for name in Emergency.model_fields),
        )
        .join_from(cases, emergency, isouter=True)
        .where(~is_closed)
        .order_by(cases.c.id.desc())
    )
    is_named = sa.literal(account).in_(named)
    return query if may_review else query.where(is_named)


def _case(row: sa.RowMapping) -> CaseAnswer:
    emergency = Emergency(**{name: row[name] for name in Emergency.model_fields}) if row["agree_by"] else None
    told = {name: row[name] for name in CaseAnswer.model_fields if name != "emergency"}
    return CaseAnswer(**told, emergency=emergency)
