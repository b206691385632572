"""Removes sightings that are older than the retention: rows, embeddings and crops, except those under a legal hold.

Rows go first, in one transaction with their record in the table `removals` and in the audit: whole partitions where no
sighting of a day stays, else row by row, and with them segments and gaps that have nothing left. Then every crop that
no row names. So a row never lacks its crop, and crops that a killed process leaves without a row are gone after the
next run.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from pydantic import Field

from domain.errors import ArtifactError
from domain.settings import Settings
from serving.database import audit, removals, segments, tables
from serving.database.audit import Action
from serving.database.holds import held_sightings
from serving.database.locks import hold_removers, lock_cases, lock_writers
from serving.database.orphans import delete_orphans
from serving.database.partitions import day_of, drop_partition, existing_partitions
from serving.database.store import Store

_A_DAY = timedelta(hours=23)  # one day minus the hourly check interval


class RetentionSettings(Settings):
    """How long sightings are kept."""

    days: int = Field(ge=1, le=36500)
    kept_districts: tuple[str, ...]


@dataclass(frozen=True)
class Removal:
    """Result of a run."""

    tracklets: int
    crops: int  # files, including those that an interrupted run left

    def __str__(self) -> str:
        return f"removed {self.tracklets} tracklets and {self.crops} crops"


def remove_old(store: Store, settings: RetentionSettings) -> Removal:
    """Removes sightings older than the settings allow; raises as `remove_before`."""
    cutoff = datetime.now(UTC) - timedelta(days=settings.days)
    reason = f"last seen more than {settings.days} days ago"
    return remove_before(store, cutoff, reason, settings.kept_districts)


def is_due(store: Store) -> bool:
    """Whether the last run was at least a day ago."""
    table = tables.removals
    with store.begin() as connection:
        last = connection.execute(sa.select(sa.func.max(table.c.removed)).where(table.c.cutoff.is_not(None))).scalar()
    return last is None or datetime.now(UTC) - last > _A_DAY


def remove_before(store: Store, cutoff: datetime, reason: str, kept_districts: Collection[str] = ()) -> Removal:
    """Removes tracklets last seen before `cutoff`, with their crops, unless a case under legal hold has them.

    Args:
        store: the store of the sightings.
        cutoff: a time with a time zone.
        reason: for the record.
        kept_districts: districts whose sightings are all kept.

    Raises:
        ArtifactError: if a crop cannot be deleted; all others are deleted, and the next run tries again.
    """
    table = tables.tracklets
    with hold_removers(store.engine):
        with store.begin() as connection:
            lock_writers(connection)
            lock_cases(connection)
            tracklets = _drop_days(connection, cutoff, kept_districts)
            stays = sa.or_(
                sa.tuple_(table.c.district, table.c.id).in_(held_sightings()), table.c.district.in_(kept_districts)
            )
            tracklets += connection.execute(sa.delete(table).where(table.c.last_seen < cutoff, ~stays)).rowcount
            segments.remove_before(connection, cutoff, kept_districts)
            number = removals.record(connection, tracklets, reason, cutoff)
            details = {"removal": number, "cutoff": cutoff.isoformat(), "tracklets": tracklets, "reason": reason}
            audit.append(connection, audit.command_account(), Action.RETENTION, details)
        with store.begin() as connection:
            districts = connection.execute(sa.select(tables.districts.c.name).order_by("name")).scalars().all()
        num_crops, failures = delete_orphans(store.engine, store.crops, districts)
        with store.begin() as connection:
            removals.count_crops(connection, number, num_crops)
    if failures:
        raise ArtifactError(
            f"crops of removed tracklets must be deletable, {len(failures)} of {num_crops + len(failures)} are not: "
            f"{failures[0]}; allow it and run serving.retention again"
        )
    return Removal(tracklets, num_crops)


def _drop_days(connection: sa.Connection, cutoff: datetime, kept_districts: Collection[str]) -> int:
    """Drops partitions of days before `cutoff` that hold nothing to keep; returns the number of their tracklets."""
    seen = tables.tracklets
    held = held_sightings().with_only_columns(tables.case_sightings.c.day)
    kept = sa.select(seen.c.day).where(seen.c.district.in_(kept_districts))
    stay = set(connection.execute(held.union(kept)).scalars())
    old = [day for day in existing_partitions(connection) if day < day_of(cutoff)]
    return sum(drop_partition(connection, day) for day in old if day not in stay)
