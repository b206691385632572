"""Attributes of sightings that people correct where they see them; they become labels, see `serving.cases.labels`.

What the engine said stays as it is: searches go on by it.
"""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects.postgresql import distinct_on

from domain.attributes import AttributeSchema
from domain.errors import InputError
from serving.access.accounts import Account
from serving.cases.visible import open_case_of
from serving.database import audit, tables
from serving.database.audit import Action
from serving.search.messages import SightingId


class Correction(BaseModel):
    """The label that a person gave a sighting in an attribute group."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: str
    tracklet_id: int
    group: str
    label: str
    account: str
    at: datetime


def correct(
    connection: sa.Connection,
    account: Account,
    case_id: int,
    sighting: SightingId,
    group: str,
    label: str | None,
    schema: AttributeSchema | None,
) -> list[Correction]:
    """Say what a sighting's label in a group is; None takes that back. Returns the corrections of the case.

    Args:
        connection: in a transaction.
        account: who says so.
        case_id: a case that shows the sighting.
        sighting: the sighting.
        group: name of the group.
        label: name of the label.
        schema: groups and labels that there are; None without an attribute engine.

    Raises:
        UnknownCaseError, InputError, UnknownSightingError: as `open_case_of`.
        InputError: if there is no such group or label.
    """
    open_case_of(connection, account, case_id, [sighting], locked=True)
    labels = {one.name: one.label_names for one in schema.groups} if schema is not None else {}
    if group not in labels or label not in (None, *labels[group]):
        raise InputError(
            f"an attribute must be a group and a label of the engine, got {group}: {label}", code="attributes_changed"
        )
    details = {"case_id": case_id, **sighting.model_dump(), "group_name": group, "label": label}
    connection.execute(sa.insert(tables.corrections).values(account=account.name, **details))
    told = corrections_of(connection, case_id)
    audit.append(connection, account.name, Action.CORRECTION, details)
    return told


def corrections_of(connection: sa.Connection, case_id: int) -> list[Correction]:
    """The corrections of a case: the last one of each sighting and group."""
    return [
        Correction(
            district=row.district,
            tracklet_id=row.tracklet_id,
            group=row.group_name,
            label=row.label,
            account=row.account,
            at=row.at,
        )
        for row in connection.execute(last_corrections(tables.corrections.c.case_id == case_id))
    ]


def last_corrections(of: sa.ColumnElement[bool]) -> sa.Select[tuple[object, ...]]:
    """Selects the last correction of each sighting and group, by both, without those that were taken back."""
    table = tables.corrections
    key = (table.c.district, table.c.tracklet_id, table.c.group_name)
    last = sa.select(table).ext(distinct_on(*key)).where(of).order_by(*key, table.c.id.desc()).subquery()
    return sa.select(last).where(last.c.label.is_not(None)).order_by(*(last.c[column.name] for column in key))
