import asyncio
import subprocess
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest
from anyio import to_thread
from starlette.applications import Starlette
from starlette.authentication import SimpleUser
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain.deadline import OverdueError, require_time
from serving.web.gate import COOKIE, credential
from serving.web.middleware.account import account_name
from serving.web.middleware.overload import AtMost, AtMostOf, Deadline, HeldRefusals, SteadyBody
from tests.helpers.project import ROOT

MOST = 3


def guarded(gate: asyncio.Event) -> Starlette:
    """Answers when `gate` opens; /broken fails."""

    async def wait(request: Request) -> Response:
        if request.url.path == "/v1/broken":
            raise RuntimeError
        await gate.wait()
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/v1/{anything}", wait), Route("/readyz", lambda _: PlainTextResponse("ready"))])
    app.add_middleware(AtMost, most=MOST, below="/v1/")
    return app


def client(app: Starlette) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://service")


def run(scenario: Any) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        async with client(guarded(gate)) as asking:
            await asyncio.wait_for(scenario(gate, asking), timeout=20)

    asyncio.run(main())


def test_more_than_the_limit_are_turned_away_at_once_and_those_in_work_are_answered() -> None:
    async def scenario(gate: asyncio.Event, asking: httpx.AsyncClient) -> None:
        in_work = [asyncio.create_task(asking.get("/v1/search")) for _ in range(MOST)]
        await asyncio.sleep(0.1)
        turned_away = [await asking.get("/v1/search") for _ in range(5)]  # while the gate is still shut
        assert {answer.status_code for answer in turned_away} == {503}
        assert turned_away[0].headers["Retry-After"] == "1"
        assert (await asking.get("/readyz")).text == "ready"
        assert "has 3 requests in work, its limit" in turned_away[0].json()["error"]
        gate.set()
        assert [(await answer).text for answer in in_work] == ["done"] * MOST

    run(scenario)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/broken"])
def test_it_recovers_when_requests_end_however_they_end(path: str) -> None:
    async def scenario(gate: asyncio.Event, asking: httpx.AsyncClient) -> None:
        gate.set()
        answers = [await asking.get(path) for _ in range(4 * MOST)]
        assert 503 not in {answer.status_code for answer in answers}
        assert (await asking.get("/v1/search")).text == "done"

    run(scenario)


def test_a_client_that_leaves_frees_its_place() -> None:
    async def scenario(gate: asyncio.Event, asking: httpx.AsyncClient) -> None:
        left = [asyncio.create_task(asking.get("/v1/search")) for _ in range(MOST)]
        await asyncio.sleep(0.1)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        gate.set()
        assert (await asking.get("/v1/search")).status_code == 200

    run(scenario)


def in_time(seconds: float, stages: list[str]) -> Starlette:
    """/quick answers, /waits never does, /computes notes its stages in a thread, as long as it has time."""

    async def answer(request: Request) -> Response:
        if request.url.path == "/waits":
            await asyncio.Event().wait()
        if request.url.path == "/computes":
            await to_thread.run_sync(compute)
        return PlainTextResponse("done")

    def compute() -> None:
        for number in range(50):
            require_time()
            stages.append(str(number))
            time.sleep(0.02)

    app = Starlette(routes=[Route("/{anything}", answer)])
    app.add_exception_handler(OverdueError, lambda _, error: PlainTextResponse(str(error), 503))
    app.add_middleware(Deadline, seconds=seconds)
    return app


@pytest.mark.parametrize("path", ["/waits", "/computes"])
def test_an_answer_that_is_not_ready_in_time_is_given_up(path: str) -> None:
    stages: list[str] = []

    async def main() -> None:
        async with client(in_time(0.2, stages)) as asking:
            answer = await asking.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert answer.json()["error"] == "the answer was not ready within 0.2 s; try again in a moment"
            assert (await asking.get("/quick")).text == "done"

    asyncio.run(main())
    assert len(stages) < 25  # of 50


@pytest.mark.slow
def test_an_answer_in_time_is_left_alone() -> None:
    stages: list[str] = []

    async def main() -> None:
        async with client(in_time(20, stages)) as asking:
            assert (await asking.get("/computes")).text == "done"

    asyncio.run(main())
    assert len(stages) == 50


def reading(read: asyncio.Event | None = None) -> Starlette:
    """/v1/… reads the request, sets `read`, and answers its length."""

    async def answer(request: Request) -> Response:
        length = len(await request.body())
        if read is not None:
            read.set()
            await asyncio.sleep(0.1)
        return PlainTextResponse(str(length))

    return Starlette(routes=[Route("/v1/{anything}", answer, methods=["GET", "POST"])])


class Arriving:
    """An ASGI request whose parts arrive when they are put in."""

    def __init__(self, app: Any, account: str | None = None) -> None:
        self._app, self._parts = app, asyncio.Queue[dict[str, Any]]()
        request: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/search"}
        self._scope = {**request, "headers": [], "query_string": b""}
        if account is not None:
            self._scope["user"] = SimpleUser(account)
        self.status = 0

    def arrive(self, part: bytes, more: bool) -> None:
        self._parts.put_nowait({"type": "http.request", "body": part, "more_body": more})

    async def answered(self) -> int:
        await self._app(self._scope, self._parts.get, self._send)
        return self.status

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.status = message.get("status", self.status)


