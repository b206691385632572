"""Boxes in full frames that people correct where they see them: for the sheet of the case, and for retraining.

The box of the detector stays as it is: searches go on by the crop that was cut by it.
"""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects.postgresql import distinct_on

from domain.errors import InputError
from serving.access.accounts import Account
from serving.cases.visible import open_case_of
from serving.database import audit, tables
from serving.database.audit import Action
from serving.search.messages import SightingId

Box = tuple[float, float, float, float]  # left, top, right, bottom, pixels of the full frame
LEAST_SIDE_PX = 4


class CorrectedBox(BaseModel):
    """The box of the person that somebody drew in the full frame of a sighting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: str
    tracklet_id: int
    box_xyxy: Box
    account: str
    at: datetime


def correct_box(
    connection: sa.Connection, account: Account, case_id: int, sighting: SightingId, box: Box | None
) -> list[CorrectedBox]:
    """Say where the person stands in a sighting's full frame; None takes that back. Returns the boxes of the case.

    Args:
        connection: in a transaction.
        account: who says so.
        case_id: a case that shows the sighting.
        sighting: the sighting.
        box: of the person.

    Raises:
        UnknownCaseError, InputError, UnknownSightingError: as `open_case_of`.
        InputError: if a side of the box is shorter than four pixels, or the sighting has no full frame.
    """
    open_case_of(connection, account, case_id, [sighting], locked=True)
    if box is not None and min(box[2] - box[0], box[3] - box[1]) < LEAST_SIDE_PX:
        raise InputError(
            f"a box must be left, top, right, bottom, with sides of at least {LEAST_SIDE_PX} pixels, got {list(box)}",
            code="small_box",
        )
    seen = tables.tracklets
    is_it = (seen.c.district == sighting.district) & (seen.c.id == sighting.tracklet_id)
    if connection.execute(sa.select(seen.c.full_frame).where(is_it)).scalar() is None:
        raise InputError("a box is corrected in a full frame, of this sighting none was kept", code="no_full_frame")
    details = {"case_id": case_id, **sighting.model_dump(), "box_xyxy": list(box) if box is not None else None}
    connection.execute(sa.insert(tables.corrected_boxes).values(account=account.name, **details))
    told = boxes_of(connection, case_id)
    audit.append(connection, account.name, Action.CORRECTION, details)
    return told


def boxes_of(connection: sa.Connection, case_id: int) -> list[CorrectedBox]:
    """The boxes of a case: the last one of each sighting."""
    rows = connection.execute(last_boxes(tables.corrected_boxes.c.case_id == case_id))
    return [CorrectedBox(**{name: getattr(row, name) for name in CorrectedBox.model_fields}) for row in rows]


def last_boxes(of: sa.ColumnElement[bool]) -> sa.Select[tuple[object, ...]]:
    """Selects the last box of each sighting, by sighting, without those that were taken back."""
    table = tables.corrected_boxes
    key = (table.c.district, table.c.tracklet_id)
    last = sa.select(table).ext(distinct_on(*key)).where(of).order_by(*key, table.c.id.desc()).subquery()
    return sa.select(last).where(last.c.box_xyxy.is_not(None)).order_by(last.c.district, last.c.tracklet_id)
