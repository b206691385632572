"""Log lines of requests; all lines of a request have its id.

A request has one line of its own: method, the route's template, status, milliseconds, account. No token, photo, form or
query string is ever written: the path is the route's template of the OpenAPI document, never the request's own path.
"""

import re
from time import perf_counter
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.web.middleware.account import account_name
from serving.web.middleware.metrics import IN_WORK, REQUESTS

_log = structlog.stdlib.get_logger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_UNKNOWN = "unknown"  # route of a path without an endpoint
_FAILED = 500


class RequestLog:
    """Middleware that gives a request its id, writes its line, and counts it.

    A client may send `X-Request-ID`, up to 64 letters, digits, dots, hyphens and underscores; the answer returns it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, status, began = _request_id(scope), _FAILED, perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id), IN_WORK.track_inprogress():
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                _log.exception("request failed")
                raise
            finally:
                method, route, taken_ms = _method(scope), _route(scope), 1000 * (perf_counter() - began)
                REQUESTS.labels(method, route, str(status)).inc()
                line = {"method": method, "route": route, "status": status, "ms": round(taken_ms, 1)}
                _log.info("request", **line, account=account_name(scope))


def _request_id(scope: Scope) -> str:
    sent = Headers(scope=scope).get("x-request-id", "")
    return sent if _REQUEST_ID.fullmatch(sent) else uuid4().hex


def _method(scope: Scope) -> str:
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else _UNKNOWN


def _route(scope: Scope) -> str:
    """Template of the path, such as /v1/crops/{district}/{tracklet_id}; never the path itself."""
    if "route" in scope:
        return str(scope.get("root_path", "")) + str(scope["route"].path)
    return str(scope["path"]) if "endpoint" in scope and not scope.get("path_params") else _UNKNOWN
