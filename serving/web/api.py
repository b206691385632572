"""The typed HTTP interface under /v1: decode, delegate, encode. Its OpenAPI document is /v1/openapi.json.

A FastAPI application mounted in the BentoML service. BentoML's own endpoints (`@bentoml.api`) are not used: they answer
POST only, fetch a file from the network if a file field holds an address, and fail with 500 on form fields that are not
UTF-8; and the answer to a hostile upload must be ours. There is no page of documentation, as FastAPI's loads scripts
from the network.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Form, Path, Query, Request, Response, UploadFile
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Json, RootModel

from domain.errors import InputError
from domain.moments import Moment
from domain.names import Name
from domain.texts import AtMost
from serving.access.accounts import Account
from serving.cases.question import keep_photos
from serving.cases.searches import RecordedRequest, record_route, record_search, record_view, record_where_next
from serving.cases.standing import left_out_for, require_confirmed
from serving.cases.visible import open_case_of, require_in_view
from serving.matching.description import Label, LabelQuestion
from serving.matching.route_files import routes_csv, routes_geojson
from serving.search.camera_filter import Area
from serving.search.coverage import Coverage
from serving.search.messages import (
    MOST_ITEMS,
    PhotoAnswer,
    RouteAnswer,
    RouteRequest,
    SearchAnswer,
    SearchRequest,
    SearchScope,
    SentenceAnswer,
    SightingId,
    Status,
    StoredCamera,
    TrackletId,
    WhereNextAnswer,
    WhereNextRequest,
)
from serving.search.person_selection import Box
from serving.search.photo import SlowPhotoError
from serving.search.search import SightingKey
from serving.search.seen_at import MOST_SEEN_AT, SeenAt
from serving.search.service import Sought
from serving.watching.watcher import Estimate, Watcher
from serving.watching.watches import WatchAnswer, open_watch
from serving.web import case_api, footage_api, question_api, sheet_api, trail_api, watch_api
from serving.web.case_api import CaseId, Text
from serving.web.dependencies import (
    CurrentAccount,
    SearchService,
    in_search_thread,
    in_slow_thread,
    in_thread,
    in_transaction,
)
from serving.web.errors import add_error_answers, declared
from serving.web.map_layer import read_map_layer
from serving.web.middleware.upload_limit import UploadLimit

_ROUTE_TYPES = {"json": "application/json", "geojson": "application/geo+json", "csv": "text/csv"}
_router = APIRouter()


def _each_once(names: str) -> str:
    return ",".join(dict.fromkeys(name.strip() for name in names.split(",")))


_SENTENCE_LETTERS = 500
MOST_WATCH_HOURS = 30 * 24
_MOST_LEFT_OUT = 1000  # rejected sightings of a case
_JSON_LETTERS = 100_000  # of a form field
_CameraNames = Annotated[
    list[Annotated[str, AtMost(129)]],  # <district>/<camera>
    Field(max_length=MOST_ITEMS),
    AfterValidator(lambda names: list(dict.fromkeys(names))),
]
_CommaSeparated = Annotated[str, AtMost(100_000), AfterValidator(_each_once)]
_Boxes = Annotated[list[Box | None], Field(max_length=100)]
_Sightings = Annotated[list[SightingId], Field(max_length=MOST_ITEMS)]
_SeenAt = Annotated[list[SeenAt], Field(max_length=MOST_SEEN_AT)]
_Attributes = Annotated[dict[Label, LabelQuestion], Field(max_length=100)]


class MarkedBoxes(RootModel[_Boxes]):
    """One box [left, top, right, bottom] in pixels per photo; null where the person is not marked."""


class CaseSightings(RootModel[_Sightings]):
    """Sightings of the case."""


class SeenAtPlaces(RootModel[_SeenAt]):
    """Where and when the person was seen."""


class ScopeFields(BaseModel):
    """Cameras and times to search, as fields of a query or form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cameras: _CommaSeparated | None = None  # district/camera
    area: Annotated[Json[Area], AtMost(1000)] | None = None  # cameras in this circle only
    since: Moment | None = None
    until: Moment | None = None

    def scope(self) -> SearchScope:
        """The same, with cameras as a list."""
        cameras = self.cameras.split(",") if self.cameras is not None else None
        return SearchScope(cameras=cameras, area=self.area, since=self.since, until=self.until)


