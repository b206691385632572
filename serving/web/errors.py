"""Error answers of the HTTP interface: a status, and `{"error": …}` with the reason."""

import logging
import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from domain.deadline import OverdueError
from domain.errors import InputError, shown
from serving.cases.question import UnknownPhotoError
from serving.cases.visible import UnknownCaseError
from serving.database.damage import DamagedError
from serving.footage.clips import NoFootageError
from serving.perception.engine_calls import EnginesAwayError
from serving.search.connected import NotReadyError
from serving.search.photo import DecodersAwayError
from serving.search.service import UnknownSightingError
from serving.sheets.links import UnknownSheetError
from serving.watching.watches import UnknownWatchError
from serving.web.map_layer import UnusableMapError
from serving.web.middleware.refusals import mark_refused

_log = logging.getLogger(__name__)
_TRY_AGAIN = {"Retry-After": "1"}
_NOT_READY = {"Retry-After": "10"}  # seconds, from which the page sees that waiting a moment does not help
_PROGRAM_LIMIT = "54"  # class of PostgreSQL's errors: a value is too long for an index, a statement too complex
_MOST_LETTERS = 1000  # of an error, which quotes what came
_MEANINGS = {
    400: "The request is invalid; the error says what to change.",
    401: "The request has no token, or its token belongs to no account.",
    403: "The account's role does not have the permission.",
    404: "The sighting is not stored or not recorded, or the account has no such case.",
    408: "The request's body arrived too slowly; try again.",
    413: "The request is longer than the limit.",
    429: "The account sent too many requests, or the address too many wrong tokens; Retry-After says how long to wait.",
    503: "The service is busy, was interrupted, or is not ready; Retry-After says when to try again.",
}


class ErrorAnswer(BaseModel):
    """Reason of an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error: str  # what must hold, what came, what to do
    code: str = ""  # names the reason, for clients that explain it in another language; "" where the status tells it
    number: int | None = None  # which of several items, such as photos, has the reason; from 1


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Error answers of these statuses for the OpenAPI document."""
    return {status: {"model": ErrorAnswer, "description": _MEANINGS[status]} for status in statuses}


def add_error_answers(api: FastAPI) -> None:
    """Let `api` answer our errors and FastAPI's as `ErrorAnswer`."""
    api.add_exception_handler(InputError, _answer_input)
    api.add_exception_handler(UnknownSightingError, _answer_hidden(code="sighting_unknown"))
    api.add_exception_handler(UnknownCaseError, _answer_hidden(code="case_unknown"))
    api.add_exception_handler(UnknownWatchError, _answer_hidden(code="watch_unknown"))
    api.add_exception_handler(UnknownPhotoError, _answer_hidden(code="case_photo_unknown"))
    api.add_exception_handler(UnknownSheetError, _answer_hidden(code="sheet_unknown"))
    api.add_exception_handler(NoFootageError, _answer_without_footage)
    api.add_exception_handler(NotReadyError, _answer_not_ready)
    api.add_exception_handler(UnusableMapError, _answer_without_map)
    api.add_exception_handler(EnginesAwayError, _answer_later)
    api.add_exception_handler(DecodersAwayError, _answer_later)
    api.add_exception_handler(OverdueError, _answer_later)
    api.add_exception_handler(sa.exc.OperationalError, _answer_unfinished)
    api.add_exception_handler(sa.exc.DataError, _answer_unstorable)
    api.add_exception_handler(MemoryError, _answer_full)
    api.add_exception_handler(RequestValidationError, _answer_unfit)
    api.add_exception_handler(HTTPException, _answer_refused)
    api.add_exception_handler(Exception, _answer_failed)


def _answer_input(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InputError), "registered for this kind only"
    return _answer(400, str(error), code=error.code, number=error.number)


def _answer_not_ready(_: Request, error: Exception) -> JSONResponse:
    return _answer(503, str(error), _NOT_READY, code="not_ready")


def _answer_without_footage(_: Request, error: Exception) -> JSONResponse:
    return _answer(404, str(error), code="no_footage")


