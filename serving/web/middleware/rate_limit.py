"""Limits on the requests of one account per minute, and their pace within it."""

import asyncio
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
_PACE = (
    2  # of the average of a minute: after a burst, requests begin no faster, so those of others find the service free
)
_BURST = 1 / 20  # of a minute's requests
_LEAST_BURST = 10


class RateLimit:
    """Middleware that answers 429 to an account that has used up its requests of the last minute.

    It may not use them up at once: after a burst, requests wait until they are at least half a minute's average apart.

    Searches and routes share a second, lower limit, and crops have one. Requests without an account, such as probes,
    are not limited. Requests are counted in this process, which suffices for a service of one worker.
    """

    def __init__(self, app: ASGIApp, requests_per_minute: int, searches_per_minute: int, crops_per_minute: int) -> None:
        self._app = app
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._searches = RateLimitItemPerMinute(searches_per_minute)
        self._crops = RateLimitItemPerMinute(crops_per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._earliest: dict[tuple[str, str], float] = {}  # kind and account -> when its next request may begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on in its turn, or answer 429."""
        name = account_name(scope) if scope["type"] == "http" else None
        if name is None:
            await self._app(scope, receive, send)
            return
        limits = self._limits(scope["path"])
        if refusal := self._refusal(name, limits):
            await refusal(scope, receive, send)
            return
        if wait_s := max(self._wait_s(name, kind, limit.amount) for kind, limit in limits.items()):
            await asyncio.sleep(wait_s)
        await self._app(scope, receive, send)

    def _limits(self, path: str) -> dict[str, RateLimitItemPerMinute]:
        """The limits of a request, by what they count."""
        limits = {"requests": self._requests}
        if path in _SEARCHES:
            limits["searches and routes"] = self._searches
        elif path.startswith(_CROPS):
            limits["crops"] = self._crops
        return limits

    def _wait_s(self, name: str, kind: str, per_minute: int) -> float:
        """Seconds until the request may begin; takes its turn (generic cell rate algorithm)."""
        now, apart_s = time.monotonic(), 60 / (_PACE * per_minute)
        earliest = max(now, self._earliest.get((kind, name), now))
        self._earliest[kind, name] = earliest + apart_s
        return max(0.0, earliest - now - max(_LEAST_BURST, _BURST * per_minute) * apart_s)

    def _refusal(self, name: str, limits: dict[str, RateLimitItemPerMinute]) -> JSONResponse | None:
        """The answer to an account above a limit; None, and the request counted, below the limits."""
        for kind, limit in limits.items():
            if not self._limiter.hit(limit, kind, name):
                REFUSED.labels("rate").inc()
                wait_s = self._limiter.get_window_stats(limit, kind, name).reset_time - time.time()
                most = f"an account may send {limit.amount} {kind} a minute; wait as long as Retry-After says"
                return JSONResponse({"error": most}, 429, {"Retry-After": str(max(1, math.ceil(wait_s)))})
        return None
