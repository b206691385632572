"""A transaction of an endpoint: committed before its answer is sent, rolled back by an error."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.deadline import deadline_after
from serving.database import tables
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.web.api import build_api
from tests.helpers.deployments import MAX_UPLOAD_BYTES, client_of

COMMIT_FAILS = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'query_canceled'; END $$;
    CREATE CONSTRAINT TRIGGER fails_at_commit AFTER INSERT ON cases DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION fail();
"""


class WhenAnswered:
    """Middleware that counts the cases in the store at the moment an answer begins."""

    def __init__(self, app: ASGIApp, store: Store) -> None:
        self._app = app
        self._store = store
        self.counted: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.counted.append(num_cases(self._store))
            await send(message)

        await self._app(scope, receive, send_counted)


@pytest.fixture
def store(deployment: Deployment) -> Iterator[Store]:
    with open_store(deployment.store) as store:
        yield store


def num_cases(store: Store) -> int:
    with store.begin() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(tables.cases)).scalar_one()


@contextmanager
def api_of(deployment: Deployment) -> Iterator[FastAPI]:
    """The API, signed in."""
    api = build_api()
    api.state.max_upload_bytes, api.state.threads = MAX_UPLOAD_BYTES, 2
    with client_of(api, deployment):
        yield api


def test_a_transaction_is_committed_before_the_answer_begins(deployment: Deployment, store: Store) -> None:
    before = num_cases(store)
    with api_of(deployment) as api:
        watched = WhenAnswered(api, store)
        assert TestClient(watched).post("/cases", json={"title": "x"}).status_code == 201
    assert watched.counted == [before + 1]


def test_an_error_rolls_the_transaction_back_before_the_answer_begins(deployment: Deployment, store: Store) -> None:
    before = num_cases(store)
    with api_of(deployment) as api:
        watched = WhenAnswered(api, store)
        answer = TestClient(watched).post("/cases", json={"title": "x", "operators": ["nobody"]})
    assert (answer.status_code, "nobody" in answer.json()["error"]) == (400, True)  # after its case was inserted
    assert watched.counted == [before]


def test_an_error_of_the_commit_becomes_the_answer(deployment: Deployment, store: Store) -> None:
    before = num_cases(store)
    with store.begin() as connection:
        connection.exec_driver_sql(COMMIT_FAILS)
    try:
        with api_of(deployment) as api:
            answer = TestClient(api).post("/cases", json={"title": "x"})
    finally:
        with store.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER fails_at_commit ON cases; DROP FUNCTION fail")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "the database did not finish this request" in answer.json()["error"]
    assert num_cases(store) == before


def test_more_requests_than_the_pool_has_connections_do_not_wait_for_each_other(
    deployment: Deployment, store: Store
) -> None:
    async def open_many(api: FastAPI) -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://x", timeout=60) as client:
            answers = await asyncio.gather(*(client.post("/cases", json={"title": "x"}) for _ in range(64)))
        return [answer.status_code for answer in answers]

    with api_of(deployment) as api:
        assert asyncio.run(asyncio.wait_for(open_many(api), timeout=20)) == [201] * 64  # the pool gives up after 30 s


def test_after_the_deadline_no_transaction_begins(deployment: Deployment, store: Store) -> None:
    before = num_cases(store)
    with api_of(deployment) as api, deadline_after(0):
        answer = TestClient(api).post("/cases", json={"title": "x"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert num_cases(store) == before