def _answer_without_map(_: Request, error: Exception) -> JSONResponse:
    _log.warning("%s", error)
    return _answer(503, "the local map cannot be used; the service's log says why", _NOT_READY, code="map_unusable")


def _answer_hidden(code: str) -> Callable[[Request, Exception], JSONResponse]:
    def answer(request: Request, error: Exception) -> JSONResponse:
        mark_refused(request.scope, request.user.display_name, str(error))
        return _answer(404, str(error), code=code)

    return answer


def _answer_unfit(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for this kind only"
    first = error.errors()[0]
    is_path, field = first["loc"][0] == "path", next((str(part) for part in first["loc"][1:]), "")
    return _answer(
        404 if is_path else 400, _explain(first), code=f"field_{field}" if field.isidentifier() else "invalid"
    )


def _answer_refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for this kind only"
    headers = dict(error.headers or {})
    if error.status_code == 405 and (methods := _documented_methods(request)):
        headers["Allow"] = methods  # Starlette lists the methods of the first route only
    return _answer(error.status_code, error.detail, headers)


def _documented_methods(request: Request) -> str:
    """Methods of the path of the request; none for the document itself, which documents no path of its own."""
    route = request.scope.get("route")
    operations = request.app.openapi()["paths"].get(getattr(route, "path", ""), ())
    return ", ".join(sorted(method.upper() for method in operations))


def _answer_unfinished(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, sa.exc.OperationalError), "registered for this kind only"
    if (getattr(error.orig, "sqlstate", None) or "").startswith(_PROGRAM_LIMIT):
        return _answer_unstorable(request, error)
    _log.warning("the database interrupted a request: %s", error.orig)
    if isinstance(error.orig, DamagedError):
        return _answer(503, str(error.orig), _TRY_AGAIN)
    return _answer(503, "the database did not finish this request; try again in a moment", _TRY_AGAIN)


def _answer_unstorable(_: Request, __: Exception) -> JSONResponse:
    message = "the request must hold values that the database can store, got one too long or out of range"
    return _answer(400, message, code="unstorable")


def _answer_full(_: Request, __: Exception) -> JSONResponse:
    _log.warning("a request was not finished: the service has no memory left")
    return _answer(503, "the service has no memory left for this request; try again in a moment", _TRY_AGAIN)


def _answer_later(_: Request, error: Exception) -> JSONResponse:
    _log.warning("a request was not finished: %s", error)
    return _answer(503, str(error), _TRY_AGAIN)


def _answer_failed(_: Request, __: Exception) -> JSONResponse:
    return _answer(500, "the service failed; its log has the reason under the X-Request-ID of this answer")


def _answer(
    status: int, message: str, headers: Any = None, *, code: str = "", number: int | None = None
) -> JSONResponse:
    if len(message) > _MOST_LETTERS:
        message = f"{message[:_MOST_LETTERS]}…"
    sendable = message.encode(errors="backslashreplace").decode()  # it may quote half of a surrogate pair
    answer = ErrorAnswer(error=sendable, code=code, number=number)
    return JSONResponse(answer.model_dump(exclude_defaults=True), status_code=status, headers=headers)


def _explain(error: dict[str, Any]) -> str:
    """Pydantic's error in our form: `top_k must be a valid integer, …, got 'many'`."""
    kind, where = error["type"], error["loc"][1:]
    name = ".".join(str(part) for part in where)
    if kind == "json_invalid":
        return f"{where[0] if isinstance(where[0], str) else 'the request'} must be JSON: {error['ctx']['error']}"
    if not name:
        return "the request must be a JSON object with the header Content-Type: application/json"
    if kind == "missing":
        return f"the request must have {name}"
    if kind == "extra_forbidden":
        return f"the request must have documented fields only, got {name}"
    must = re.sub(r"^[A-Z]\w+ should ", "must ", error["msg"])
    such_as = ", such as 2026-05-01T09:00:00+09:00" if kind.startswith(("datetime", "timezone")) else ""
    return f"{name} {must}{such_as}, got {shown(error['input'])}"
