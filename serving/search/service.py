"""The search service: searches the store for a person by photos or attributes, and joins sightings to a route."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from domain.attribute_query import GroupQuery
from domain.attributes import AttributeSchema
from domain.cameras import CameraKey
from domain.deadline import require_time
from domain.embeddings import unit_length
from domain.errors import ArtifactError, DongseonError, InputError
from serving.database import queries
from serving.database.cameras import cameras_away
from serving.database.districts import StoredDistrict, cameras_by_key, stored_districts
from serving.database.store import Store
from serving.database.tracklet_filter import TrackletFilter
from serving.matching.description import Question, read_description
from serving.matching.next_question import next_question
from serving.matching.route import RouteSettings, likeliest_routes, relative_probabilities
from serving.matching.route_files import NamedCamera
from serving.matching.transits import Seen
from serving.search.camera_filter import select_cameras
from serving.search.connected import Connected
from serving.search.coverage import Coverage, coverage_of, shorten_coverage
from serving.search.engines import SearchEngines, compile_now
from serving.search.limits import SearchLimits
from serving.search.messages import (
    PhotoAnswer,
    QuestionToAsk,
    RouteAnswer,
    RouteFound,
    RouteRequest,
    SearchAnswer,
    SearchRequest,
    SearchScope,
    SentenceAnswer,
    SightingId,
    StoredCamera,
    ToldStop,
    WhereNextAnswer,
    WhereNextRequest,
)
from serving.search.metrics import SEARCH_SECONDS
from serving.search.person_selection import Box
from serving.search.rollout import embed_stored, search_with
from serving.search.search import Hit, SearchSettings, SightingKey, hit_of, seen_in, stored_sightings
from serving.search.searched_photos import SearchedPhotos
from serving.search.seen_at import SeenAt, seen_of
from serving.search.sentence import read_sentence
from serving.search.where_next import (
    expected,
    last_seen,
    maybe_there,
    moment_of,
    near_cameras,
    searched_minutes,
    whole_minutes,
)

_log = logging.getLogger(__name__)
_MAYBE = 0.1  # from this match probability on, a sighting is told of as one that may be the person


class UnknownSightingError(DongseonError):
    """The sighting is not stored."""


@dataclass(frozen=True)
class Sought:
    """A person sought, as a watch keeps it."""

    embedding: np.ndarray | None  # float32 [feature], unit length; None: the description alone says who it is
    description: dict[str, GroupQuery]
    cameras: list[CameraKey] | None  # None: all
    model_version: str
    seen: Sequence[Seen] = ()  # where and when, by `seen_at` and confirmed sightings


@dataclass(frozen=True)
class SearchServiceSettings:
    """Settings of searches and routes."""

    limits: SearchLimits
    search: SearchSettings
    route: RouteSettings


class SearchService(Connected):
    """Searches, routes and what is stored, over the engines and the store of one deployment.

    Safe to share between threads.

    Args:
        settings: of searches and routes.
        reach_engines, open_store, configuration: as `Connected`.
    """

    def __init__(
        self,
        settings: SearchServiceSettings,
        reach_engines: Callable[[], SearchEngines],
        open_store: Callable[[], Store],
        configuration: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__(reach_engines, open_store, configuration)
        compile_now()
        self._settings = settings
        self._limits = settings.limits
        self._photos = SearchedPhotos(settings.limits)

    def close(self) -> None:
        """Close the store, and end the decoders of photos."""
        super().close()
        self._photos.close()

    @property
    def limits(self) -> SearchLimits:
        """Limits of a search."""
        return self._limits

    def cameras(self, among: Collection[str] | None = None) -> list[StoredCamera]:
        """Cameras whose sightings are stored, by district and id; of districts `among` some, or of all.

        Raises:
            NotReadyError: if the service is not ready.
        """
        with self.ready_store().begin() as connection:
            districts, away = stored_districts(connection, among), cameras_away(connection)
        return [
            StoredCamera(district=district.name, away_since=away.get((district.name, camera.id)), **dict(camera))
            for district in districts
            for camera in district.cameras
        ]

    def named_cameras(self) -> dict[CameraKey, NamedCamera]:
        """Name and time zone of each camera, for files that people read.

        Raises:
            NotReadyError: if the service is not ready.
        """
        return {
            (district.name, camera.id): NamedCamera(camera.name, ZoneInfo(district.time_zone))
            for district in self.districts()
            for camera in district.cameras
        }

    def districts(self, among: Collection[str] | None = None) -> list[StoredDistrict]:
        """Districts whose sightings are stored, or those `among` some.

        Raises:
            NotReadyError: if the service is not ready.
        """
        with self.ready_store().begin() as connection:
            return stored_districts(connection, among)

    def attribute_schema(self) -> AttributeSchema | None:
        """Attributes that describe people; None without an attribute engine."""
        return self._engines.perception.attribute_schema if self._engines is not None else None

    def crop(self, sighting: SightingId) -> bytes:
        """The crop of a sighting, a JPEG file.

        Raises:
            UnknownSightingError: if it is not stored.
            NotReadyError: if the store does not open.
        """
        store = self.store()
        with store.begin() as connection:
            crop = queries.crop_of(connection, sighting.district, sighting.tracklet_id)
        if crop is not None:
            try:
                return store.crops.read(crop)
            except FileNotFoundError as error:
                _log.error("a sighting must have its crop: %s", error)
            except ArtifactError as error:
                _log.error("%s", error)
        raise UnknownSightingError(
            f"a crop must be of a stored sighting, got {sighting.district}/{sighting.tracklet_id}"
        )

    def route(
        self,
        request: RouteRequest,
        left_out: Collection[SightingKey] = (),
        districts: Collection[str] | None = None,
    ) -> RouteAnswer:
        """The likeliest walk through the confirmed sightings and, if requested, through likely ones; with alternatives.

        Args:
            request: the route.
            left_out: sightings through which it does not go unless they are confirmed.
            districts: of the cameras, as if there were no others; None for all.

        Raises:
            InputError: if a sighting is not stored, there are too many sightings, or the scope holds no camera, whether
                or not the route is filled.
            NotReadyError: if the service is not ready.
        """
        self._require_few(request.sightings, request.rejected)
        if not request.sightings:
            raise InputError("a route must have a confirmed sighting, got none", code="no_confirmed")
        store = self.ready_store()
        cameras = select_cameras(store, request.cameras, request.area, districts)
        seen = self._seen(store, request.seen_at, districts)
        models = self.models()
        engines = models[0]
        with store.begin() as connection:
            stored = stored_sightings(connection, _keys(request.sightings))
            attributes = queries.attributes(connection, stored, engines.perception.attributes_version)
        confirmed = [
            hit_of(one, described, distance=0.0, probability=1.0, confirmed=True)
            for one, described in zip(stored, attributes, strict=True)
        ]
        hits: list[Hit] = []
        coverage = None
        if request.fill:
            hits = search_with(
                store,
                self._settings.search,
                models,
                TrackletFilter(cameras, request.since, request.until),
                confirmed=_keys(request.sightings),
                rejected=_keys(request.rejected),
                left_out=left_out,
                seen_at=seen,
                top_k=self._limits.max_top_k,
            )
            coverage = self._short_coverage(store, cameras, request)
        settings = self._settings.route
        routes = likeliest_routes(
            hits, settings, confirmed=confirmed, most=settings.most_routes, transits=engines.transits
        )
        first, *others = [
            RouteFound(route=each.stops, log_odds=each.log_odds, relative_probability=share)
            for each, share in zip(routes, relative_probabilities(routes), strict=True)
        ]
        return RouteAnswer(
            **dict(first),
            model_version=engines.model_version,
            deployment_version=engines.deployment_version,
            told=sorted(map(_told, request.seen_at, seen), key=lambda stop: stop.time),
            left_out=[one for one in confirmed if one not in first.route],
            alternatives=others,
            coverage=coverage,
        )

    def where_next(
        self,
        request: WhereNextRequest,
        left_out: Collection[SightingKey] = (),
        districts: Collection[str] | None = None,
    ) -> WhereNextAnswer:
        """Where the person is next, from the last of the confirmed sightings and of what witnesses say.

        Args:
            request: the question.
            left_out: later sightings that are not the person's.
            districts: of the cameras, as if there were no others; None for all.

        Raises:
            InputError: without any of these, if a sighting is not stored, a camera does not exist, or the minutes are
                too many.
            NotReadyError: if the service is not ready.
        """
        self._require_few(request.sightings, request.rejected)
        store = self.ready_store()
        chosen = select_cameras(store, request.cameras, None, districts)
        with store.begin() as connection:
            stored = stored_sightings(connection, _keys(request.sightings))
            cameras = cameras_by_key(connection, districts)
        seen = [*map(seen_in, stored), *(seen_of(one, cameras) for one in request.seen_at)]
        if not seen:
            raise InputError("where next must have a confirmed sighting or seen_at, got none")
        last = max(seen, key=lambda one: one.time_s)
        minutes = whole_minutes(last, request.until)
        models = self.models()
        engines = models[0]
        scope = cameras if chosen is None else {key: cameras[key] for key in chosen}
        near = near_cameras(last, scope, engines.transits, minutes)
        since, until = moment_of(last), moment_of(last) + timedelta(minutes=minutes)
        hits: list[Hit] = []
        if request.sightings and near:
            hits = search_with(
                store,
                self._settings.search,
                models,
                TrackletFilter(list(near), since, until),
                confirmed=_keys(request.sightings),
                rejected=_keys(request.rejected),
                left_out=left_out,
                seen_at=[seen_of(one, cameras) for one in request.seen_at],
                top_k=self._limits.max_top_k,
            )
            hits = [hit for hit in hits if not hit.confirmed and hit.match_probability >= _MAYBE]
        coverage = self._coverage(store, list(near), SearchScope(since=since, until=until)) if near else None
        searched = searched_minutes(last, near, coverage, minutes) if coverage else np.zeros((len(near), minutes))
        listed, unseen, areas = expected(last, near, engines.transits, searched, maybe_there(last, near, hits, minutes))
        return WhereNextAnswer(
            model_version=engines.model_version,
            deployment_version=engines.deployment_version,
            last=last_seen(last),
            cameras=listed,
            unseen=unseen,
            areas=areas,
            sightings=hits,
            coverage=shorten_coverage(coverage) if coverage is not None else None,
        )

    def search(
        self,
        request: SearchRequest,
        left_out: Collection[SightingKey] = (),
        districts: Collection[str] | None = None,
        *,
        slowly: bool = False,
    ) -> SearchAnswer:
        """Sightings of the person of `request`, likeliest first.

        Photos are decoded one after the other: at any time a search has the pixels of one photo in memory.

        Args:
            request: the search.
            left_out: sightings that are not answered, besides the rejected ones.
            districts: of the cameras to search, as if there were no others; None for all.
            slowly: whether decoding the photos may take `max_decoding_s` of processor time, one slow search after the
                other; else half a second.

        Raises:
            InputError: if there is nothing to search by, a photo is no usable picture, the scope holds no camera, a
                sighting, group or label does not exist, or a limit is exceeded.
            SlowPhotoError: if the photos take longer, and might not with `slowly`.
            NotReadyError: if the service is not ready.
            EnginesAwayError: if the engines stopped during the search.
            OverdueError: if the deadline of the request has passed.
        """
        if not (request.photos or request.attributes or request.confirmed or request.like):
            raise InputError(
                "a search must be multipart/form-data with a file photo, attributes or confirmed sightings, got none",
                code="no_question",
            )
        began = perf_counter()
        marked = self._marked_boxes(request)
        self._require_few(request.confirmed, [*request.rejected, *request.like])
        store = self.ready_store()
        description = self._describe(request.attributes, request.top_k)
        cameras = select_cameras(store, request.cameras, request.area, districts)
        seen_at = self._seen(store, request.seen_at, districts)
        models = self.models()
        with self.using_engines():
            people = list(self._photos.people(models, request.photos, marked, slowly=slowly))
            embeddings = [
                engines.embed([photo.crops[place] for photo in people]) if people else None
                for place, engines in enumerate(models)
            ]
        require_time()
        hits = search_with(
            store,
            self._settings.search,
            models,
            TrackletFilter(cameras, request.since, request.until),
            embeddings,
            description=description,
            confirmed=_keys(request.confirmed),
            rejected=_keys(request.rejected),
            left_out=left_out,
            like=_keys(request.like),
            seen_at=seen_at,
            top_k=request.top_k or self._limits.top_k,
        )
        coverage = self._coverage_of_search(store, cameras, request)
        kind = "photo" if _is_by_appearance(request) else "attributes"
        SEARCH_SECONDS.labels(kind).observe(perf_counter() - began)
        return SearchAnswer(
            model_version=models[0].model_version,
            deployment_version=models[0].deployment_version,
            people_xyxy=[photo.selected for photo in people],
            detected_xyxy=[photo.detected for photo in people],
            sightings=hits,
            coverage=coverage,
            next_question=self._next_question(hits, description),
        )

    def people_in(self, photo: bytes, *, slowly: bool = False) -> PhotoAnswer:
        """People in a photo, as a search with it finds them.

        Args:
            photo: the file.
            slowly: as `search`.

        Raises:
            InputError, SlowPhotoError, NotReadyError, EnginesAwayError, OverdueError: as `search`.
        """
        with self.using_engines():
            (seen,) = self._photos.people([self.running_engines()], [photo], [None], slowly=slowly)
        width, height = seen.size
        return PhotoAnswer(
            width_px=width,
            height_px=height,
            detected_xyxy=[list(box) for box in seen.detected],
            selected_xyxy=None if seen.selected is None else list(seen.selected),
        )

    def sought(
        self, request: SearchRequest, districts: Collection[str] | None = None, *, slowly: bool = False
    ) -> Sought:
        """Who `request` searches for, and where, without searching; the arguments are those of `search`.

        Raises:
            InputError, SlowPhotoError, NotReadyError, EnginesAwayError, OverdueError: as `search`.
        """
        if not (request.photos or request.attributes or request.confirmed):
            raise InputError(
                "a watch must have a file photo, attributes or confirmed sightings, got none", code="no_question"
            )
        marked = self._marked_boxes(request)
        self._require_few(request.confirmed, request.rejected)
        store, engines = self.ready_store(), self.engines()
        description = self._describe(request.attributes, request.top_k)
        cameras = select_cameras(store, request.cameras, request.area, districts)
        seen_at = self._seen(store, request.seen_at, districts)
        with store.begin() as connection:
            confirmed = stored_sightings(connection, _keys(request.confirmed))
            embedded = queries.embedded(connection, confirmed, engines.model_version)
        known = {(one.district, one.id) for one in embedded}
        lacking = [one for one in confirmed if (one.district, one.id) not in known]
        with self.using_engines():
            person = [*(one.embedding for one in embedded), *embed_stored(store, engines, lacking)]
            if request.photos:
                people = self._photos.people([engines], request.photos, marked, slowly=slowly)
                person.append(unit_length(engines.embed([each.crops[0] for each in people]).mean(axis=0)))
        if not (person or description):
            raise InputError("confirmed sightings must be of the service's model, got only sightings of other models")
        embedding = unit_length(np.mean(person, axis=0)) if person else None
        return Sought(embedding, description, cameras, engines.model_version, [*seen_at, *map(seen_in, confirmed)])

    def read_sentence(self, text: str, districts: Collection[str] | None = None) -> SentenceAnswer:
        """Conditions that a Korean or English sentence about a person says; times are of now, at the cameras.

        Cameras are those of `districts`, or all.

        Raises:
            InputError: if the service has no attribute engine.
            NotReadyError: if the service is not ready.
        """
        schema = self.running_engines().perception.attribute_schema
        if schema is None:
            raise InputError(
                "a sentence can be read only by a service with an attribute engine; this one has none",
                code="no_attributes",
            )
        return read_sentence(text, schema, self.districts(districts), datetime.now(UTC))

    def _next_question(self, hits: Sequence[Hit], description: Collection[str]) -> QuestionToAsk | None:
        schema = self.attribute_schema()
        if schema is None:
            return None
        best = next_question([(hit.match_probability, hit.attributes) for hit in hits], schema, description)
        return QuestionToAsk(group=best.group, bits=best.bits) if best is not None else None

    def coverage(self, scope: SearchScope, districts: Collection[str] | None = None) -> Coverage:
        """Searchable and missing times of the cameras in `scope`, see `serving.search.coverage.coverage_of`.

        Of cameras in `districts`, or in all.

        Raises:
            InputError: if a camera does not exist, none is in the area, or the window ends before it begins.
            NotReadyError: if the service is not ready.
        """
        store = self.ready_store()
        return self._coverage(store, select_cameras(store, scope.cameras, scope.area, districts), scope)

    def _coverage(self, store: Store, cameras: Collection[CameraKey] | None, scope: SearchScope) -> Coverage:
        first, *others = [engines.model_version for engines in self.models()]
        return coverage_of(store, first, cameras, scope.since, scope.until, also=others)

    def _short_coverage(self, store: Store, cameras: Collection[CameraKey] | None, scope: SearchScope) -> Coverage:
        return shorten_coverage(self._coverage(store, cameras, scope))

    def _coverage_of_search(
        self, store: Store, cameras: Collection[CameraKey] | None, request: SearchRequest
    ) -> Coverage:
        """Coverage of `request`; words alone search sightings of all models."""
        if _is_by_appearance(request):
            return self._short_coverage(store, cameras, request)
        return shorten_coverage(coverage_of(store, None, cameras, request.since, request.until))

    def _seen(self, store: Store, told: Sequence[SeenAt], districts: Collection[str] | None) -> list[Seen]:
        if not told:
            return []
        with store.begin() as connection:
            cameras = cameras_by_key(connection, districts)
        return [seen_of(one, cameras) for one in told]

    def _describe(self, attributes: Question, top_k: int | None) -> dict[str, GroupQuery]:
        if top_k is not None and not 1 <= top_k <= self._limits.max_top_k:
            raise InputError(f"top_k must be 1 to {self._limits.max_top_k}, got {top_k}")
        if not attributes:
            return {}
        schema = self.attribute_schema()
        if schema is None:
            raise InputError("attributes must be left out: this service has no attribute engine", code="no_attributes")
        return read_description(attributes, schema)

    def _marked_boxes(self, request: SearchRequest) -> Sequence[Box | None]:
        """A box or None for each photo."""
        most, num_photos, boxes = self._limits.max_photos, len(request.photos), request.people_xyxy
        if num_photos > most:
            raise InputError(f"a search must have at most {most} photos, got {num_photos}", code="photos_many")
        if boxes is None:
            return [None] * num_photos
        if len(boxes) != num_photos:
            raise InputError(f"people_xyxy must have one box or null per photo, got {len(boxes)} for {num_photos}")
        return boxes

    def _require_few(self, confirmed: Sequence[SightingId], rejected: Sequence[SightingId]) -> None:
        most, number = self._limits.max_top_k, len(confirmed) + len(rejected)
        if number > most:
            raise InputError(
                f"a request must have at most {most} confirmed and rejected sightings, got {number}", code="judged_many"
            )


def _is_by_appearance(request: SearchRequest) -> bool:
    return bool(request.photos or request.confirmed or request.like)


def _told(told: SeenAt, seen: Seen) -> ToldStop:
    return ToldStop(**dict(told), latitude=seen.latitude, longitude=seen.longitude)


def _keys(sightings: Sequence[SightingId]) -> set[SightingKey]:
    return {(sighting.district, sighting.tracklet_id) for sighting in sightings}
