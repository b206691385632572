"""No 500 by input: what a request brings about is answered as its fault, or with when to try again."""

import json
import logging
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from domain.deadline import OverdueError
from domain.errors import InputError
from serving.database import audit
from serving.database.audit import Action
from serving.database.damage import DamagedError
from serving.database.store import Store
from serving.perception.engine_calls import EnginesAwayError
from serving.search.connected import NotReadyError
from serving.search.photo import DecodersAwayError
from serving.web.errors import add_error_answers
from tests.helpers.deployments import FOR_CASE, REVIEWER

JSON = {"Content-Type": "application/json"}
SECRET = "s3cret-of-the-form"
BODY: dict[str, Any] = {"sightings": [{"district": "demo", "tracklet_id": 1}], **FOR_CASE}


def answer_to(error: Exception | None = None, store: Store | None = None, statement: str = "") -> tuple[int, str, str]:
    """Status, Retry-After and error of an endpoint that raises, or executes a statement with `SECRET`."""
    app = FastAPI()
    add_error_answers(app)

    @app.get("/")
    def fail() -> None:
        if error is not None:
            raise error
        assert store is not None
        with store.begin() as connection:
            connection.execute(sa.text(statement), {"secret": SECRET})

    answer = TestClient(app, raise_server_exceptions=False).get("/")
    return answer.status_code, answer.headers.get("Retry-After", ""), answer.json()["error"]


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("SELECT CAST(:secret AS integer)", id="not a number"),
        pytest.param("SELECT 1 / 0, :secret", id="division by zero"),
        pytest.param("SELECT CAST(CAST(:secret AS text) AS timestamptz)", id="no time"),
        pytest.param(
            "CREATE TEMP TABLE one ON COMMIT DROP AS SELECT string_agg(md5(n::text), :secret) AS text"
            " FROM generate_series(1, 2000) n; CREATE INDEX ON one (text)",
            id="too long for an index",
        ),
    ],
)
def test_what_the_database_cannot_take_is_the_requests_fault(shared_store: Store, statement: str) -> None:
    if ";" in statement:
        create, index = statement.split("; ")
        statement = f"DO $$ BEGIN {create.replace(':secret', repr(SECRET))}; {index}; END $$"
    status, _, error = answer_to(store=shared_store, statement=statement)
    assert (status, "values that the database can store" in error, SECRET in error) == (400, True, False)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        NotReadyError("the engines must answer"),
        EnginesAwayError("the engines must answer"),
        DecodersAwayError("photos must be decoded"),
        OverdueError("the answer must be ready"),
        sa.exc.OperationalError("SELECT", {}, Exception("the server closed the connection")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_503_says_when_to_try_again(error: Exception) -> None:
    status, wait_s, said = answer_to(error)
    assert (status, int(wait_s) >= 1, bool(said)) == (503, True, True)


def test_who_needs_a_damaged_part_of_the_database_is_told_which() -> None:
    damaged = DamagedError("the index faces must be whole, it is damaged and is being built anew")
    status, wait_s, said = answer_to(sa.exc.OperationalError("SELECT", {}, damaged))
    assert (status, wait_s, said) == (503, "1", str(damaged))


def test_an_error_repeats_little_of_what_came() -> None:
    status, _, error = answer_to(InputError("x" * 1_000_000))
    assert (status, len(error) < 1100) == (400, True)


def test_an_error_of_the_database_quotes_no_row_and_no_value(
    shared_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    raises = "RAISE EXCEPTION 'refused' USING ERRCODE = 'XX000', DETAIL = concat('Failing row: ', x)"
    with shared_store.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION fail(x text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN {raises}; END $$"
        )
    with pytest.raises(sa.exc.InternalError, match="refused") as raised, shared_store.begin() as connection:
        connection.execute(sa.text("SELECT fail(:secret)"), {"secret": SECRET})
    with caplog.at_level(logging.ERROR):
        logging.getLogger("serving").error("request failed", exc_info=raised.value)
    assert "refused" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "DELETE", "TRACE"])
def test_a_method_that_is_not_there_gets_405_or_404(client: TestClient, method: str) -> None:
    for path in ("/openapi.json", "/status", "/nowhere", "/crops/demo/1"):
        assert client.request(method, path).status_code in (404, 405), path


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 5000], ids=["NUL", "half a pair", "long"])
def test_each_text_of_each_model_is_checked(client: TestClient, text: str) -> None:
    sighting = {"district": text, "tracklet_id": 1}
    verdict = {**BODY["sightings"][0], "verdict": "none"}
    bodies: dict[str, list[dict[str, Any]]] = {
        "/route": [{**BODY, name: value} for name, value in _spoiled(text, sighting)],
        "/cases": [{"title": text}, {"title": "x", "operators": [text]}],
        "/cases/1/verdicts": [verdict | {"district": text}, verdict | {"verdict": text}],
    }
    for path, each in bodies.items():
        for body in each:
            answer = client.post(path, content=json.dumps(body), headers=JSON)
            assert (answer.status_code, bool(answer.json()["error"])) == (400, True), (path, body)
    named = json.dumps({"operators": [text]})
    assert client.put("/cases/1/operators", content=named, headers=JSON).status_code == 400


def _spoiled(text: str, sighting: dict[str, object]) -> list[tuple[str, object]]:
    return [
        ("reason", text),
        ("cameras", [text]),
        ("cameras", ["demo/cam1", text]),
        ("sightings", [sighting]),
        ("rejected", [sighting]),
        ("since", text),
        ("area", {"latitude": text, "longitude": 1, "radius_m": 1}),
        (text, 1),
    ]


def test_cameras_of_a_route_are_checked_whether_used_or_not(client: TestClient) -> None:
    for fill in (False, True):
        answer = client.post("/route", json=BODY | {"cameras": ["demo/nowhere"], "fill": fill})
        assert (answer.status_code, "cameras must be named" in answer.json()["error"]) == (400, True)


def test_what_is_named_twice_is_recorded_once(client: TestClient) -> None:
    asked = {"cameras": ",".join(["demo/cam1"] * 5000), "attributes": json.dumps({"bag": {"is": ["backpack"] * 90}})}
    assert client.post("/search", data=FOR_CASE | asked).status_code == 200
    records = client.get("/audit", params={"limit": 1000}).json()["records"]
    [question] = [each["details"]["question"] for each in records if each["action"] == "search"]
    assert question == {"cameras": "demo/cam1", "attributes": {"bag": {"is": ["backpack"]}}}


def test_a_record_of_the_audit_is_bounded(shared_store: Store) -> None:
    details = {
        "case_id": 1,
        "reason": "r" * 400,
        "question": {"cameras": ["c" * 60] * 5000},
        "found": [["demo", 1]] * 2000,
    }
    with shared_store.begin() as connection:
        audit.append(connection, REVIEWER.name, Action.SEARCH, details)
        last = list(audit.records(connection))[-1]
        assert audit.verify(connection).number == last.number
    assert len(audit.as_line(last).encode()) < audit.MOST_DETAILS_BYTES + 500
    assert (last.details["case_id"], last.details["reason"]) == (1, "r" * 400)
    assert last.details["question"].keys() == last.details["found"].keys() == {"sha256", "bytes"}
