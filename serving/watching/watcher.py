"""Looks at new sightings for all watches at once, and says how many alarms a watch would have given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import sqlalchemy as sa
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict

from serving.database import queries, tables
from serving.database.locks import lock_watches
from serving.database.store import Store
from serving.database.tracklet_filter import TrackletFilter
from serving.database.tracklet_rows import StoredTracklet
from serving.database.watches import take_new_sightings
from serving.matching.transits import Seen
from serving.search.engines import SearchEngines
from serving.search.search import SearchSettings
from serving.search.service import SearchService, Sought
from serving.watching.active import ActiveWatches
from serving.watching.rounds import Rounds
from serving.watching.watch import Sightings, Watch, match_probabilities
from serving.watching.watches import record_alerts

LEAST_PROBABILITIES = (0.5, 0.7, 0.9, 0.95, 0.99)  # for which an estimate says the alarms a day
_MOST_SIGHTINGS = 500  # in a pass
_LAST_DAYS = 7  # of an estimate
_MOST_CANDIDATES = 1000  # of an estimate


class ExpectedAlarms(BaseModel):
    """Alarms a day that a watch would have given at a least probability."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_probability: float
    alarms_a_day: float


class Estimate(BaseModel):
    """Alarms a day that a watch would have given on the last days with video."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    video_hours: float  # of a camera, on average, in these days; 0: nothing is known
    at: list[ExpectedAlarms]  # by rising probability; none where nothing is known

    def alarms_a_day(self, min_probability: float) -> float | None:
        """The number for the greatest of the estimated probabilities that is not above `min_probability`."""
        return next((one.alarms_a_day for one in reversed(self.at) if one.min_probability <= min_probability), None)


@dataclass(frozen=True)
class _Seen:
    hours: float
    sightings: Sequence[StoredTracklet]


class Watcher(Rounds):
    """Looks for all watches at what is new, in a thread of its own; the thread ends with `close`.

    A sighting leaves the queue in the transaction that records what the watches tell of it, so none is lost or told
    twice, whenever the process is killed and however many processes there are.

    Args:
        search_service: has the store and the engines.
        settings: of its searches.
    """

    def __init__(self, search_service: SearchService, settings: SearchSettings) -> None:
        super().__init__("watcher", lambda: self.look() == _MOST_SIGHTINGS, "watches cannot look at new sightings")
        self._search_service, self._settings = search_service, settings
        self._active = ActiveWatches()

    def look(self) -> int:
        """One pass over the new sightings, for all watches; the number of sightings that it took.

        Raises:
            NotReadyError: if the engines or the store do not answer.
        """
        models = self._search_service.models()
        with self._search_service.store().begin() as connection:
            lock_watches(connection)
            new = take_new_sightings(connection, _MOST_SIGHTINGS)
            if not new:
                return 0
            stored = queries.tracklets(connection, new)
            told: list[tuple[Watch, dict[tuple[str, int], float]]] = []
            for place, engines in enumerate(models):
                embedded = queries.embedded(connection, stored, engines.model_version)
                watches = self._active.of(connection, engines.model_version, engines.perception.attribute_schema)
                by_words = [watch for watch in watches if watch.embedding is None and place == 0]
                by_looks = [watch for watch in watches if watch.embedding is not None]
                told += [
                    (watch, found)
                    for some, tracklets in ((by_words, stored), (by_looks, embedded))
                    if some and tracklets
                    for seen in [Sightings(tracklets, _attributes(connection, tracklets, some, engines))]
                    for watch in some
                    if (found := self._told(watch, seen, engines))
                ]
            record_alerts(connection, told)
        return len(new)

    def estimate(self, sought: Sought) -> Estimate:
        """How many alarms a day the watch would have given on the last days.

        Where place and time count, sightings of each day are taken as of the day after the person was seen last.

        Raises:
            NotReadyError: if the engines or the store do not answer.
        """
        store, engines = self._search_service.store(), self._search_service.engines()
        watch = Watch(sought.embedding, sought.description, seen=sought.seen)
        seen = _last_days(store, watch, sought, engines.perception.attributes_version)
        if not seen.hours:
            return Estimate(video_hours=0, at=[])
        probabilities = np.zeros(0)
        if seen.sightings:
            with store.begin() as connection:
                attributes = _attributes(connection, seen.sightings, [watch], engines)
            sightings = Sightings([_on_the_day_after(one, watch.seen) for one in seen.sightings], attributes)
            probabilities = self._probabilities(watch, sightings, engines)
        return Estimate(
            video_hours=seen.hours,
            at=[
                ExpectedAlarms(min_probability=least, alarms_a_day=number * 24 / seen.hours)
                for least in LEAST_PROBABILITIES
                for number in [int((probabilities >= least).sum())]
            ],
        )

    def _probabilities(self, watch: Watch, seen: Sightings, engines: SearchEngines) -> Float[np.ndarray, " sighting"]:
        return match_probabilities(watch, seen, engines.curve, self._settings, engines.transits)

    def _told(self, watch: Watch, seen: Sightings, engines: SearchEngines) -> dict[tuple[str, int], float]:
        probabilities = self._probabilities(watch, seen, engines)
        return {
            (one.district, one.id): float(probability)
            for one, probability in zip(seen.tracklets, probabilities, strict=True)
            if probability >= watch.min_probability
        }


def _on_the_day_after(sighting: StoredTracklet, seen: Sequence[Seen]) -> StoredTracklet:
    """The sighting at its time of day, on the day that begins when the person was seen last."""
    if not seen:
        return sighting
    last = datetime.fromtimestamp(max(one.time_s for one in seen), UTC)
    moved = last + (sighting.first_seen - last) % timedelta(days=1) - sighting.first_seen
    return replace(sighting, first_seen=sighting.first_seen + moved, last_seen=sighting.last_seen + moved)


def _attributes(
    connection: sa.Connection, stored: Sequence[StoredTracklet], watches: Sequence[Watch], engines: SearchEngines
) -> list[dict[str, dict[str, float]]]:
    """Attributes of the sightings, if a watch asks for some."""
    if any(watch.description for watch in watches):
        return queries.attributes(connection, stored, engines.perception.attributes_version)
    return [{} for _ in stored]


def _last_days(store: Store, watch: Watch, sought: Sought, attributes_version: str) -> _Seen:
    """The likeliest sightings of the last days with video, and the hours of video of a camera on average."""
    table = tables.processed
    is_asked = table.c.model_version == sought.model_version
    if sought.cameras is not None:
        is_asked &= sa.tuple_(table.c.district, table.c.camera_id).in_(sought.cameras)
    with store.begin() as connection:
        until: datetime | None = connection.execute(
            sa.select(sa.func.max(sa.func.upper(table.c.times, type_=sa.DateTime(timezone=True)))).where(is_asked)
        ).scalar_one()
        if until is None:
            return _Seen(0.0, [])
        since = until - timedelta(days=_LAST_DAYS)
        part = sa.func.unnest(table.c.times * sa.func.tstzmultirange(sa.func.tstzrange(since, until)))
        parts = sa.select(table.c.district, table.c.camera_id, part.label("part")).where(is_asked).subquery()
        seconds = sa.extract("epoch", sa.func.upper(parts.c.part) - sa.func.lower(parts.c.part))
        cameras = sa.func.count(sa.distinct(sa.tuple_(parts.c.district, parts.c.camera_id)))
        total_s, num_cameras = connection.execute(sa.select(sa.func.sum(seconds), cameras)).one()
    if not num_cameras:
        return _Seen(0.0, [])
    where, hours = TrackletFilter(sought.cameras, since, until), float(total_s) / 3600 / num_cameras
    if watch.embedding is not None:
        return _Seen(
            hours, queries.nearest(store.engine, watch.embedding, sought.model_version, _MOST_CANDIDATES, where)
        )
    with store.begin() as connection:
        return _Seen(
            hours,
            queries.described(
                connection, watch.description, _MOST_CANDIDATES, where, attributes_version=attributes_version
            ),
        )
