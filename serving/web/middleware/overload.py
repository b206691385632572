"""Limits on the number of requests in work and on the time of each."""

import asyncio

import anyio
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.deadline import deadline_after
from serving.web.middleware.metrics import REFUSED

_RETRY_AFTER_S = 1


class AtMost:
    """Middleware that answers 503 at once while `most` requests are in work, so that these stay quick.

    Args:
        app: the application.
        most: requests in work at the same time.
        below: path prefix of the limited requests; others, such as probes and the page, cost little.
    """

    def __init__(self, app: ASGIApp, most: int, below: str) -> None:
        self._app = app
        self._below = below
        self._most = most
        self._in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 503."""
        if scope["type"] != "http" or not scope["path"].startswith(self._below):
            await self._app(scope, receive, send)
        elif self._in_work >= self._most:
            REFUSED.labels("overload").inc()
            answer = _try_again(
                f"the service already has {self._most} requests in work, its limit; try again in a moment"
            )
            await answer(scope, receive, send)
        else:
            self._in_work += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._in_work -= 1


class Deadline:
    """Middleware that answers 503 to a request whose answer has not begun after `seconds`, and stops its work.

    A waiting coroutine stops at once, a thread at its next stage, see `domain.deadline`. Until then the request counts
    as in work, though its client has been answered.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 503 when it takes too long."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        waiting = anyio.CancelScope()
        has_begun = is_late = False

        async def send_in_time(message: Message) -> None:
            nonlocal has_begun
            if not is_late:
                has_begun = True
                await send(message)

        async def work() -> None:
            with waiting:
                await self._app(scope, receive, send_in_time)

        with deadline_after(self._seconds):
            working = asyncio.create_task(work())
        try:
            await asyncio.wait({working}, timeout=self._seconds)
            if not (working.done() or has_begun):
                is_late = True
                waiting.cancel()
                REFUSED.labels("deadline").inc()
                answer = _try_again(f"the answer was not ready within {self._seconds:g} s; try again in a moment")
                await answer(scope, receive, send)
            await working
        finally:
            working.cancel()


def _try_again(message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=503, headers={"Retry-After": str(_RETRY_AFTER_S)})
