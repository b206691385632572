"""Limits on the number of requests in work, on the time of each, and on the time of its body."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection

import anyio
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.deadline import deadline_after
from serving.web.middleware.metrics import REFUSED

_RETRY_AFTER = {"Retry-After": "1"}
_HELD_S = 0.5


class AtMost:
    """Middleware that answers 503 at once while `most` requests are in work, so that these stay quick.

    A request whose body is still arriving costs nothing but memory and is not in work.

    Args:
        app: the application.
        most: requests in work at the same time.
        below: path prefix of the limited requests; others, such as probes and the page, cost little.
        but: paths that are not limited, though they are below, because their requests only wait.
    """

    def __init__(self, app: ASGIApp, most: int, below: str, but: Collection[str] = ()) -> None:
        self._app = app
        self._below = below
        self._but = frozenset(but)
        self._most = most
        self._in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 503."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(self._below) or path in self._but:
            await self._app(scope, receive, send)
            return
        if self._in_work >= self._most:
            await _try_again(self._refusal())(scope, receive, send)
            return
        is_whole = False

        async def receive_uncounted() -> Message:
            nonlocal is_whole
            if is_whole:
                return await receive()
            self._in_work -= 1
            try:
                message = await receive()
            finally:
                self._in_work += 1
            is_whole = not message.get("more_body", False)
            if is_whole and self._in_work > self._most:  # others have taken the place meanwhile
                raise HTTPException(503, self._refusal(), _RETRY_AFTER)
            return message

        self._in_work += 1
        try:
            await self._app(scope, receive_uncounted, send)
        finally:
            self._in_work -= 1

    def _refusal(self) -> str:
        REFUSED.labels("overload").inc()
        return f"the service already has {self._most} requests in work, its limit; try again in a moment"


class AtMostOf:
    """Middleware that answers 429 at once to a client of which `most` requests are in work or arriving.

    Args:
        app: the application.
        most: requests of one client at the same time.
        client: who sends a request, such as its account or its token; None for a request that is not limited.
    """

    def __init__(self, app: ASGIApp, most: int, client: Callable[[Scope], str | None]) -> None:
        self._app = app
        self._most = most
        self._client = client
        self._in_work: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429."""
        client = self._client(scope) if scope["type"] == "http" else None
        if client is None:
            await self._app(scope, receive, send)
        elif self._in_work[client] >= self._most:
            REFUSED.labels("account").inc()
            most = f"an account may have {self._most} requests in work; wait for an answer, then try again"
            await JSONResponse({"error": most}, 429, _RETRY_AFTER)(scope, receive, send)
        else:
            self._in_work[client] += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._in_work[client] -= 1
                if self._in_work[client] == 0:
                    del self._in_work[client]


class HeldRefusals:
    """Middleware that keeps each answer 429 for half a second, for clients that ask again at once.

    To refuse costs little, but not nothing: ten such clients would take a third of a core by it. An answer that is kept
    takes no place among the requests in work of the application below.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer at once unless it is 429."""
        kept: list[Message] = []

        async def send_or_keep(message: Message) -> None:
            if kept or (message["type"] == "http.response.start" and message["status"] == 429):
                kept.append(message)
            else:
                await send(message)

        await self._app(scope, receive, send_or_keep)
        if kept:
            await asyncio.sleep(_HELD_S)
        for message in kept:
            await send(message)


class SteadyBody:
    """Middleware that answers 408 to a request whose body arrives too slowly.

    After `grace_s` it must have arrived with at least `min_bytes_s` on average.
    """

    def __init__(self, app: ASGIApp, min_bytes_s: float, grace_s: float) -> None:
        self._app = app
        self._min_bytes_s = min_bytes_s
        self._grace_s = grace_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 408."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        got, is_whole, began = 0, False, loop.time()

        async def receive_in_time() -> Message:
            nonlocal got, is_whole
            if is_whole:
                return await receive()
            try:
                async with asyncio.timeout_at(began + self._grace_s + got / self._min_bytes_s):
                    message = await receive()
            except TimeoutError as error:
                REFUSED.labels("slow").inc()
                slowest = f"the request's body must arrive with {self._min_bytes_s:g} bytes a second or more on average"
                raise HTTPException(408, f"{slowest}; {got} bytes came. Try again", {"Connection": "close"}) from error
            got += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            return message

        await self._app(scope, receive_in_time, send)


class Deadline:
    """Middleware that answers 503 to a request whose answer has not begun after `seconds`, and stops its work.

    The seconds count from the end of the request's body; while more of it is awaited, they stand still. A waiting
    coroutine stops at once, a thread at its next stage, see `domain.deadline`. Until then the request counts as in
    work, though its client has been answered.
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
        loop = asyncio.get_running_loop()
        overdue: asyncio.Future[None] = loop.create_future()
        has_begun = is_late = is_whole = False
        clock: asyncio.TimerHandle

        def time_is_over() -> None:
            if not overdue.done():
                overdue.set_result(None)

        def start_clock() -> asyncio.TimerHandle:
            start_deadline()
            return loop.call_later(self._seconds, time_is_over)

        async def receive_on_clock() -> Message:
            nonlocal clock, is_whole
            if is_whole:
                return await receive()
            clock.cancel()
            try:
                message = await receive()
            finally:
                clock = start_clock()
            is_whole = not message.get("more_body", False)
            return message

        async def send_in_time(message: Message) -> None:
            nonlocal has_begun
            if not is_late:
                has_begun = True
                await send(message)

        async def work() -> None:
            with waiting:
                await self._app(scope, receive_on_clock, send_in_time)

        with deadline_after(self._seconds) as start_deadline:
            clock = start_clock()
            working = asyncio.create_task(work())
        try:
            await asyncio.wait({working, overdue}, return_when=asyncio.FIRST_COMPLETED)
            if not (working.done() or has_begun):
                is_late = True
                waiting.cancel()
                REFUSED.labels("deadline").inc()
                answer = _try_again(f"the answer was not ready within {self._seconds:g} s; try again in a moment")
                await answer(scope, receive, send)
            await working
        finally:
            clock.cancel()
            working.cancel()


def _try_again(message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=503, headers=_RETRY_AFTER)
