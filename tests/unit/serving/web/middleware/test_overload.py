import asyncio
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain.deadline import OverdueError, require_time
from serving.web.middleware.overload import AtMost, Deadline
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


def test_an_answer_in_time_is_left_alone() -> None:
    stages: list[str] = []

    async def main() -> None:
        async with client(in_time(20, stages)) as asking:
            assert (await asking.get("/computes")).text == "done"

    asyncio.run(main())
    assert len(stages) == 50


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
