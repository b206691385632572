"""How often one account, or one address, may ask."""

import math
import time
from collections.abc import Mapping

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.asker import asker
from serving.web.metrics import REFUSED


class RateLimit:
    """Middleware that answers 429 to whoever asked as often as allowed in the last minute.

    It counts in this process: what a service of one worker needs.
    """

    def __init__(self, app: ASGIApp, per_minute: Mapping[str, int]) -> None:
        """Guard `app`; `per_minute` is by path, and other paths are free."""
        self._app = app
        self._limits = {path: RateLimitItemPerMinute(most) for path, most in per_minute.items()}
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or turn it away."""
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        limit = self._limits.get(path)
        if limit is None or self._limiter.hit(limit, path, asker(scope)):
            await self._app(scope, receive, send)
            return
        REFUSED.labels("rate").inc()
        wait_s = self._limiter.get_window_stats(limit, path, asker(scope)).reset_time - time.time()
        too_many = {"error": f"{path} may be asked {limit.amount} times a minute; wait as long as Retry-After says"}
        headers = {"Retry-After": str(max(1, math.ceil(wait_s)))}
        await JSONResponse(too_many, status_code=429, headers=headers)(scope, receive, send)
