"""What the service does: search the store for the person of a photo or description, and join sightings to a route."""

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import perf_counter
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from domain.attributes import AttributeSchema
from domain.cameras import Camera, Sighting
from domain.errors import ArtifactError, DongseonError, InputError
from domain.images import crop_boxes
from evaluation.reranking import k_reciprocal_distances
from export.engines.engine import Engine
from serving import audit
from serving.audit import Action
from serving.metrics import SEARCH_SECONDS, STAGE_SECONDS
from serving.perception import Perception, open_engine
from serving.photo import decode_photo
from serving.route import likeliest_route
from serving.search import Searcher, sighting_of
from serving.service_settings import Deployment
from serving.store import Store, StoredDistrict, open_store, version_of_model

_log = logging.getLogger(__name__)

District = Annotated[str, Field(pattern=r"^[^\x00]+$")]  # what a column of text can hold
TrackletId = Annotated[int, Field(ge=0, le=2**63 - 1)]


class NotReadyError(DongseonError):
    """The service cannot search yet; the message says why."""


class UnknownSightingError(DongseonError):
    """No such sighting is stored."""


class SearchAnswer(BaseModel):
    """What a search answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_version: str
    person_xyxy: (
        tuple[float, float, float, float] | None
    )  # who was searched, pixels of the photo; None: all of it, or no photo
    sightings: list[Sighting]  # nearest first


class SightingId(BaseModel):
    """Which sighting is meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: District
    tracklet_id: TrackletId


class RouteRequest(BaseModel):
    """Sightings that a person has confirmed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sightings: list[SightingId]


class RouteAnswer(BaseModel):
    """The way that joins them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: list[Sighting]  # in order of time
    left_out: list[Sighting]  # nobody on foot can have been there as well


class EngineStatus(BaseModel):
    """An engine that runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    district: str
    runtime: str
    precision: str
    notice: str  # why ONNX Runtime runs on a machine with a GPU; else empty


class Status(BaseModel):
    """How the service is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ready: bool
    reason: str | None  # why it is not ready
    model_version: str | None
    engines: dict[str, EngineStatus]


