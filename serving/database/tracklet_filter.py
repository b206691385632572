"""Filter of a search: cameras and times of the tracklets that it may return."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from domain.cameras import CameraKey


@dataclass(frozen=True)
class TrackletFilter:
    """Conditions that a tracklet must meet; None is no condition."""

    cameras: Collection[CameraKey] | None = None
    since: datetime | None = None  # leaves out tracklets that ended earlier; with a time zone
    until: datetime | None = None  # leaves out tracklets that began later; with a time zone

    def conditions(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The conditions on rows of `table`, which is `tracklet_embeddings` or `tracklet_attributes`."""
        columns = table.c
        return [
            *([at_cameras(self.cameras, columns.district, columns.camera_id)] if self.cameras is not None else []),
            *([columns.last_seen >= self.since] if self.since is not None else []),
            *([columns.first_seen <= self.until] if self.until is not None else []),
        ]


ALL_TRACKLETS = TrackletFilter()


def at_cameras(
    cameras: Collection[CameraKey], district: sa.ColumnElement[str], camera_id: sa.ColumnElement[str]
) -> sa.ColumnElement[bool]:
    """Condition that `camera_id` of `district` is among `cameras`: a list per district, which PostgreSQL hashes."""
    ids = defaultdict(list)
    for name, camera in cameras:
        ids[name].append(camera)
    return sa.or_(sa.false(), *(sa.and_(district == name, camera_id.in_(of_it)) for name, of_it in ids.items()))