class SearchForm(ScopeFields):
    """A search for a person, with its case and reason."""

    case: CaseId
    reason: Text
    photo: list[UploadFile] = Field(default=[], max_length=100)  # of the same person
    people_xyxy: Annotated[Json[MarkedBoxes], AtMost(_JSON_LETTERS)] | None = None  # the person in each photo
    top_k: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    attributes: Annotated[Json[_Attributes], AtMost(_JSON_LETTERS)] | None = None  # group -> label or question
    seen_at: Annotated[Json[SeenAtPlaces], AtMost(_JSON_LETTERS)] = SeenAtPlaces([])  # besides confirmed sightings
    # Sightings of the person, searched for like the photos, and of other people
    confirmed: Annotated[Json[CaseSightings], AtMost(_JSON_LETTERS)] = CaseSightings([])
    rejected: Annotated[Json[CaseSightings], AtMost(_JSON_LETTERS)] = CaseSightings([])
    like: Annotated[Json[CaseSightings], AtMost(_JSON_LETTERS)] = CaseSightings([])  # searched for, without verdict

    def request(self, photos: list[bytes]) -> SearchRequest:
        """The search for the person in `photos`, the files of `photo`."""
        return SearchRequest(
            photos=photos,
            people_xyxy=self.people_xyxy.root if self.people_xyxy is not None else None,
            attributes=self.attributes or {},
            confirmed=self.confirmed.root,
            rejected=self.rejected.root,
            like=self.like.root,
            seen_at=self.seen_at.root,
            top_k=self.top_k,
            **dict(self.scope()),
        )


class WatchForm(SearchForm):
    """A person to watch for, with the case and reason; it has no times but its end."""

    hours: Annotated[float, Field(gt=0, le=MOST_WATCH_HOURS, allow_inf_nan=False)] = 24
    min_probability: Annotated[float, Field(ge=0.01, le=0.9999)] = 0.9


class RouteForm(RouteRequest):
    """A route, with its case and reason."""

    case: CaseId
    reason: Text
    cameras: _CameraNames | None = None
    sightings: _Sightings  # confirmed
    rejected: _Sightings = Field(default=[])  # sightings of other people
    seen_at: _SeenAt = Field(default=[])  # stops that no camera saw
    since: Moment | None = None
    until: Moment | None = None


class PhotoForm(BaseModel):
    """A photo in which to choose a person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    photo: list[UploadFile] = Field(min_length=1, max_length=1)


class WhereNextForm(WhereNextRequest):
    """Where the person is next, with the case and reason."""

    case: CaseId
    reason: Text
    cameras: _CameraNames | None = None
    sightings: _Sightings = Field(default=[])  # confirmed
    rejected: _Sightings = Field(default=[])  # of other people
    seen_at: _SeenAt = Field(default=[])  # by witnesses
    until: Moment | None = None


class Sentence(BaseModel):
    """A sentence about the person, the place and the time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, AtMost(_SENTENCE_LETTERS)]


class CamerasAnswer(BaseModel):
    """Cameras with stored sightings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cameras: list[StoredCamera]


class MapLayer(BaseModel):
    """A GeoJSON FeatureCollection of lines and areas, without their properties."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["FeatureCollection"]
    features: list[dict[str, Any]]


