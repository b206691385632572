"""Removes sightings that are older than the retention: rows, embeddings and crops, except those under a legal hold.

    python -m serving.retention [serving.retention.days=7]

Rows go first, in one transaction with their record in the table `removals` and in the audit: a day that nobody needs
any more as a whole partition, others row by row, and with them segments and gaps that have nothing left. Then every
crop that no row names. So a row never lacks its crop, and crops that a killed run leaves without a row are gone after
the next one. Settings: section `serving` of params.yaml in the current folder; `key=value` arguments override them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from domain.errors import ArtifactError
from domain.stage import run_stage
from serving import audit
from serving.audit import Action
from serving.database import segments, tables
from serving.database.crops import Crops
from serving.database.partitions import day_of, drop_partition, existing_partitions
from serving.database.store import Store, held_sightings, lock_cases, open_store
from serving.service_settings import ServingSettings


@dataclass(frozen=True)
class Removal:
    """How much one run removed."""

    tracklets: int
    crops: int  # files, also those that an interrupted run left


def main(argv: Sequence[str] = ()) -> None:
    """Read the settings, remove what is too old, say how much it was.

    Raises:
        InputError: if a setting is wrong, or the database does not answer.
        ArtifactError: if a crop cannot be deleted.
    """
    settings = ServingSettings.from_params("serving", argv)
    days = settings.retention.days
    cutoff = datetime.now(UTC) - timedelta(days=days)
    with open_store(settings.store_folder) as store:
        removal = remove_before(store, cutoff, f"last seen more than {days} days ago")
    print(
        f"removed {removal.tracklets} tracklets and {removal.crops} crops last seen before {cutoff:%Y-%m-%d %H:%M} UTC"
    )


def remove_before(store: Store, cutoff: datetime, reason: str) -> Removal:
    """Remove tracklets last seen before `cutoff`, with their crops, unless a case under legal hold has them.

    Raises:
        ArtifactError: if a crop cannot be deleted; all others are, and the next run tries it again.
    """
    table, removals = tables.tracklets, tables.removals
    with store.sole_writer() as engine:
        with engine.begin() as connection:
            lock_cases(connection)
            tracklets = _drop_days(connection, cutoff)
            is_held = sa.tuple_(table.c.district, table.c.id).in_(held_sightings())
            tracklets += connection.execute(sa.delete(table).where(table.c.last_seen < cutoff, ~is_held)).rowcount
            segments.remove_before(connection, cutoff)
            record = sa.insert(removals).values(cutoff=cutoff, tracklets=tracklets, crops=0, reason=reason)
            number = connection.execute(record.returning(removals.c.id)).scalar_one()
            details = {"removal": number, "cutoff": cutoff.isoformat(), "tracklets": tracklets, "reason": reason}
            audit.append(connection, audit.command_account(), Action.RETENTION, details)
        with engine.begin() as connection:
            orphans = _crops_without_row(store.crops, connection)
            failures = store.crops.delete(orphans)
            removal = Removal(tracklets, len(orphans) - len(failures))
            connection.execute(sa.update(removals).where(removals.c.id == number).values(crops=removal.crops))
    if failures:
        raise ArtifactError(
            f"crops of removed tracklets must be deletable, {len(failures)} of {len(orphans)} are not: {failures[0]}; "
            "make them so and run serving.retention again"
        )
    return removal


def _drop_days(connection: sa.Connection, cutoff: datetime) -> int:
    """Drop the partitions of days that ended before `cutoff` and have nothing held; how many tracklets they had."""
    held_days = set(connection.execute(held_sightings().with_only_columns(tables.case_sightings.c.day)).scalars())
    old = [day for day in existing_partitions(connection) if day < day_of(cutoff)]
    return sum(drop_partition(connection, day) for day in old if day not in held_days)


def _crops_without_row(crops: Crops, connection: sa.Connection) -> list[str]:
    """Crops of all districts of the database that no tracklet names, by path."""
    named = set(connection.execute(sa.select(tables.tracklets.c.crop)).scalars())
    districts = connection.execute(sa.select(tables.districts.c.name)).scalars()
    return sorted(path for name in districts for path in crops.of_district(name) - named)


if __name__ == "__main__":
    run_stage(main)
