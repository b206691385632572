"""What the service does: search the store for the person of a photo or description, and join sightings to a route."""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

import sqlalchemy as sa

from domain.attribute_query import GroupQuery
from domain.attributes import AttributeSchema
from domain.cameras import CameraKey
from domain.deadline import require_time
from domain.errors import ArtifactError, DongseonError, InputError
from serving.database import audit, queries
from serving.database.audit import Action
from serving.database.districts import StoredDistrict, stored_districts
from serving.database.store import Store
from serving.database.tracklet_filter import TrackletFilter
from serving.matching.description import Question, read_description
from serving.matching.route import RouteSettings, likeliest_routes, relative_probabilities
from serving.perception.engine_calls import EnginesAwayError
from serving.search.camera_filter import Area, select_cameras
from serving.search.coverage import Coverage, coverage_of, shorten_coverage
from serving.search.engines import SearchEngines, compile_now
from serving.search.limits import SearchLimits
from serving.search.messages import (
    RouteAnswer,
    RouteFound,
    RouteRequest,
    SearchAnswer,
    SightingId,
    Status,
    StoredCamera,
)
from serving.search.metrics import SEARCH_SECONDS
from serving.search.person_selection import Box, crop_of, select_person
from serving.search.photo import decode_photo
from serving.search.search import Hit, Searcher, SearchSettings, SightingKey, hit_of, stored_sightings

_log = logging.getLogger(__name__)


class NotReadyError(DongseonError):
    """The service cannot search yet; the message says why."""


class UnknownSightingError(DongseonError):
    """No such sighting is stored."""


@dataclass(frozen=True)
class SearchServiceSettings:
    """Settings of searches and routes."""

    limits: SearchLimits
    search: SearchSettings
    route: RouteSettings