def test_the_clock_of_an_answer_begins_when_the_body_is_whole() -> None:
    async def main() -> None:
        app = reading()
        app.add_middleware(Deadline, seconds=0.2)
        request = Arriving(app)
        answered = asyncio.create_task(request.answered())
        for _ in range(4):
            await asyncio.sleep(0.15)
            request.arrive(b"photo", more=True)
        request.arrive(b"", more=False)
        assert await asyncio.wait_for(answered, 5) == 200

    asyncio.run(main())


@pytest.mark.slow
def test_a_body_that_is_slower_than_the_least_rate_is_given_up_and_a_weak_line_is_not() -> None:
    async def sent(part: bytes, pause_s: float) -> int:
        app = reading()
        app.add_middleware(SteadyBody, min_bytes_s=100, grace_s=0.2)
        request = Arriving(app)
        answered = asyncio.create_task(request.answered())
        for _ in range(5):
            request.arrive(part, more=True)
            await asyncio.sleep(pause_s)
        request.arrive(b"", more=False)
        return await asyncio.wait_for(answered, 5)

    assert asyncio.run(sent(b"x" * 20, 0.1)) == 200  # 200 bytes a second
    assert asyncio.run(sent(b"x", 0.1)) == 408


def test_requests_whose_bodies_are_arriving_take_no_place_of_others() -> None:
    async def main() -> None:
        app = reading(asyncio.Event())
        app.add_middleware(AtMost, most=MOST, below="/v1/")
        slow = [Arriving(app) for _ in range(5 * MOST)]
        waiting = [asyncio.create_task(each.answered()) for each in slow]
        for each in slow:
            each.arrive(b"photo", more=True)
        await asyncio.sleep(0.05)
        async with client(app) as asking:
            assert (await asking.get("/v1/search")).status_code == 200
        for each in slow:
            each.arrive(b"", more=False)
        assert sorted(await asyncio.gather(*waiting)) == [200] * MOST + [503] * 4 * MOST

    asyncio.run(main())


def test_an_account_takes_no_more_places_than_its_own() -> None:
    async def main() -> None:
        read = asyncio.Event()
        app = reading(read)
        app.add_middleware(AtMostOf, most=MOST, client=account_name)
        slow = [asyncio.create_task(Arriving(app, "kim").answered()) for _ in range(MOST)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(Arriving(app, "kim").answered(), 5) == 429
        other = Arriving(app, "lee")
        other.arrive(b"", more=False)
        assert await other.answered() == 200
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        again = Arriving(app, "kim")
        again.arrive(b"", more=False)
        assert await again.answered() == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Authorization", "bearer  a_token ", "a_token"),
        ("Cookie", f"other=1; {COOKIE}=a_session", "a_session"),
        ("Cookie", "other=1", None),
        ("Authorization", "Basic a_token", None),
    ],
)
def test_what_a_request_is_signed_in_by(name: str, value: str, expected: str | None) -> None:
    assert credential({"type": "http", "headers": [(name.lower().encode(), value.encode())]}) == expected


def test_a_burst_with_one_token_takes_no_place_of_others_while_it_is_checked() -> None:
    async def main() -> None:
        app = guarded(gate := asyncio.Event())
        app.add_middleware(AtMostOf, most=MOST - 1, client=credential)
        async with client(app) as asking:
            kim, lee = ({"Authorization": f"Bearer {token}"} for token in ("kim", "lee"))
            burst = [asyncio.create_task(asking.get("/v1/search", headers=kim)) for _ in range(10 * MOST)]
            other = asyncio.create_task(asking.get("/v1/search", headers=lee))
            await asyncio.sleep(0.1)
            gate.set()
            assert (await other).text == "done"
            answers = sorted(answer.status_code for answer in await asyncio.gather(*burst))
            assert answers == [200] * (MOST - 1) + [429] * (9 * MOST + 1)

    asyncio.run(main())


def test_a_refusal_waits_outside_and_other_answers_do_not() -> None:
    async def answer(request: Request) -> Response:
        return PlainTextResponse("answered", 429 if request.url.path == "/v1/refused" else 200)

    async def main() -> None:
        app = Starlette(routes=[Route("/v1/{anything}", answer)])
        app.add_middleware(AtMost, most=1, below="/v1/")
        app.add_middleware(HeldRefusals)
        async with client(app) as asking:
            began = time.monotonic()
            refused = [asyncio.create_task(asking.get("/v1/refused")) for _ in range(5)]
            await asyncio.sleep(0.1)
            others = [await asking.get("/v1/taken") for _ in range(5)]
            assert ([each.status_code for each in others], any(each.done() for each in refused)) == ([200] * 5, False)
            answers = await asyncio.gather(*refused)
            assert [(each.status_code, each.text) for each in answers] == [(429, "answered")] * 5
            assert time.monotonic() - began >= 0.5

    asyncio.run(main())


@pytest.mark.slow
def test_no_request_pays_for_spans_that_nobody_collects() -> None:
    asked = """
from opentelemetry.trace import get_current_span
from serving.service import PersonSearch
from starlette.testclient import TestClient

class Inside:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        print("traced" if get_current_span().get_span_context().is_valid else "not traced")
        await self.app(scope, receive, send)

PersonSearch.add_asgi_middleware(Inside)
print(TestClient(PersonSearch.to_asgi()).get("/livez").status_code)
"""
    said = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert [line for line in said.splitlines() if not line.startswith("{")] == ["not traced", "200"]