def build_api() -> FastAPI:
    """The application.

    Set its `state.search_service` (a `SearchService`), `state.footage` (a `Footage`), `state.watcher` (a `Watcher`),
    `state.events_s` (longest answer of /alerts/events), `state.max_upload_bytes`, `state.threads`, `state.viewing`
    and `state.cases`.
    """
    api = _Api(
        title="Dongseon",
        description="Finds a person among the sightings of public cameras.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    others = (footage_api, watch_api, question_api, trail_api, sheet_api)
    for router in (_router, case_api.router, *(each.router for each in others)):
        api.include_router(router, responses=declared(401, 403, 429))  # answered by the middleware
    api.add_middleware(UploadLimit)
    add_error_answers(api)
    return api


class _Api(FastAPI):
    """FastAPI whose document leaves out the status 422, which `serving.web.errors` answers as 400 or 404."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(unused, None)
        return document


async def _each_field_once(request: Request) -> None:
    form = await request.form()  # FastAPI has read it
    repeated = sorted({name for name in form if name != "photo" and len(form.getlist(name)) > 1})
    if repeated:
        raise InputError(f"a form must have each field except photo only once, got several of {', '.join(repeated)}")


@_router.post("/search", dependencies=[Depends(_each_field_once)], responses=declared(400, 404, 408, 413, 503))
async def search(
    request: Request,
    service: SearchService,
    account: CurrentAccount,
    form: Annotated[SearchForm, Form(media_type="multipart/form-data")],
) -> SearchAnswer:
    """Sightings of the person that photos, confirmed sightings or attributes show; recorded with the case."""
    photos = [await _content(file) for file in form.photo]
    others = [*form.rejected.root, *form.like.root]
    left_out, districts = await in_transaction(request, _judged_in, account, form.case, form.confirmed.root, others)
    wanted = form.request(photos)
    try:
        answer = await in_search_thread(request, service.search, wanted, left_out, districts)
    except SlowPhotoError:
        answer = await in_slow_thread(request, service.search, wanted, left_out, districts, slowly=True)
    recorded = _recorded(form)
    digests = " ".join(hashlib.sha256(photo).hexdigest() for photo in photos) or None

    def record(connection: sa.Connection) -> None:
        if photos:
            keep_photos(connection, service.store().crops, account, form.case, photos)
        record_search(connection, account, recorded, digests, answer)

    await in_transaction(request, record)
    return answer


@_router.post("/photo", responses=declared(400, 408, 413, 503))
async def photo(
    request: Request, service: SearchService, form: Annotated[PhotoForm, Form(media_type="multipart/form-data")]
) -> PhotoAnswer:
    """People in a photo, to choose the person to search for. It searches nothing and keeps nothing."""
    content = await _content(form.photo[0])
    try:
        return await in_search_thread(request, service.people_in, content)
    except SlowPhotoError:
        return await in_slow_thread(request, service.people_in, content, slowly=True)


@_router.post(
    "/watches", status_code=201, dependencies=[Depends(_each_field_once)], responses=declared(400, 404, 408, 413, 503)
)
async def watch(
    request: Request,
    service: SearchService,
    account: CurrentAccount,
    form: Annotated[WatchForm, Form(media_type="multipart/form-data")],
) -> WatchAnswer:
    """Let the case watch for a person: sightings that are stored from now on are told."""
    sought = await _sought(request, service, account, form)
    expected = await in_search_thread(request, _watcher(request).estimate, sought)
    asked = _recorded(form).question
    alarms = expected.alarms_a_day(form.min_probability)
    return await in_transaction(
        request, open_watch, account, form.case, form.reason, asked, sought, form.hours, form.min_probability, alarms
    )


@_router.post(
    "/watches/estimate", dependencies=[Depends(_each_field_once)], responses=declared(400, 404, 408, 413, 503)
)
async def estimate(
    request: Request,
    service: SearchService,
    account: CurrentAccount,
    form: Annotated[WatchForm, Form(media_type="multipart/form-data")],
) -> Estimate:
    """How many alarms a day such a watch would have given on the last days with video."""
    return await in_search_thread(request, _watcher(request).estimate, await _sought(request, service, account, form))


async def _sought(request: Request, service: SearchService, account: CurrentAccount, form: WatchForm) -> Sought:
    if form.since or form.until or form.top_k:
        raise InputError("a watch looks at what is new: it must have hours, got since, until or top_k")
    photos = [await _content(file) for file in form.photo]
    judged = form.confirmed.root, form.rejected.root
    _, districts = await in_transaction(request, _judged_in, account, form.case, *judged)
    wanted = form.request(photos)
    try:
        return await in_search_thread(request, service.sought, wanted, districts)
    except SlowPhotoError:
        return await in_slow_thread(request, service.sought, wanted, districts, slowly=True)


def _watcher(request: Request) -> Watcher:
    watcher = request.app.state.watcher
    assert isinstance(watcher, Watcher), "serving.service sets it"
    return watcher


@_router.post("/sentence", responses=declared(400, 408, 413, 503))
async def sentence(request: Request, service: SearchService, account: CurrentAccount, said: Sentence) -> SentenceAnswer:
    """Conditions of a search that a Korean or English sentence says. It searches nothing."""
    return await in_search_thread(request, service.read_sentence, said.text, account.districts)


@_router.post(
    "/route",
    response_model=RouteAnswer,
    responses=declared(400, 404, 408, 413, 503) | {200: {"content": {kind: {} for kind in _ROUTE_TYPES.values()}}},
)
async def route(
    request: Request,
    service: SearchService,
    account: CurrentAccount,
    form: RouteForm,
    format: Literal["json", "geojson", "csv"] = "json",
) -> RouteAnswer | Response:
    """The likeliest walk through confirmed sightings, and alternatives. Filling in likely sightings is a search."""
    left_out, districts = await in_transaction(request, _judged_in, account, form.case, form.sightings, form.rejected)
    answer = await in_search_thread(request, service.route, form, left_out, districts)
    recorded = _recorded(form)
    await in_transaction(request, record_route, account, recorded, format, answer)
    if format == "json":
        return answer
    routes = [each.route for each in (answer, *answer.alternatives)]
    cameras = await in_thread(request, service.named_cameras)
    told = [stop.model_dump(mode="json", exclude_none=True) for stop in answer.told]
    text = json.dumps(routes_geojson(routes, cameras, told)) if format == "geojson" else routes_csv(routes, cameras)
    return Response(text, media_type=_ROUTE_TYPES[format])


@_router.post("/where-next", responses=declared(400, 404, 408, 413, 503))
async def where_next(
    request: Request, service: SearchService, account: CurrentAccount, form: WhereNextForm
) -> WhereNextAnswer:
    """Cameras and minutes with the probability that the person comes there next; recorded as a search of the case."""
    left_out, districts = await in_transaction(request, _judged_in, account, form.case, form.sightings, form.rejected)
    answer = await in_search_thread(request, service.where_next, form, left_out, districts)
    await in_transaction(request, record_where_next, account, _recorded(form), answer)
    return answer


@_router.get(
    "/crops/{district}/{tracklet_id}",
    response_class=Response,
    responses=declared(400, 404, 503)
    | {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def crop(
    request: Request,
    service: SearchService,
    account: CurrentAccount,
    district: Annotated[Name, Path()],
    tracklet_id: Annotated[TrackletId, Path()],
    case: Annotated[CaseId, Query()],
) -> Response:
    """The crop of a sighting that the case found or judged; no cache may keep it. A closed case shows judged ones."""
    sighting = SightingId(district=district, tracklet_id=tracklet_id)
    await in_transaction(request, require_in_view, account, case, sighting)
    picture = await in_thread(request, service.crop, sighting)
    await in_transaction(request, record_view, account, case, sighting)
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@_router.get("/cameras", responses=declared(503))
async def cameras(request: Request, service: SearchService, account: CurrentAccount) -> CamerasAnswer:
    """Cameras with stored sightings, of the account's districts."""
    return CamerasAnswer(cameras=await in_thread(request, service.cameras, account.districts))


@_router.get("/map", response_model=MapLayer, responses=declared(503))
async def map_layer(request: Request, service: SearchService) -> Response:
    """Lines and areas to draw below the cameras, a GeoJSON FeatureCollection; without features if there is no map."""
    layer = await in_thread(request, lambda: read_map_layer(service.store().folder))
    return Response(layer, media_type="application/json")


@_router.get("/coverage", responses=declared(400, 503))
async def coverage(
    request: Request, service: SearchService, account: CurrentAccount, fields: Annotated[ScopeFields, Query()]
) -> Coverage:
    """Times of the cameras that can be searched, and missing times with the reason; of the account's districts."""
    scope = fields.scope()
    return await in_search_thread(request, service.coverage, scope, account.districts)  # of many segments it takes long


@_router.get("/status", responses=declared(503))
async def status(request: Request, service: SearchService) -> Status:
    """Readiness, model version and engines of the service."""
    return await in_thread(request, service.status)


def _judged_in(
    connection: sa.Connection,
    account: Account,
    case_id: int,
    confirmed: Sequence[SightingId],
    others: Sequence[SightingId],
) -> tuple[frozenset[SightingKey], list[str] | None]:
    """Check that a request may use these sightings of its case; returns those that it leaves out, and its districts."""
    case = open_case_of(connection, account, case_id, [*confirmed, *others])
    require_confirmed(connection, case_id, confirmed)
    return left_out_for(connection, account, case_id, _MOST_LEFT_OUT), case.districts


async def _content(file: UploadFile) -> bytes:
    content = await file.read()
    await file.close()  # else the request holds its photos twice until it is answered
    return content


def _recorded(form: SearchForm | RouteForm | WhereNextForm) -> RecordedRequest:
    question = form.model_dump(mode="json", by_alias=True, exclude={"photo", "case", "reason"}, exclude_defaults=True)
    return RecordedRequest(case_id=form.case, reason=form.reason, question=question)
