"""What the verdicts on a sighting come to for its case.

In a case, the last verdict on a sighting counts. In a case that asks for a second person, the last verdict of each
person counts: two people must agree, and more must agree than disagree. Until then nobody but who judged the sighting
is told of these verdicts, so that the second person judges without knowing the first verdict.
"""

from collections.abc import Collection
from enum import StrEnum, auto
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on

from domain.errors import InputError
from serving.access.accounts import Account
from serving.cases.verdict import Verdict
from serving.database import tables
from serving.search.messages import SightingId
from serving.search.search import SightingKey


class Standing(StrEnum):
    """What the verdicts on a sighting come to."""

    CONFIRMED = auto()
    REJECTED = auto()
    OPEN = auto()  # nobody has judged, a second person is missing, or people disagree


def voices(is_case: sa.ColumnElement[bool]) -> sa.Subquery:
    """The verdicts that count: the last one on each sighting of a case, or the last one of each person.

    Args:
        is_case: condition on `tables.cases`.
    """
    given, cases = tables.verdicts, tables.cases
    voice = sa.case((cases.c.second_person, given.c.account), else_="").label("voice")
    sighting = (given.c.case_id, given.c.district, given.c.tracklet_id)
    return (
        sa.select(given, voice, cases.c.second_person)
        .join_from(given, cases, given.c.case_id == cases.c.id)
        .where(is_case)
        .ext(distinct_on(*sighting, voice))
        .order_by(*sighting, voice, given.c.id.desc())
        .subquery("voices")
    )


def standings(is_case: sa.ColumnElement[bool]) -> sa.Subquery:
    """Each judged sighting of cases: `case_id`, `district`, `tracklet_id`, `standing`, `judges` and `last`.

    `judges` are the accounts whose verdicts count, in order of time, and `last` is the number of the last one.

    Args:
        is_case: condition on `tables.cases`.
    """
    voice = voices(is_case)
    given = sa.func.count()
    for_it, against = (given.filter(voice.c.verdict == verdict) for verdict in (Verdict.CONFIRMED, Verdict.REJECTED))
    needed = sa.case((sa.func.bool_or(voice.c.second_person), 2), else_=1)
    standing = sa.case(
        ((for_it >= needed) & (for_it > against), Standing.CONFIRMED),
        ((against >= needed) & (against > for_it), Standing.REJECTED),
        else_=Standing.OPEN,
    )
    sighting = (voice.c.case_id, voice.c.district, voice.c.tracklet_id)
    judges = sa.func.array_agg(aggregate_order_by(voice.c.account, voice.c.id))
    return (
        sa.select(*sighting, standing.label("standing"), judges.label("judges"), sa.func.max(voice.c.id).label("last"))
        .where(voice.c.verdict != Verdict.NONE)
        .group_by(*sighting)
        .subquery("standings")
    )


def standing_of(connection: sa.Connection, case_id: int, sighting: SightingId) -> Standing:
    """Standing of one sighting in a case."""
    stands = standings(tables.cases.c.id == case_id)
    is_it = (stands.c.district == sighting.district) & (stands.c.tracklet_id == sighting.tracklet_id)
    found = connection.execute(sa.select(stands.c.standing).where(is_it)).scalar()
    return Standing(found) if found is not None else Standing.OPEN


def sightings_standing(
    connection: sa.Connection, is_case: sa.ColumnElement[bool], standing: Standing
) -> list[tuple[int, SightingKey]]:
    """Case and key of each sighting with this standing, the last judged first."""
    stands = standings(is_case)
    query = sa.select(stands).where(stands.c.standing == standing).order_by(stands.c.last.desc())
    return [(row.case_id, (row.district, row.tracklet_id)) for row in connection.execute(query)]


def left_out_for(connection: sa.Connection, account: Account, case_id: int, most: int) -> frozenset[SightingKey]:
    """Stored sightings that a search of the case leaves out: those rejected in it, or by the account alone.

    Args:
        connection: to the database.
        account: who searches.
        case_id: the case.
        most: greatest number; the last judged ones.
    """
    parameters = {"case_id": case_id, "account": account.name, "most": most}
    return frozenset((row.district, row.tracklet_id) for row in connection.execute(_left_out(), parameters))


@cache  # each search asks, and building the query costs more than answering it
def _left_out() -> sa.Select[Any]:
    """The query of `left_out_for`, with its parameters `case_id`, `account` and `most`."""
    is_case, seen = tables.cases.c.id == sa.bindparam("case_id"), tables.tracklets
    voice, stands = voices(is_case), standings(is_case)
    rejected = sa.select(stands.c.district, stands.c.tracklet_id, stands.c.last).where(
        stands.c.standing == Standing.REJECTED
    )
    own = sa.select(voice.c.district, voice.c.tracklet_id, voice.c.id).where(
        voice.c.account == sa.bindparam("account"), voice.c.verdict == Verdict.REJECTED
    )
    each = sa.union_all(rejected, own).subquery()
    is_stored = sa.exists().where(seen.c.district == each.c.district, seen.c.id == each.c.tracklet_id)
    query = sa.select(each.c.district, each.c.tracklet_id).where(is_stored).order_by(each.c.last.desc())
    return query.limit(sa.bindparam("most", type_=sa.Integer))


def require_confirmed(connection: sa.Connection, case_id: int, sightings: Collection[SightingId]) -> None:
    """Check that sightings count as confirmed, where the case asks for a second person.

    Raises:
        InputError: if one does not.
    """
    if not sightings:
        return
    cases = tables.cases
    if not connection.execute(sa.select(cases.c.second_person).where(cases.c.id == case_id)).scalar():
        return
    counted = {key for _, key in sightings_standing(connection, cases.c.id == case_id, Standing.CONFIRMED)}
    missing = [one for one in sightings if (one.district, one.tracklet_id) not in counted]
    if missing:
        named = ", ".join(f"{one.district}/{one.tracklet_id}" for one in missing[:3])
        raise InputError(
            f"in this case a match counts when a second person confirms it too, {named} is not confirmed by two; let "
            "another person judge it",
            code="second_person",
        )
