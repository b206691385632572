import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from serving.web.middleware.private_answers import PrivateAnswers


def answering() -> Starlette:
    async def answer(request: Request) -> Response:
        if request.url.path == "/fails":
            raise RuntimeError("a bug")
        headers = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "max-age=60", "Retry-After": "7"}
        status = int(request.query_params.get("status", 200))
        return PlainTextResponse("done", status, headers if request.url.path == "/own" else None)

    app = Starlette(routes=[Route("/{anything}", answer)])
    app.add_middleware(PrivateAnswers)
    return app


@pytest.mark.parametrize(
    "path", ["/found", "/found?status=401", "/found?status=503", "/fails", "/a/missing/one", "/own"]
)
def test_no_answer_may_be_kept_or_read_by_another_page(path: str) -> None:
    with TestClient(answering(), raise_server_exceptions=False) as client:
        headers = client.get(path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"].startswith(
        "default-src 'self'" if path == "/own" else "default-src 'none'"
    )
    assert "Strict-Transport-Security" not in headers


def test_browsers_of_a_service_with_https_stay_there() -> None:
    with TestClient(answering(), base_url="https://service") as client:
        assert client.get("/found").headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(("path", "wait_s"), [("/found?status=503", "10"), ("/own?status=503", "7"), ("/found", None)])
def test_every_503_says_when_to_try_again(path: str, wait_s: str | None) -> None:
    with TestClient(answering()) as client:
        assert client.get(path).headers.get("Retry-After") == wait_s


def test_a_failure_is_answered_in_our_form() -> None:
    with TestClient(answering(), raise_server_exceptions=False) as client:
        answer = client.get("/fails")
    assert (answer.status_code, "X-Request-ID" in answer.json()["error"]) == (500, True)
