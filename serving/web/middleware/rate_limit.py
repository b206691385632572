"""Limits on the requests of one account per minute."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.middleware.account import account_name
from serving.web.middleware.metrics import REFUSED

_SEARCHES = frozenset({"/v1/search", "/v1/route"})
_CROPS = "/v1/crops/"


class RateLimit:
    """Middleware that answers 429 to an account that has used up its requests of the last minute.

    Searches and routes share a second, lower limit, and crops have one. Requests without an account, such as probes,
    are not limited. Requests are counted in this process, which suffices for a service of one worker.
    """

    def __init__(self, app: ASGIApp, requests_per_minute: int, searches_per_minute: int, crops_per_minute: int) -> None:
        self._app = app
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._searches = RateLimitItemPerMinute(searches_per_minute)
        self._crops = RateLimitItemPerMinute(crops_per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429."""
        name = account_name(scope) if scope["type"] == "http" else None
        refusal = self._refusal(name, scope["path"]) if name is not None else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, name: str, path: str) -> JSONResponse | None:
        """The answer to an account above a limit; None, and the request counted, below the limits."""
        limits = {"requests": self._requests}
        if path in _SEARCHES:
            limits["searches and routes"] = self._searches
        elif path.startswith(_CROPS):
            limits["crops"] = self._crops
        for kind, limit in limits.items():
            if not self._limiter.hit(limit, kind, name):
                REFUSED.labels("rate").inc()
                wait_s = self._limiter.get_window_stats(limit, kind, name).reset_time - time.time()
                most = f"an account may send {limit.amount} {kind} a minute; wait as long as Retry-After says"
                return JSONResponse({"error": most}, 429, {"Retry-After": str(max(1, math.ceil(wait_s)))})
        return None
