"""Removals of sightings; each is recorded as a row of the table `removals`.

What the audit must say about a replacement is handed back, for a record of the audit comes last in its transaction
(`audit.append`). Crops are deleted after the transaction, and counted then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.database import tables
from serving.database.holds import cases_with, require_no_hold


@dataclass(frozen=True)
class Replaced:
    """A replaced district or segment."""

    number: int  # of its row in `removals`
    details: Mapping[str, Any]  # for the audit


def record(connection: sa.Connection, tracklets: int, reason: str, cutoff: datetime | None = None) -> int:
    """Adds a row and returns its number. Its crops are counted later, see `count_crops`."""
    row = sa.insert(tables.removals).values(cutoff=cutoff, tracklets=tracklets, crops=0, reason=reason)
    return int(connection.execute(row.returning(tables.removals.c.id)).scalar_one())


def count_crops(connection: sa.Connection, number: int, crops: int) -> None:
    """Records the number of crops that were deleted with a removal."""
    connection.execute(sa.update(tables.removals).where(tables.removals.c.id == number).values(crops=crops))


def remove_district(connection: sa.Connection, district: str) -> Replaced | None:
    """Removes everything stored for `district`, also verdicts; None if only its cameras were stored.

    Cases show none of its sightings any more, for the numbers may come to mean other people.

    Raises:
        InputError: if a case under legal hold has sightings of the district.
    """
    require_no_hold(connection, district)
    cases = list(connection.execute(cases_with(district)).scalars())
    removed = {
        table.name: connection.execute(sa.delete(table).where(table.c.district == district)).rowcount
        for table in (tables.tracklets, tables.verdicts, tables.segments, tables.gaps)
    }
    found = tables.found_sightings  # after the segments, whose locks a search holds while it records what it found
    for told in (found, tables.alerts, tables.new_sightings, tables.corrections, tables.corrected_boxes):
        connection.execute(sa.delete(told).where(told.c.district == district))
    connection.execute(sa.delete(tables.districts).where(tables.districts.c.name == district))
    if not any(removed.values()):
        return None
    number = record(connection, removed["tracklets"], f"all of the district {district} was replaced")
    return Replaced(number, {"removal": number, "district": district, **removed, "cases": cases})


def remove_segment(connection: sa.Connection, district: str, segment_id: int) -> Replaced:
    """Removes a segment with its sightings. Verdicts on them stay, because their numbers are never used again.

    Raises:
        InputError: if a case under legal hold has one of the sightings.
    """
    require_no_hold(connection, district, segment_id)
    cases = list(connection.execute(cases_with(district, segment_id)).scalars())
    seen, table = tables.tracklets, tables.segments
    num_tracklets = connection.execute(sa.delete(seen).where(seen.c.segment_id == segment_id)).rowcount
    columns = (table.c.camera_id, table.c.source, table.c.start, table.c.model_version)
    removed = connection.execute(sa.delete(table).where(table.c.id == segment_id).returning(*columns)).one()
    number = record(connection, num_tracklets, f"segment {segment_id} of {district} was processed again")
    counted = {"removal": number, "district": district, "tracklets": num_tracklets, "cases": cases}
    segment = {**removed._mapping, "id": segment_id, "start": removed.start.isoformat()}
    return Replaced(number, {**counted, "segment": segment})
