from starlette.applications import Starlette
from starlette.authentication import SimpleUser
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.web.rate_limit import RateLimit

MOST = 3


class NamedByHeader:
    """Stands where authentication stands: the account is what the header says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = dict(scope.get("headers", [])).get(b"x-account")
        if name is not None:
            scope["user"] = SimpleUser(name.decode())
        await self._app(scope, receive, send)


def limited() -> ASGIApp:
    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse("done")

    api = Starlette(routes=[Route("/search", answer), Route("/cameras", answer)])
    api.add_middleware(RateLimit, per_minute={"/search": MOST})
    return NamedByHeader(Starlette(routes=[Mount("/v1", api)]))


def test_who_asked_too_often_is_told_when_to_come_back() -> None:
    client = TestClient(limited())
    assert [client.get("/v1/search").status_code for _ in range(MOST + 2)] == [200] * MOST + [429] * 2
    refused = client.get("/v1/search")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["error"] == f"/search may be asked {MOST} times a minute; wait as long as Retry-After says"
    assert client.get("/v1/cameras").status_code == 200


def test_accounts_and_addresses_are_counted_apart() -> None:
    app = limited()
    here, there = TestClient(app), TestClient(app, client=("192.0.2.7", 1))
    for _ in range(MOST):
        here.get("/v1/search", headers={"X-Account": "kim"})
    assert there.get("/v1/search", headers={"X-Account": "kim"}).status_code == 429  # the account, wherever it is
    assert here.get("/v1/search", headers={"X-Account": "lee"}).status_code == 200
    for _ in range(MOST):
        here.get("/v1/search")
    assert here.get("/v1/search").status_code == 429
    assert there.get("/v1/search").status_code == 200
