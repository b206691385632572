"""Removes sightings that are older than the retention: rows, embeddings and crops, except those under a legal hold.

Rows go first, in one transaction with their record in the table `removals` and in the audit: whole partitions where no
sighting of a day stays, else row by row, and with them segments and gaps that have nothing left. Then every crop that
no row names. So a row never lacks its crop, and crops that a killed process leaves without a row are gone after the
next run.

A sighting is as old as its video says, and at least as old as the registration of the video, whatever start was given.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from pydantic import Field, PositiveInt

from domain.errors import ArtifactError, InputError
from domain.settings import Settings
from serving.database import audit, removals, segments, tables
from serving.database.audit import Action
from serving.database.case_photos import delete_photos_without_case
from serving.database.case_retention import has_old_cases, remove_closed_cases
from serving.database.clocks import INSIST, correct_times_to_come, has_times_to_come, require_right_clock
from serving.database.holds import held_sightings
from serving.database.locks import hold_removers, lock_cases, lock_writers
from serving.database.orphans import delete_orphans
from serving.database.partitions import day_of, drop_partition, existing_partitions
from serving.database.ring import Ring, held_spans
from serving.database.sheet_files import delete_sheets_out_of_use
from serving.database.store import Store

_A_DAY = timedelta(hours=23)  # one day minus the hourly check interval
_FEW_DAYS = 2  # a daily run removes one day of sightings, which may lie in two days of UTC


class RetentionSettings(Settings):
    """How long sightings and cases are kept."""

    days: int = Field(ge=1, le=36500)
    kept_districts: tuple[str, ...]
    case_days: int = Field(ge=1, le=36500)
    most_days: PositiveInt
    most_share: float = Field(gt=0, le=1)


@dataclass(frozen=True)
class Removal:
    """Result of a run."""

    tracklets: int
    crops: int  # files, including those that an interrupted run left
    cases: int = 0
    strange: tuple[str, ...] = ()  # what lies among the crops and is none: it was left alone

    def __str__(self) -> str:
        return f"removed {self.tracklets} tracklets and {self.crops} crops"


def remove_old(store: Store, settings: RetentionSettings, *, clock_is_right: bool = False) -> Removal:
    """Removes sightings and closed cases that are older than the settings allow.

    Args:
        store: the store of the sightings.
        settings: see `RetentionSettings`.
        clock_is_right: a person says that the clock is right and that all of what is old is to go.

    Raises:
        InputError: if the clock is not that of the database's records, or more is old than one run may remove.
        ArtifactError: as `remove_before`.
    """
    now = datetime.now(UTC)
    cutoff, case_cutoff = now - timedelta(days=settings.days), now - timedelta(days=settings.case_days)
    with store.begin() as connection:
        number_by_day = _count_old(connection, cutoff, settings.kept_districts)
        is_changing = number_by_day or has_old_cases(connection, case_cutoff) or has_times_to_come(connection)
        if is_changing and not clock_is_right:
            require_right_clock(connection)
            _require_few(connection, number_by_day, settings)
        correct_times_to_come(connection)
    try:
        removal = remove_before(store, cutoff, f"last seen more than {settings.days} days ago", settings.kept_districts)
    finally:  # a crop that cannot be deleted is no reason to keep the cases
        with store.begin() as connection:
            reason, most_days = f"closed more than {settings.case_days} days ago", settings.most_days
            cases = remove_closed_cases(connection, case_cutoff, reason, None if clock_is_right else most_days)
        with store.begin() as connection:
            delete_photos_without_case(connection, store.crops)
        with store.begin() as connection:
            delete_sheets_out_of_use(connection, store.crops)
    return Removal(removal.tracklets, removal.crops, cases, removal.strange)


def is_due(store: Store) -> bool:
    """Whether the last run was a day ago, or lies in the future: then the clock is wrong, and the run says so."""
    table = tables.removals
    last_run = sa.select(table.c.removed).where(table.c.cutoff.is_not(None)).order_by(table.c.id.desc()).limit(1)
    with store.begin() as connection:
        last = connection.execute(last_run).scalar()
    return last is None or abs(datetime.now(UTC) - last) > _A_DAY


def remove_before(store: Store, cutoff: datetime, reason: str, kept_districts: Collection[str] = ()) -> Removal:
    """Removes tracklets last seen before `cutoff`, with their crops, unless a case under legal hold has them.

    So are tracklets of videos that were registered before `cutoff`, whatever their times. What lies among the crops and
    is none is left alone and named.

    Args:
        store: the store of the sightings.
        cutoff: a time with a time zone.
        reason: for the record.
        kept_districts: districts whose sightings are all kept.

    Raises:
        ArtifactError: if a crop cannot be deleted or a folder not be read; all others are deleted, and the next run
            tries again.
    """
    table = tables.tracklets
    with hold_removers(store.engine):
        with store.begin() as connection:
            lock_writers(connection)
            lock_cases(connection)
            tracklets = _drop_days(connection, cutoff, kept_districts)
            for are_old in _old(cutoff):
                old = sa.delete(table).where(are_old, ~_stay(kept_districts))
                tracklets += connection.execute(old).rowcount
            segments.remove_before(connection, cutoff, kept_districts)
            number = removals.record(connection, tracklets, reason, cutoff)
            details = {"removal": number, "cutoff": cutoff.isoformat(), "tracklets": tracklets, "reason": reason}
            audit.append(connection, audit.command_account(), Action.RETENTION, details)
        with store.begin() as connection:
            districts = connection.execute(sa.select(tables.districts.c.name).order_by("name")).scalars().all()
        orphans = delete_orphans(store.engine, store.crops, districts)
        with store.begin() as connection:
            removals.count_crops(connection, number, orphans.deleted)
        _remove_recordings(store, cutoff, kept_districts)
        strange = store.crops.strange(districts)
    if orphans.failures:
        failed = len(orphans.failures)
        raise ArtifactError(
            f"crops of removed tracklets must be deletable, {failed} of {orphans.deleted + failed} are not: "
            f"{orphans.failures[0]}; allow it and run serving.retention again"
        )
    return Removal(tracklets, orphans.deleted, strange=tuple(strange))


def _remove_recordings(store: Store, cutoff: datetime, kept_districts: Collection[str]) -> None:
    """Removes pieces of the ring that ended before `cutoff`, but those around sightings under a legal hold."""
    ring = Ring(store.crops)
    of_camera = defaultdict(list)
    for piece in ring.pieces():
        if piece.district not in kept_districts:
            of_camera[piece.district, piece.camera_id].append(piece)
    for (district, camera_id), pieces in of_camera.items():
        with store.begin() as connection:
            kept = held_spans(connection, district, camera_id)
        ring.remove_oldest(pieces, cutoff, math.inf, kept)


def _old(cutoff: datetime) -> list[sa.ColumnElement[bool]]:
    """Conditions, of which just one holds for an old tracklet; each finds them by day or by segment."""
    seen, table = tables.tracklets, tables.segments
    registered = sa.select(table.c.id).where(table.c.created < cutoff)
    return [
        (seen.c.day <= day_of(cutoff)) & (seen.c.last_seen < cutoff),
        (seen.c.last_seen >= cutoff) & seen.c.segment_id.in_(registered),
    ]


def _stay(kept_districts: Collection[str]) -> sa.ColumnElement[bool]:
    seen = tables.tracklets
    return sa.tuple_(seen.c.district, seen.c.id).in_(held_sightings()) | seen.c.district.in_(kept_districts)


def _count_old(connection: sa.Connection, cutoff: datetime, kept_districts: Collection[str]) -> Counter[date]:
    """Number of tracklets that are to go, by day."""
    seen, number_by_day = tables.tracklets, Counter[date]()
    for are_old in _old(cutoff):
        query = sa.select(seen.c.day, sa.func.count()).where(are_old, ~_stay(kept_districts)).group_by(seen.c.day)
        for day, number in connection.execute(query):
            number_by_day[day] += number
    return number_by_day


def _require_few(connection: sa.Connection, number_by_day: Counter[date], settings: RetentionSettings) -> None:
    """Raise `InputError` if a run would remove more than the settings allow."""
    seen, num_days, number = tables.tracklets, len(number_by_day), number_by_day.total()
    insist = f"so nothing is removed; check the clock and the settings, then run python -m serving.retention {INSIST}"
    if num_days > settings.most_days:
        raise InputError(
            f"one run may remove sightings of at most {settings.most_days} days (serving.retention.most_days), got "
            f"{num_days} days from {min(number_by_day)} to {max(number_by_day)}, {insist}"
        )
    if num_days <= _FEW_DAYS:
        return
    of_others = sa.select(sa.func.count()).select_from(seen).where(seen.c.district.not_in(settings.kept_districts))
    stored = connection.execute(of_others).scalar_one()
    if number > settings.most_share * stored:
        raise InputError(
            f"one run may remove at most {settings.most_share:.0%} of the sightings (serving.retention.most_share), "
            f"got {number} of {stored} on {num_days} days, {insist}"
        )


def _drop_days(connection: sa.Connection, cutoff: datetime, kept_districts: Collection[str]) -> int:
    """Drops partitions of days before `cutoff` that hold nothing to keep; returns the number of their tracklets."""
    seen = tables.tracklets
    held = held_sightings().with_only_columns(tables.case_sightings.c.day)
    kept = sa.select(seen.c.day).where(seen.c.district.in_(kept_districts))
    stay = set(connection.execute(held.union(kept)).scalars())
    old = [day for day in existing_partitions(connection) if day < day_of(cutoff)]
    return sum(drop_partition(connection, day) for day in old if day not in stay)
