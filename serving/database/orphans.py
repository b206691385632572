"""Orphans: crops that no row names, which removed rows and killed processes leave."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

import sqlalchemy as sa

from domain.errors import ArtifactError
from serving.database import tables
from serving.database.crops import Crops, crop_of, segment_of
from serving.database.locks import try_lock_crops


@dataclass
class Orphans:
    """What became of the orphans."""

    deleted: int = 0
    failures: list[OSError | ArtifactError] = field(default_factory=list)  # of crops, or of a district's whole folder


def delete_orphans(engine: sa.Engine, crops: Crops, districts: Iterable[str]) -> Orphans:
    """Deletes the crops of `districts` that no row names; a district whose folder cannot be read hinders no other.

    The caller holds `serving.database.locks.hold_removers`. Segments may be added meanwhile: a segment that is being
    stored keeps its crops, and waits only for its own lock.
    """
    orphans = Orphans()
    for district in districts:
        try:
            stored = crops.of_district(district)
        except (OSError, ArtifactError) as error:
            orphans.failures.append(error)
            continue
        with engine.begin() as connection:
            suspects = _unnamed(stored, connection, tables.tracklets.c.district == district)
        for segment_id, paths in groupby(sorted(suspects, key=segment_of), segment_of):
            with engine.begin() as connection:
                if not try_lock_crops(connection, segment_id):
                    continue
                unnamed = sorted(_unnamed(paths, connection, tables.tracklets.c.segment_id == segment_id))
                failed = crops.delete(unnamed)
            orphans.deleted += len(unnamed) - len(failed)
            orphans.failures += failed
    return orphans


def _unnamed(paths: Iterable[str], connection: sa.Connection, which: sa.ColumnElement[bool]) -> set[str]:
    named = set(connection.execute(sa.select(tables.tracklets.c.crop).where(which)).scalars())
    return {path for path in paths if crop_of(path) not in named}
