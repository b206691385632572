"""How often one account may ask."""

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


class RateLimit:
    """Middleware that answers 429 to an account that asked as often as allowed in the last minute.

    Searches and routes have a limit of their own, which both count for. What is answered without a token, such as a
    probe, is free. It counts in this process: what a service of one worker needs.
    """

    def __init__(self, app: ASGIApp, requests_per_minute: int, searches_per_minute: int) -> None:
        """Guard `app`, which stands behind the authentication."""
        self._app = app
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._searches = RateLimitItemPerMinute(searches_per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or turn it away."""
        name = account_name(scope) if scope["type"] == "http" else None
        refusal = self._refusal(name, scope["path"]) if name is not None else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, name: str, path: str) -> JSONResponse | None:
        """The answer to an account that has asked too often; None, and counted, where it has not."""
        limits = {"requests": self._requests} | ({"searches and routes": self._searches} if path in _SEARCHES else {})
        for what, limit in limits.items():
            if not self._limiter.hit(limit, what, name):
                REFUSED.labels("rate").inc()
                wait_s = self._limiter.get_window_stats(limit, what, name).reset_time - time.time()
                most = f"an account may send {limit.amount} {what} a minute; wait as long as Retry-After says"
                return JSONResponse({"error": most}, 429, {"Retry-After": str(max(1, math.ceil(wait_s)))})
        return None