class PhotoSearch:
    """Engines and store of one deployment; safe to share between threads.

    An engine that does not load, or a store that does not open, is a reason not to be ready, not a crash: the service
    stays up and says what is missing. Engines are loaded once; the store is tried again at each question.
    """

    def __init__(self, deployment: Deployment) -> None:
        """Load and warm up the engines."""
        self._deployment = deployment
        self._limits = deployment.settings.service
        self._engines: dict[str, Engine] = {}
        self._perception: Perception | None = None
        self._model_version: str | None = None
        self._failure: str | None = None
        self._store: Store | None = None
        self._store_lock = threading.Lock()
        self._last_reason: str | None = None
        try:
            self._load_engines()
        except DongseonError as error:
            self._failure = str(error)

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
                    self._store = open_store(self._deployment.store)
                except DongseonError as error:
                    raise NotReadyError(str(error)) from error
                with self._store.begin() as connection:
                    running = self._deployment.described() | {"model_version": self._model_version}
                    audit.append_change(connection, Action.CONFIGURATION, running)
            return self._store

    def reason_not_ready(self) -> str | None:
        """None when engines and store are there and fit together; logged when it changes."""
        reason = self._failure or self._reason_of_store()
        if reason != self._last_reason:
            if reason:
                _log.warning("not ready: %s", reason)
            else:
                _log.info("ready: searching sightings of the model %s", self._model_version)
            self._last_reason = reason
        return reason

    def status(self) -> Status:
        """Whether it can search, and with which engines."""
        reason = self.reason_not_ready()
        engines = {name: _engine_status(engine) for name, engine in self._engines.items()}
        return Status(ready=reason is None, reason=reason, model_version=self._model_version, engines=engines)

    def cameras(self) -> list[Camera]:
        """Cameras whose sightings are stored.

        Raises:
            NotReadyError: if the service is not ready.
        """
        return self._ready_store().cameras()

    def districts(self) -> list[StoredDistrict]:
        """Districts whose sightings are stored.

        Raises:
            NotReadyError: if the service is not ready.
        """
        return self._ready_store().districts()

    def attribute_schema(self) -> AttributeSchema | None:
        """By what people are described; None without an attribute engine."""
        name = self._deployment.attributes
        return self._engines[name].card.attribute_schema if name in self._engines else None

    def crop(self, wanted: SightingId) -> bytes:
        """The picture of a sighting, a JPEG file.

        Raises:
            UnknownSightingError: if it is not stored.
            NotReadyError: if the service is not ready.
        """
        store = self._ready_store()
        for one in store.tracklets([(wanted.district, wanted.tracklet_id)]):
            try:
                return store.crops.read(one.crop)
            except FileNotFoundError as error:
                _log.error("a sighting must have its crop: %s", error)
            except ArtifactError as error:
                _log.error("%s", error)
        raise UnknownSightingError(f"a crop must be of a stored sighting, got {wanted.district}/{wanted.tracklet_id}")

    def route(self, confirmed: Sequence[SightingId]) -> RouteAnswer:
        """The longest walk through sightings that are certain to show one person.

        Raises:
            InputError: if one of them is not stored, or they are too many.
            NotReadyError: if the service is not ready.
        """
        if not 1 <= len(confirmed) <= self._limits.max_top_k:
            raise InputError(f"a route must have 1 to {self._limits.max_top_k} sightings, got {len(confirmed)}")
        asked = {(one.district, one.tracklet_id) for one in confirmed}
        found = self._ready_store().tracklets(asked)
        strange = sorted(asked - {(one.district, one.id) for one in found})
        if strange:
            raise InputError(
                f"sightings must be stored ones, got {', '.join(f'{name}/{id_}' for name, id_ in strange)}"
            )
        sightings = [sighting_of(one, distance=0.0, probability=1.0) for one in found]
        route = likeliest_route(sightings, self._deployment.settings.route)
        return RouteAnswer(route=route, left_out=[one for one in sightings if one not in route])

    def search(
        self,
        photo: bytes | None,
        *,
        attributes: Mapping[str, str] | None = None,
        top_k: int | None = None,
        cameras: Sequence[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> SearchAnswer:
        """Sightings of the person in `photo`, a picture file, or of whom `attributes` describe, nearest first.

        The photo may be a crop of a person or a scene. Of the people that the detector finds, the one is searched whose
        box is largest and most certain (area × score); where it finds nobody, the whole photo is taken for the person.

        Raises:
            InputError: if the photo is no usable picture, a filter names what does not exist, or there is neither photo
                nor attribute.
            NotReadyError: if the service is not ready.
        """
        if photo is None and not attributes:
            raise InputError("a search must be multipart/form-data with a file photo, attributes, or both, got neither")
        began = perf_counter()
        image = None if photo is None else decode_photo(photo, self._limits.max_photo_pixels)
        self._check_request(attributes or {}, top_k)
        store = self._ready_store()
        if cameras is not None:
            _check_cameras(cameras, store)
        assert self._perception is not None, "a ready service has engines"
        assert self._model_version is not None, "a ready service has engines"
        box = None if image is None else _largest_person(self._perception, image)
        embedding = None if image is None else _embedding_of(self._perception, image, box)
        searcher = Searcher(
            store, self._perception.match_distance, self._deployment.settings.search, self._model_version
        )
        sightings = searcher.search(
            embedding, attributes, top_k=top_k or self._limits.top_k, cameras=cameras, since=since, until=until
        )
        person = None if box is None else box.round(1).tolist()
        SEARCH_SECONDS.labels("attributes" if photo is None else "photo").observe(perf_counter() - began)
        return SearchAnswer(model_version=self._model_version, person_xyxy=person, sightings=sightings)

    def _load_engines(self) -> None:
        wanted = self._deployment
        for name, task in ((wanted.detector, "detector"), (wanted.attributes, "attributes"), (wanted.reid, "reid")):
            if name is not None:
                engine = open_engine(wanted.engine(name), task, wanted.perception.without_plan)
                assert isinstance(engine, Engine), "export.engines.load gives these"
                self._engines[name] = engine
        reid = self._engines[wanted.reid]
        described = self._engines[wanted.attributes] if wanted.attributes is not None else None
        perception = Perception(self._engines[wanted.detector], reid, described, wanted.perception)
        _warm_up(perception)
        self._model_version = version_of_model(reid.card)
        self._perception = perception

    def _reason_of_store(self) -> str | None:
        assert self._model_version is not None, "asked only when the engines are loaded"
        try:
            return self.store().is_ready(self._model_version)
        except DongseonError as error:
            return str(error)

    def _ready_store(self) -> Store:
        reason = self.reason_not_ready()
        if reason:
            raise NotReadyError(reason)
        return self.store()

    def _check_request(self, attributes: Mapping[str, str], top_k: int | None) -> None:
        if top_k is not None and not 1 <= top_k <= self._limits.max_top_k:
            raise InputError(f"top_k must be 1 to {self._limits.max_top_k}, got {top_k}")
        if not attributes:
            return
        schema = self.attribute_schema()
        if schema is None:
            raise InputError("attributes must be left out: this service has no attribute engine")
        for group, label in attributes.items():
            labels = schema.group(group).label_names
            if label not in labels:
                raise InputError(f"the attribute {group} must be one of {', '.join(labels)}, got {label!r}")


def _check_cameras(wanted: Sequence[str], store: Store) -> None:
    known = [camera.id for camera in store.cameras()]
    strange = sorted(set(wanted) - set(known))
    if strange:
        raise InputError(f"cameras must be among {', '.join(known)}, got {', '.join(map(repr, strange))}")


def _crop_of(image: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    return image if box is None else crop_boxes(image, box[None])[0]


@STAGE_SECONDS.labels("embed").time()
def _embedding_of(perception: Perception, image: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    return perception.embed([_crop_of(image, box)])[0]


@STAGE_SECONDS.labels("detect").time()
def _largest_person(perception: Perception, image: np.ndarray) -> np.ndarray | None:
    found = perception.detect([image])[0]
    boxes, scores = found.boxes_xyxy, found.scores
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    worth = np.where(scores >= perception.strong_score, areas * scores, 0.0)
    return boxes[worth.argmax()] if worth.any() else None


def _warm_up(perception: Perception) -> None:
    """Compile and allocate now, so that the first search is not the slow one."""
    grey = np.full((64, 32, 3), 128, np.uint8)
    perception.detect([grey])
    perception.attributes([grey])
    embedding = perception.embed([grey])
    k_reciprocal_distances(embedding, np.repeat(embedding, 3, axis=0))


def _engine_status(engine: Engine) -> EngineStatus:
    return EngineStatus(
        architecture=engine.card.architecture,
        district=engine.card.district,
        runtime=engine.file.runtime,
        precision=engine.file.precision,
        notice=engine.notice,
    )