class PhotoSearch:
    """Engines and store of one deployment; safe to share between threads.

    Engines that do not answer, or a store that does not open, are a reason not to be ready, not a crash: the service
    stays up and says what is missing. Both are tried again with each request.

    Args:
        settings: of searches and routes.
        reach_engines: connects to the engines.
        open_store: opens the store.
        configuration: what the service runs with, for the audit.
    """

    def __init__(
        self,
        settings: SearchServiceSettings,
        reach_engines: Callable[[], SearchEngines],
        open_store: Callable[[], Store],
        configuration: Callable[[], dict[str, Any]],
    ) -> None:
        compile_now()
        self._settings = settings
        self._limits = settings.limits
        self._connect = reach_engines
        self._open_store = open_store
        self._configuration = configuration
        self._engines: SearchEngines | None = None
        self._engines_lock = threading.Lock()
        self._store: Store | None = None
        self._store_lock = threading.Lock()
        self._last_reason: str | None = None

    def close(self) -> None:
        """Close the store."""
        with self._store_lock:
            store, self._store = self._store, None
        if store is not None:
            store.close()

    def store(self) -> Store:
        """The store, opened when it is first asked for; with what, is recorded in the audit when it changed.

        Raises:
            NotReadyError: if it does not open.
        """
        with self._store_lock:
            if self._store is None:
                try:
                    opened = self._open_store()
                except DongseonError as error:
                    raise NotReadyError(str(error)) from error
                self._record_configuration(opened)
                self._store = opened
            return self._store

    def reason_not_ready(self) -> str | None:
        """None when engines and store are there and fit together, of which both are asked; logged when it changes."""
        return self._reason_not_ready(self._reach_engines)

    def status(self) -> Status:
        """Whether it can search, and with which engines."""
        reason = self.reason_not_ready()
        return Status(
            ready=reason is None,
            reason=reason,
            model_version=self._model_version(),
            engines=self._engines.status if self._engines is not None else {},
        )

    @property
    def limits(self) -> SearchLimits:
        """How much a search may ask for."""
        return self._limits

    def cameras(self) -> list[StoredCamera]:
        """Cameras whose sightings are stored, by district and id.

        Raises:
            NotReadyError: if the service is not ready.
        """
        return [
            StoredCamera(district=district.name, **dict(camera))
            for district in self.districts()
            for camera in district.cameras
        ]

    def districts(self) -> list[StoredDistrict]:
        """Districts whose sightings are stored.

        Raises:
            NotReadyError: if the service is not ready.
        """
        with self._ready_store().begin() as connection:
            return stored_districts(connection)

    def attribute_schema(self) -> AttributeSchema | None:
        """By what people are described; None without an attribute engine."""
        return self._engines.perception.attribute_schema if self._engines is not None else None

    def crop(self, wanted: SightingId) -> bytes:
        """The picture of a sighting, a JPEG file.

        Raises:
            UnknownSightingError: if it is not stored.
            NotReadyError: if the service is not ready.
        """
        store = self._ready_store()
        with store.begin() as connection:
            stored = queries.tracklets(connection, [(wanted.district, wanted.tracklet_id)])
        for one in stored:
            try:
                return store.crops.read(one.crop)
            except FileNotFoundError as error:
                _log.error("a sighting must have its crop: %s", error)
            except ArtifactError as error:
                _log.error("%s", error)
        raise UnknownSightingError(f"a crop must be of a stored sighting, got {wanted.district}/{wanted.tracklet_id}")

    def route(self, asked: RouteRequest) -> RouteAnswer:
        """The walk through sightings that are certain to show one person, and where asked, through likely ones.

        Raises:
            InputError: if a sighting is not stored, they are too many, or a filter names what does not exist.
            NotReadyError: if the service is not ready.
        """
        self._check_judged(asked.sightings, asked.rejected)
        if not asked.sightings:
            raise InputError("a route must have a confirmed sighting, got none")
        store = self._ready_store()
        with store.begin() as connection:
            stored = stored_sightings(connection, _keys(asked.sightings))
            attributes = queries.attributes(connection, stored)
        confirmed = [
            hit_of(one, described, distance=0.0, probability=1.0, confirmed=True)
            for one, described in zip(stored, attributes, strict=True)
        ]
        hits: list[Hit] = []
        coverage = None
        if asked.fill:
            cameras = select_cameras(store, asked.cameras, asked.area)
            hits = self._searcher(store).search(
                confirmed=_keys(asked.sightings),
                rejected=_keys(asked.rejected),
                top_k=self._limits.max_top_k,
                where=TrackletFilter(cameras, asked.since, asked.until),
            )
            coverage = self._statement(store, cameras, asked.since, asked.until)
        settings = self._settings.route
        routes = likeliest_routes(hits, settings, confirmed=confirmed, most=settings.most_routes)
        first, *others = [
            RouteFound(route=each.stops, log_odds=each.log_odds, relative_probability=share)
            for each, share in zip(routes, relative_probabilities(routes), strict=True)
        ]
        return RouteAnswer(
            **dict(first),
            model_version=self._running_engines().model_version,
            left_out=[one for one in confirmed if one not in first.route],
            alternatives=others,
            coverage=coverage,
        )

    def search(
        self,
        photos: Sequence[bytes] = (),
        *,
        people_xyxy: Sequence[Box | None] | None = None,
        attributes: Question | None = None,
        confirmed: Sequence[SightingId] = (),
        rejected: Sequence[SightingId] = (),
        top_k: int | None = None,
        cameras: Sequence[str] | None = None,
        area: Area | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> SearchAnswer:
        """Sightings of the person in `photos`, picture files, or of whom `attributes` describe, nearest first.

        Each photo may be a crop of the person or a scene, see `serving.search.person_selection.select_person`.

        Args:
            photos: of one person.
            people_xyxy: where the person is in each photo; None, and a None in it, where nobody has pointed.
            attributes: labels by group.
            confirmed: sightings that show the person; they are searched for like the photos.
            rejected: sightings that show somebody else; left out of the answer, and their look-alikes fall back.
            top_k: how many to answer; None for as many as the settings say.
            cameras: names of those to search, see `serving.search.camera_filter.select_cameras`; None for all.
            area: searches cameras in it only.
            since: leaves out what ended before; with a time zone.
            until: leaves out what began after; with a time zone.

        Raises:
            InputError: if a photo is no usable picture, a filter or a sighting names what does not exist, there are too
                many of them, or nothing to search for.
            NotReadyError: if the service is not ready.
            EnginesAwayError: if the engines went away meanwhile.
            OverdueError: if nobody waits for the answer any more.
        """
        if not (photos or attributes or confirmed):
            raise InputError(
                "a search must be multipart/form-data with a file photo, attributes or confirmed sightings, got none"
            )
        began = perf_counter()
        pointed = self._pointed(len(photos), people_xyxy)
        self._check_judged(confirmed, rejected)
        images = [decode_photo(photo, self._limits.max_photo_pixels) for photo in photos]
        store = self._ready_store()
        description = self._describe(attributes or {}, top_k)
        wanted = select_cameras(store, cameras, area)
        engines = self._running_engines()
        try:
            boxes = [select_person(engines.perception, image, box) for image, box in zip(images, pointed, strict=True)]
            crops = [crop_of(image, box) for image, box in zip(images, boxes, strict=True)]
            embeddings = engines.embed(crops) if crops else None
        except EnginesAwayError:
            self._engines = None  # those that come back may be others
            raise
        require_time()
        hits = self._searcher(store).search(
            embeddings,
            description,
            confirmed=_keys(confirmed),
            rejected=_keys(rejected),
            top_k=top_k or self._limits.top_k,
            where=TrackletFilter(wanted, since, until),
        )
        coverage = self._statement(store, wanted, since, until)
        SEARCH_SECONDS.labels("photo" if photos or confirmed else "attributes").observe(perf_counter() - began)
        return SearchAnswer(model_version=engines.model_version, people_xyxy=boxes, sightings=hits, coverage=coverage)

    def coverage(
        self,
        cameras: Sequence[str] | None = None,
        area: Area | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Coverage:
        """Which times of the cameras that `search` takes can be searched, as `serving.search.coverage.coverage_of`.

        Raises:
            InputError: if there is no such camera, none in the area, or the window ends before it begins.
            NotReadyError: if the service is not ready.
        """
        store = self._ready_store()
        wanted = select_cameras(store, cameras, area)
        return coverage_of(store, self._running_engines().model_version, wanted, since, until)

    def _statement(
        self, store: Store, cameras: Collection[CameraKey] | None, since: datetime | None, until: datetime | None
    ) -> Coverage:
        return shorten_coverage(coverage_of(store, self._running_engines().model_version, cameras, since, until))

    def _searcher(self, store: Store) -> Searcher:
        engines = self._running_engines()
        return Searcher(store, engines.curve, self._settings.search, engines.model_version)

    def _running_engines(self) -> SearchEngines:
        return self._engines or self._reach_engines()

    def _reach_engines(self) -> SearchEngines:
        with self._engines_lock:
            try:
                self._engines = self._connect()
            except DongseonError as error:
                self._engines = None
                raise NotReadyError(str(error)) from error
            return self._engines

    def _model_version(self) -> str | None:
        return self._engines.model_version if self._engines is not None else None

    def _record_configuration(self, opened: Store) -> None:
        """Record in the audit with what the service runs, or leave the store."""
        try:
            with opened.begin() as connection:
                audit.append_change(connection, Action.CONFIGURATION, self._configuration())
        except sa.exc.DBAPIError as error:
            opened.close()
            raise NotReadyError(f"the audit must take what the service runs with: {error.orig}") from error

    def _reason_not_ready(self, engines: Callable[[], SearchEngines]) -> str | None:
        try:
            version = engines().model_version
            reason = queries.reason_not_ready(self.store().engine, version)
        except DongseonError as error:
            reason = str(error)
        if reason != self._last_reason:
            if reason:
                _log.warning("not ready: %s", reason)
            else:
                _log.info("ready: searching sightings of the model %s", self._model_version())
            self._last_reason = reason
        return reason

    def _ready_store(self) -> Store:
        reason = self._reason_not_ready(self._running_engines)
        if reason:
            raise NotReadyError(reason)
        return self.store()

    def _describe(self, attributes: Question, top_k: int | None) -> dict[str, GroupQuery]:
        if top_k is not None and not 1 <= top_k <= self._limits.max_top_k:
            raise InputError(f"top_k must be 1 to {self._limits.max_top_k}, got {top_k}")
        if not attributes:
            return {}
        schema = self.attribute_schema()
        if schema is None:
            raise InputError("attributes must be left out: this service has no attribute engine")
        return read_description(attributes, schema)

    def _pointed(self, num_photos: int, people_xyxy: Sequence[Box | None] | None) -> Sequence[Box | None]:
        most = self._limits.max_photos
        if num_photos > most:
            raise InputError(f"a search must have at most {most} photos, got {num_photos}")
        if people_xyxy is None:
            return [None] * num_photos
        if len(people_xyxy) != num_photos:
            raise InputError(f"people_xyxy must have a box or null a photo, got {len(people_xyxy)} for {num_photos}")
        return people_xyxy

    def _check_judged(self, confirmed: Sequence[SightingId], rejected: Sequence[SightingId]) -> None:
        most, number = self._limits.max_top_k, len(confirmed) + len(rejected)
        if number > most:
            raise InputError(f"at most {most} sightings may be judged, got {number}")


def _keys(sightings: Sequence[SightingId]) -> set[SightingKey]:
    return {(one.district, one.tracklet_id) for one in sightings}
