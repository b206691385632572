"""Headers of all answers, which keep their content out of caches and out of the reach of other pages."""

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FAILED = "the service failed; its log has the reason under the X-Request-ID of this answer"
_RETRY_AFTER_S = 10  # of a 503 that does not say itself when to try again
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_UNLESS_SET = {  # the pages have their own
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_HSTS = "max-age=31536000"  # a year of https only


class PrivateAnswers:
    """Middleware that sets the headers, `Retry-After` of each 503 among them, and answers 500 to what fails inside."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_private(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                for name, value in _UNLESS_SET.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = _HSTS
                if message["status"] == 503:
                    headers.setdefault("Retry-After", str(_RETRY_AFTER_S))
            await send(message)

        try:
            await self._app(scope, receive, send_private)
        except Exception:
            if not has_begun:
                await JSONResponse({"error": FAILED}, 500)(scope, receive, send_private)
            raise
