"""Searches with two re-ID models while the new one is rolled out: which comes first, and what the other one adds."""

import logging
import threading
import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa

from domain.attribute_query import AttributeQuery
from domain.errors import ArtifactError, InputError
from domain.images import decode_jpeg
from serving.database import rollout
from serving.database.store import Store
from serving.database.tracklet_filter import TrackletFilter
from serving.database.tracklet_rows import StoredTracklet
from serving.search.engines import SearchEngines
from serving.search.search import Hit, Searcher, SearchSettings, SightingKey

_LOOK_EVERY_S = 10.0  # whether all stored sightings have an embedding by the new model
_ACCOUNT = "service"
_log = logging.getLogger(__name__)


class Rollout:
    """Switches to the new model when it is complete. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_look = 0.0

    def in_order(self, store: Store, newest: SearchEngines, previous: SearchEngines) -> list[SearchEngines]:
        """Both, the one in use first: the previous one until the newest is complete, then as a person decided last."""
        with store.begin() as connection:
            if self._is_time() and rollout.switch_if_complete(connection, newest.model_version, _ACCOUNT):
                _log.info("searches compare with the model %s from now on", newest.model_version)
            chosen = rollout.in_use(connection)
        is_newest = chosen is not None and chosen.model_version == newest.model_version
        return [newest, previous] if is_newest else [previous, newest]

    def _is_time(self) -> bool:
        with self._lock:
            is_time = time.monotonic() >= self._next_look
            if is_time:
                self._next_look = time.monotonic() + _LOOK_EVERY_S
            return is_time


def search_with(
    store: Store,
    settings: SearchSettings,
    models: Sequence[SearchEngines],
    where: TrackletFilter,
    embeddings: Sequence[np.ndarray | None] = (),
    **asked: Any,
) -> list[Hit]:
    """Hits of a search with the first model, and hits of the other models in video that has no embeddings by the first.

    All hits are in the order of their match probability. Words alone are searched once, for no re-ID model is asked.

    Candidates come from the read replica while the store has one that keeps up.

    Args:
        store: has the sightings.
        settings: of the search.
        models: engines with each re-ID model.
        where: filter of the sightings.
        embeddings: of the photos, by each model, or none.
        asked: the other arguments of `Searcher.search`, of which `top_k` is required.

    Raises:
        InputError: as `Searcher.search` does.
    """
    replica = store.replica_that_keeps_up()
    if replica is not None:
        try:
            return _search(store, replica.engine, settings, models, where, embeddings, **asked)
        except sa.exc.OperationalError as error:  # it went away, or had to remove rows that the query read
            replica.give_up(error)
    return _search(store, store.engine, settings, models, where, embeddings, **asked)


def _search(
    store: Store,
    reader: sa.Engine,
    settings: SearchSettings,
    models: Sequence[SearchEngines],
    where: TrackletFilter,
    embeddings: Sequence[np.ndarray | None],
    *,
    description: AttributeQuery | None = None,
    confirmed: Collection[SightingKey] = (),
    like: Collection[SightingKey] = (),
    top_k: int,
    **more: Any,
) -> list[Hit]:
    photos = list(embeddings) or [None] * len(models)
    asked: dict[str, Any] = {"confirmed": confirmed, "like": like, "top_k": top_k, "where": where, **more}
    hits = _searcher(store, reader, settings, models[0]).search(photos[0], description, **asked)
    if photos[0] is None and not (confirmed or like):
        return hits  # words do not depend on the re-ID model
    for engines, photo in zip(models[1:], photos[1:], strict=True):
        with reader.begin() as connection:
            of_model, instead_of = engines.model_version, models[0].model_version
            cells = rollout.only_by(connection, of_model, instead_of, where.since, where.until)
        others = _searcher(store, reader, settings, engines).search(photo, description, cells=cells, **asked)
        known = {(hit.district, hit.tracklet_id) for hit in hits}
        hits += [hit for hit in others if (hit.district, hit.tracklet_id) not in known]
        hits.sort(key=lambda hit: -hit.match_probability)
    return hits[:top_k]


def embed_stored(store: Store, engines: SearchEngines, stored: Sequence[StoredTracklet]) -> list[np.ndarray]:
    """Embeddings of stored sightings from their crops; a sighting whose crop cannot be read has none."""
    crops = []
    for one in stored:
        try:
            crops.append(engines.perception.reid_input(decode_jpeg(store.crops.read(one.crop))))
        except (FileNotFoundError, ArtifactError, InputError) as error:
            _log.error("a sighting must have its crop: %s", error)
    return list(engines.embed(crops)) if crops else []


def _searcher(store: Store, reader: sa.Engine, settings: SearchSettings, engines: SearchEngines) -> Searcher:
    return Searcher(
        store,
        engines.curve,
        settings,
        engines.model_version,
        engines.transits,
        engines.perception.attributes_version,
        partial(embed_stored, store, engines),
        reader,
    )
