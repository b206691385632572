import asyncio
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.authentication import SimpleUser
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.middleware.rate_limit import RateLimit

MOST, MOST_SEARCHES, MOST_CROPS = 7, 3, 5
KIM, LEE = {"X-Account": "kim"}, {"X-Account": "lee"}


class NamedByHeader:
    """Stands where authentication stands: the account is what the header says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = dict(scope.get("headers", [])).get(b"x-account")
        if name is not None:
            scope["user"] = SimpleUser(name.decode())
        await self._app(scope, receive, send)


@pytest.fixture
def client() -> TestClient:
    few = {"requests_per_minute": MOST, "searches_per_minute": MOST_SEARCHES, "crops_per_minute": MOST_CROPS}
    return TestClient(limited(few))


def limited(limits: dict[str, int]) -> ASGIApp:
    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/{path:path}", answer)])
    return NamedByHeader(RateLimit(app, **limits))


def test_who_searched_too_often_is_told_when_to_come_back_and_may_still_look(client: TestClient) -> None:
    paths = ["/v1/search", "/v1/route", "/v1/search", "/v1/route", "/v1/search"]
    assert [client.get(path, headers=KIM).status_code for path in paths] == [200] * 3 + [429] * 2
    refused = client.get("/v1/search", headers=KIM)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    expected = "an account may send 3 searches and routes a minute; wait as long as Retry-After says"
    assert refused.json()["error"] == expected
    assert client.get("/v1/crops/demo/1", headers=KIM).status_code == 200
    assert client.get("/v1/search", headers=LEE).status_code == 200


def test_who_looked_at_too_many_crops_has_to_wait_and_may_still_search(client: TestClient) -> None:
    asked = [client.get(f"/v1/crops/demo/{number}", headers=KIM) for number in range(MOST_CROPS + 1)]
    assert [answer.status_code for answer in asked] == [200] * MOST_CROPS + [429]
    assert "an account may send 5 crops a minute" in asked[-1].json()["error"]
    assert client.get("/v1/search", headers=KIM).status_code == 200
    assert client.get("/v1/crops/demo/1", headers=LEE).status_code == 200


@pytest.mark.parametrize("path", ["/v1/coverage", "/v1/cases", "/metrics", "/"])
def test_all_that_an_account_asks_for_is_counted(client: TestClient, path: str) -> None:
    assert [client.get(path, headers=KIM).status_code for _ in range(MOST + 1)] == [200] * MOST + [429]
    refused = client.get("/v1/search", headers=KIM)
    assert (refused.status_code, "7 requests a minute" in refused.json()["error"]) == (429, True)
    assert client.get(path, headers=LEE).status_code == 200


def test_probes_are_free(client: TestClient) -> None:
    assert {client.get("/readyz").status_code for _ in range(2 * MOST)} == {200}


@pytest.mark.slow
@pytest.mark.parametrize(("path", "most", "burst"), [("/v1/search", 1200, 60), ("/v1/crops/demo/1", 600, 30)])
def test_what_an_account_may_send_in_a_minute_does_not_come_at_once(path: str, most: int, burst: int) -> None:
    app = limited({"requests_per_minute": 9000, "searches_per_minute": most, "crops_per_minute": most})
    later, apart_s = 30, 60 / (2 * most)

    async def main() -> list[float]:
        began, ended = time.monotonic(), []

        async def ask(headers: dict[str, str], number: int) -> None:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as asking:
                for _ in range(number):
                    assert (await asking.get(path, headers=headers)).status_code == 200
            ended.append(time.monotonic() - began)

        await asyncio.gather(ask(KIM, burst + later), ask(LEE, 5))
        return ended

    first, last = asyncio.run(main())
    assert last > (later - 1) * apart_s > first
