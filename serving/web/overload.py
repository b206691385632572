"""What the service does with more requests than it can work on."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.metrics import REFUSED

_RETRY_AFTER_S = 1


class AtMost:
    """Middleware that answers 503 at once while `most` requests are in work, so that those stay quick."""

    def __init__(self, app: ASGIApp, most: int, below: str) -> None:
        """Guard what `app` has below the path `below`; the rest, such as probes and the page, costs little."""
        self._app = app
        self._below = below
        self._most = most
        self._in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or turn it away."""
        if scope["type"] != "http" or not scope["path"].startswith(self._below):
            await self._app(scope, receive, send)
        elif self._in_work >= self._most:
            REFUSED.labels("overload").inc()
            busy = {"error": f"the service works on {self._most} requests, its limit; try again in a moment"}
            answer = JSONResponse(busy, status_code=503, headers={"Retry-After": str(_RETRY_AFTER_S)})
            await answer(scope, receive, send)
        else:
            self._in_work += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._in_work -= 1
