"""The typed HTTP interface under /v1: decode, delegate, encode.

A Starlette application mounted in the BentoML service. BentoML's own endpoints (`@bentoml.api`) are not used here:
they answer POST only, fetch a file field that holds an address from the network, and fail with 500 on form fields that
are not UTF-8; and what a hostile upload gets must be ours to say.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from domain.errors import InputError
from serving.photo_search import NotReadyError, RouteRequest, SightingId, UnknownSightingError

_FIELDS = ("photo", "top_k", "attributes", "cameras", "since", "until")
_T = TypeVar("_T")


def build_api() -> Starlette:
    """The application; set its `state.photo_search` (a `PhotoSearch`), `state.max_upload_bytes` and `state.threads`."""
    return Starlette(
        routes=[
            Route("/search", _search, methods=["POST"]),
            Route("/route", _route, methods=["POST"]),
            Route("/crops/{district}/{tracklet_id}", _crop),
            Route("/cameras", _cameras),
            Route("/status", _status),
        ],
        exception_handlers={
            InputError: _answer_with(400),
            UnknownSightingError: _answer_with(404),
            NotReadyError: _answer_with(503),
            HTTPException: _http_error,
        },
    )


async def _search(request: Request) -> Response:
    """POST /v1/search, multipart: a file `photo`; fields `top_k`, `attributes`, `cameras`, `since`, `until`."""
    form = await _read_form(request)
    photo = form.get("photo")
    if isinstance(photo, str):
        raise InputError("the field photo must hold a file, got text")
    content = await photo.read() if photo is not None else None
    found = request.app.state.photo_search
    answer = await _in_thread(request, lambda: found.search(content, **_options(form)))
    return _json(answer)


async def _route(request: Request) -> Response:
    """POST /v1/route, JSON: `{"sightings": [{"district": …, "tracklet_id": …}, …]}`, those that a person confirmed."""
    body = await _limited(request).body()
    try:
        asked = RouteRequest.model_validate_json(body)
    except ValidationError as error:
        example = '{"sightings": [{"district": "demo", "tracklet_id": 1}]}'
        raise InputError(f"the request must be JSON such as {example}: {error.errors()[0]['msg']}") from error
    found = request.app.state.photo_search
    return _json(await _in_thread(request, lambda: found.route(asked.sightings)))


async def _crop(request: Request) -> Response:
    """GET /v1/crops/<district>/<tracklet_id>: the picture of a sighting, which no cache may keep."""
    try:
        wanted = SightingId.model_validate(request.path_params)
    except ValidationError as error:
        raise HTTPException(404) from error
    found = request.app.state.photo_search
    file = await _in_thread(request, lambda: found.crop(wanted))
    return FileResponse(file, headers={"Cache-Control": "private, no-store"})


async def _cameras(request: Request) -> Response:
    """GET /v1/cameras."""
    cameras = await _in_thread(request, request.app.state.photo_search.cameras)
    return JSONResponse({"cameras": [camera.model_dump(mode="json") for camera in cameras]})


async def _status(request: Request) -> Response:
    """GET /v1/status."""
    return _json(await _in_thread(request, request.app.state.photo_search.status))


async def _in_thread(request: Request, work: Callable[[], _T]) -> _T:
    state = request.app.state
    if not hasattr(state, "limiter"):
        state.limiter = CapacityLimiter(state.threads)
    return await anyio.to_thread.run_sync(work, limiter=state.limiter)


async def _read_form(request: Request) -> FormData:
    """The form of a request whose body is at most as long as allowed; it is cut off where it gets longer."""
    form = await _limited(request).form(max_files=1, max_fields=len(_FIELDS))
    strange = sorted(set(form) - set(_FIELDS))
    if strange:
        raise InputError(f"form fields must be among {', '.join(_FIELDS)}, got {', '.join(map(repr, strange))}")
    return form


def _limited(request: Request) -> Request:
    most = request.app.state.max_upload_bytes
    got = 0

    async def receive_limited() -> Message:
        nonlocal got
        message = await request.receive()
        got += len(message.get("body", b""))
        if got > most:
            raise InputError(f"the request with its photo must have at most {most} bytes, got more")
        return message

    return Request(request.scope, receive_limited)


def _options(form: FormData) -> dict[str, Any]:
    fields = {name: value for name, value in form.items() if name != "photo"}
    files = [name for name, value in fields.items() if not isinstance(value, str)]
    if files:
        raise InputError(f"only the field photo may hold a file, got one in {', '.join(files)}")
    texts: dict[str, str] = {name: str(value).strip() for name, value in fields.items()}
    readers: Mapping[str, Callable[[str, str], Any]] = {
        "top_k": _whole_number,
        "attributes": _labels,
        "cameras": _names,
        "since": _moment,
        "until": _moment,
    }
    return {name: readers[name](name, text) for name, text in texts.items() if text}


def _whole_number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"{name} must be a whole number, got {text[:40]!r}")
    return int(text)


def _labels(name: str, text: str) -> dict[str, str]:
    try:
        labels = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f'{name} must be JSON such as {{"bag": "backpack"}}, got {text[:40]!r}') from error
    if not isinstance(labels, dict) or not all(isinstance(label, str) for label in labels.values()):
        raise InputError(f'{name} must be JSON such as {{"bag": "backpack"}}, got {text[:40]!r}')
    return labels


def _names(_: str, text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{name} must be a time such as 2026-05-01T09:00:00+09:00, got {text[:40]!r}") from error
    if moment.tzinfo is None:
        raise InputError(f"{name} must have a time zone, such as 2026-05-01T09:00:00+09:00, got {text[:40]!r}")
    return moment


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


def _answer_with(status: int) -> Callable[[Request, Exception], Response]:
    def answer(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code=status)

    return answer


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this kind only"
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)
