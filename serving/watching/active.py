"""The watches that go on, kept between two passes over new sightings."""

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from domain.attributes import AttributeSchema
from serving.database import tables
from serving.database.watches import is_active
from serving.watching.watch import Watch
from serving.watching.watches import active_watches

_FRESH_S = 60.0  # then sightings of other people, which verdicts name, may have been removed


@dataclass(frozen=True)
class _Read:
    state: tuple[Any, ...]
    at_s: float
    watches: list[Watch]


class ActiveWatches:
    """Watches that go on, by re-ID model; a hundred cases have thousands of embeddings, which seldom change.

    They are read again when a watch has begun or ended, when a verdict was given, and each minute. Not to be shared
    between threads.
    """

    def __init__(self) -> None:
        self._read: dict[str, _Read] = {}

    def of(self, connection: sa.Connection, model_version: str, schema: AttributeSchema | None) -> list[Watch]:
        """As `active_watches` reads them."""
        state, now_s = (*_state(connection), schema), time.monotonic()
        read = self._read.get(model_version)
        if read is None or read.state != state or now_s - read.at_s > _FRESH_S:
            read = _Read(state, now_s, active_watches(connection, model_version, schema))
            self._read[model_version] = read
        return read.watches


def _state(connection: sa.Connection) -> tuple[Any, ...]:
    """What changes with the watches that go on and with the verdicts of their cases."""
    watches, verdicts = tables.watches, tables.verdicts
    active = connection.execute(sa.select(watches.c.id).where(is_active()).order_by(watches.c.id)).scalars().all()
    of_active = verdicts.c.case_id.in_(sa.select(watches.c.case_id).where(watches.c.id.in_(active)))
    given = connection.execute(sa.select(sa.func.count(), sa.func.max(verdicts.c.id)).where(of_active)).one()
    return *active, *given
