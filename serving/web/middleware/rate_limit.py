"""Limits on the requests of one account per minute, their pace within it, and the pace of their bodies."""

import asyncio
import time

from limits import RateLimitItemPerMinute
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.web.middleware.account import account_name
from serving.web.middleware.metrics import REFUSED
from serving.web.request_counts import RequestCounts

_SEARCHES = frozenset(
    f"/v1/{path}" for path in ("search", "route", "where-next", "photo", "sentence", "watches", "watches/estimate")
)
_SHEETS = "/sheets"  # of a case; the detector looks at each picture
_CROPS = ("/v1/crops/", "/v1/footage/")
# Of a minute's average: after a burst requests begin no faster, and those of others find the service free.
_PACE = 1.0
_PACE_OF_FEWER = 1.5  # what has a lower limit of its own
_BURST = 1 / 20  # of a minute's requests
_LEAST_BURST = 10


class Pace:
    """`per_s` units a second for each account, after a burst of `burst` units (generic cell rate algorithm)."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst_s = burst / per_s
        self._earliest: dict[str, float] = {}  # account -> when its next unit may come

    def wait_s(self, account: str, units: float = 1) -> float:
        """Seconds, 0 or more, that `account` must wait before these units; they are counted."""
        now = time.monotonic()
        earliest = max(now, self._earliest.get(account, now))
        self._earliest[account] = earliest + units / self._per_s
        return max(0.0, earliest - now - self._burst_s)


class RateLimit:
    """Middleware that answers 429 to an account that has used up its requests of the last minute.

    It may not use them up at once: after a burst, requests begin no faster than the average of a minute, and those that
    have a lower limit at most half as fast again as theirs.

    What computes for a search shares a second, lower limit; crops and footage another. Requests without an account, as
    of probes, are not limited. Replicas may count together, see `RequestCounts`; each has its own pace.
    """

    def __init__(self, app: ASGIApp, requests_per_minute: int, searches_per_minute: int, crops_per_minute: int) -> None:
        self._app = app
        self._requests = RateLimitItemPerMinute(requests_per_minute)
        self._searches = RateLimitItemPerMinute(searches_per_minute)
        self._crops = RateLimitItemPerMinute(crops_per_minute)
        self._counts = RequestCounts()
        amounts = {
            "requests": requests_per_minute,
            "searches, routes, photos and sentences": searches_per_minute,
            "crops": crops_per_minute,
        }
        self._paces = {
            kind: Pace(
                (_PACE if kind == "requests" else _PACE_OF_FEWER) * amount / 60,
                burst=max(_LEAST_BURST, _BURST * amount),
            )
            for kind, amount in amounts.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on in its turn, or answer 429."""
        name = account_name(scope) if scope["type"] == "http" else None
        if name is None:
            await self._app(scope, receive, send)
            return
        limits = self._limits(scope["path"])
        if refusal := await self._refusal(name, limits):
            await refusal(scope, receive, send)
            return
        await asyncio.sleep(max(self._paces[kind].wait_s(name) for kind in limits))
        await self._app(scope, receive, send)

    def _limits(self, path: str) -> dict[str, RateLimitItemPerMinute]:
        """The limits of a request, by what they count."""
        limits = {"requests": self._requests}
        if path in _SEARCHES or path.endswith(_SHEETS):
            limits["searches, routes, photos and sentences"] = self._searches
        elif path.startswith(_CROPS):
            limits["crops"] = self._crops
        return limits

    async def _refusal(self, name: str, limits: dict[str, RateLimitItemPerMinute]) -> JSONResponse | None:
        """The answer to an account above a limit; None, and the request counted, below the limits."""
        for kind, limit in limits.items():
            wait_s = await self._counts.hit_from_loop(limit, kind, name)
            if wait_s is not None:
                REFUSED.labels("rate").inc()
                most = f"an account may send {limit.amount} {kind} a minute; wait as long as Retry-After says"
                return JSONResponse({"error": most}, 429, {"Retry-After": str(wait_s)})
        return None


class PacedBodies:
    """Middleware that takes in the bodies of one account, all its requests together, at `bytes_s` after a burst.

    To take a body apart costs as much as to receive it, and others wait meanwhile.
    """

    def __init__(self, app: ASGIApp, bytes_s: float, burst: float) -> None:
        self._app = app
        self._pace = Pace(bytes_s, burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its body in its turn."""
        name = account_name(scope) if scope["type"] == "http" else None

        async def receive_in_turn() -> Message:
            message = await receive()
            await asyncio.sleep(self._pace.wait_s(str(name), len(message.get("body", b""))))
            return message

        await self._app(scope, receive if name is None else receive_in_turn, send)
