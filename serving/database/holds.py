"""Legal holds: sightings in a case under legal hold must not be removed."""

from typing import Any

import sqlalchemy as sa

from domain.errors import InputError
from serving.database import tables


def held_sightings() -> sa.Select[tuple[str, int]]:
    """District and tracklet id of all sightings in cases under legal hold."""
    table, cases = tables.case_sightings, tables.cases
    return sa.select(table.c.district, table.c.tracklet_id).join(cases).where(cases.c.legal_hold)


def require_no_hold(connection: sa.Connection, district: str, segment_id: int | None = None) -> None:
    """Raises `InputError` if a case under legal hold has sightings of `district`, or of this segment of it."""
    cases = tables.cases
    holding = sa.select(cases.c.id, cases.c.title).where(
        cases.c.legal_hold, cases.c.id.in_(cases_with(district, segment_id))
    )
    found = [f"{row.id} ({row.title})" for row in connection.execute(holding.order_by(cases.c.id))]
    if found:
        what, instead = f"sightings of the district {district}", "track the new videos as another district"
        if segment_id is not None:
            what, instead = f"sightings of the segment {segment_id} of {district}", "leave the segment as it is"
        raise InputError(
            f"{what} can be replaced only when no case under legal hold has one of them, got the cases "
            f"{', '.join(found)}; lift the hold, or {instead}"
        )


def cases_with(district: str, segment_id: int | None = None) -> sa.Select[Any]:
    """Ids of cases that have sightings of `district`, or of this segment of it."""
    table, seen = tables.case_sightings, tables.tracklets
    query = sa.select(table.c.case_id).where(table.c.district == district).distinct().order_by(table.c.case_id)
    if segment_id is None:
        return query
    of_segment = sa.select(seen.c.id).where(seen.c.segment_id == segment_id)
    return query.where(table.c.tracklet_id.in_(of_segment))
