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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.web.middleware.rate_limit import Pace, PacedBodies, RateLimit
from serving.web.permissions import ENDPOINTS

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
    expected = "an account may send 3 searches, routes, photos and sentences a minute; wait as long as Retry-After says"
    assert refused.json()["error"] == expected
    assert client.get("/v1/crops/demo/1", headers=KIM).status_code == 200
    assert client.get("/v1/search", headers=LEE).status_code == 200


def test_whatever_computes_for_a_search_counts_as_one(client: TestClient) -> None:
    posted = [path for method, path in ENDPOINTS if method == "POST"]
    opening = {"/v1/cases", "/v1/emergencies"}
    paths = [path for path in posted if path.startswith("/v1/") and path.count("{") == 0 and path not in opening]
    paths.append("/v1/cases/1/sheets")
    assert len(paths) >= 5
    for path in paths:
        answers = [client.get(path, headers={"X-Account": path}) for _ in range(MOST_SEARCHES + 1)]
        assert [answer.status_code for answer in answers] == [200] * MOST_SEARCHES + [429], path


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
@pytest.mark.parametrize(
    ("path", "most", "burst", "pace"),
    [("/v1/search", 1200, 60, 1.5), ("/v1/crops/demo/1", 600, 30, 1.5), ("/v1/cases", 1200, 60, 1.0)],
)
def test_what_an_account_may_send_in_a_minute_does_not_come_at_once(
    path: str, most: int, burst: int, pace: float
) -> None:
    requests = most if path == "/v1/cases" else 9000
    app = limited({"requests_per_minute": requests, "searches_per_minute": most, "crops_per_minute": most})
    later, apart_s = 30, 60 / (pace * most)

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


def test_a_pace_lets_a_burst_through_and_then_so_much_a_second() -> None:
    pace = Pace(per_s=0.1, burst=3)
    waits_s = [pace.wait_s("kim") for _ in range(6)]
    assert waits_s[:4] == [0] * 4
    assert waits_s[4:] == pytest.approx([10, 20], abs=5)
    assert pace.wait_s("lee", units=50) == 0
    assert pace.wait_s("lee") == pytest.approx(470, abs=5), "50 units less the burst"


@pytest.mark.slow
def test_large_bodies_of_one_account_come_in_at_their_pace_and_those_of_others_at_once() -> None:
    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass

    app, chunks = PacedBodies(read, bytes_s=1000, burst=500), 10

    async def sent_s(account: str | None) -> float:
        left, began = chunks, time.monotonic()

        async def receive() -> Message:
            nonlocal left
            left -= 1
            return {"type": "http.request", "body": bytes(100), "more_body": left > 0}

        async def send(_: Message) -> None:
            raise AssertionError

        user = {} if account is None else {"user": SimpleUser(account)}
        await app({"type": "http", **user}, receive, send)
        return time.monotonic() - began

    async def main() -> tuple[float, ...]:
        return (*await asyncio.gather(*map(sent_s, ("kim", "kim", None))), await sent_s("lee"))

    first_s, second_s, open_path_s, lee_s = asyncio.run(main())
    assert max(first_s, second_s) > 1.3, "2000 bytes less the burst of 500"
    assert open_path_s < 0.5
    assert 0.3 < lee_s < 1.0
