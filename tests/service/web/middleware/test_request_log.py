import json
import logging
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.authentication import SimpleUser
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from serving.web.middleware.request_log import RequestLog

SECRET = "dongseon_0123456789abcdef_" + "s" * 43


def watched() -> Starlette:
    api = FastAPI()

    @api.get("/crops/{district}/{number}")
    async def crop(district: str, number: int, request: Request) -> PlainTextResponse:
        request.scope["user"] = SimpleUser("kim")
        logging.getLogger("serving.test").warning("looking for %s", number)
        if number == 0:
            raise RuntimeError("a bug")
        return PlainTextResponse("done")

    app = Starlette(routes=[Mount("/v1", api)])
    app.add_middleware(RequestLog)
    return app


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(watched(), raise_server_exceptions=False) as asking:
        yield asking


def lines(output: str) -> list[MutableMapping[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def written() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as captured:
        yield captured


def test_a_request_has_one_line_with_its_route_and_never_what_was_asked(
    client: TestClient, written: list[MutableMapping[str, Any]]
) -> None:
    client.get(f"/v1/crops/demo/7?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}", "Cookie": SECRET})
    client.get(f"/{SECRET}")
    found, strange = written
    assert found.pop("ms") >= 0
    assert found == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "route": "/v1/crops/{district}/{number}",
        "status": 200,
        "account": "kim",
        "request_id": found["request_id"],
    }
    assert (strange["route"], strange["status"], strange["account"]) == ("unknown", 404, None)
    assert SECRET not in str(written)


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        ("a-B_9.z", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ('"}{', False),
        (None, False),
    ],
)
def test_a_well_formed_id_of_the_client_is_kept(
    client: TestClient, written: list[MutableMapping[str, Any]], sent: str | None, is_kept: bool
) -> None:
    answer = client.get("/v1/crops/demo/7", headers={} if sent is None else {"X-Request-ID": sent})
    given = answer.headers["X-Request-ID"]
    assert (given == sent) is is_kept
    assert len(given) == 32 or is_kept
    assert written[-1]["request_id"] == given


def test_requests_are_counted_by_route_and_status_also_those_that_fail(client: TestClient) -> None:
    def counted(status: str) -> float:
        labels = {"method": "GET", "route": "/v1/crops/{district}/{number}", "status": status}
        return REGISTRY.get_sample_value("dongseon_requests_total", labels) or 0

    before = counted("200"), counted("500")
    client.get("/v1/crops/demo/7")
    assert client.get("/v1/crops/demo/0").status_code == 500
    assert (counted("200"), counted("500")) == (before[0] + 1, before[1] + 1)
    assert REGISTRY.get_sample_value("dongseon_requests_in_work") == 0


def test_every_line_of_the_process_is_json_and_lines_of_a_request_carry_its_id() -> None:
    code = (
        "import logging, uvicorn, warnings; from serving.logs import write_json_logs;"
        "write_json_logs();"
        "from starlette.testclient import TestClient;"
        "from tests.service.web.middleware.test_request_log import watched;"
        "client = TestClient(watched(), raise_server_exceptions=False);"
        "client.get('/v1/crops/demo/7', headers={'X-Request-ID': 'mine'});"
        "client.get('/v1/crops/demo/0', headers={'X-Request-ID': 'broken'});"
        "logging.getLogger('uvicorn.error').error('of uvicorn'); logging.getLogger('bentoml').error('of BentoML');"
        "logging.getLogger('uvicorn.access').info('GET /?token=x'); warnings.warn('of Python', UserWarning);"
        "logging.getLogger('somebody').warning('a %s', 'value')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = lines(ended.stdout)
    events = [line["event"] for line in found]
    broken = [line for line in found if line.get("request_id") == "broken"]
    assert [line["event"] for line in broken] == ["looking for 0", "request failed", "request"]
    assert "RuntimeError: a bug" in str(broken[1]["exception"])
    mine = [(line["event"], line["logger"]) for line in found if line.get("request_id") == "mine"]
    assert mine == [("looking for 7", "serving.test"), ("request", "serving.web.middleware.request_log")]
    assert {"of uvicorn", "of BentoML", "a value"} <= set(events)
    assert any("of Python" in str(event) for event in events)
    assert not any("token" in str(event) for event in events)
    assert all(line["timestamp"] and line["level"] for line in found)
