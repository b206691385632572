"""Who may search and look for which case, and what is kept of it; over HTTP."""

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from serving.access.roles import Role
from serving.database.store import open_store
from serving.deployment import Deployment
from tests.helpers.deployments import FOR_CASE, REVIEWER, api_client_of, fill_store, write_deployment

SIGHTING = {"district": "demo", "tracklet_id": 4}


def test_nothing_is_shown_of_people_but_for_an_open_case_that_is_ones_own(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    fill_store(deployment)
    kim = replace(REVIEWER, name="kim", role=Role.OPERATOR)
    with api_client_of(deployment) as lee:
        assert lee.post("/cases/1/verdicts", json=SIGHTING | {"verdict": "confirmed"}).status_code == 200
    with api_client_of(deployment, account=kim) as client:
        described = FOR_CASE | {"attributes": '{"bag": "backpack"}'}
        route = FOR_CASE | {"sightings": [SIGHTING], "fill": True}
        for case in ("1", "99"):  # not kim's; nobody's
            answers = [
                client.post("/search", data=described | {"case": case}),
                client.post("/route", json=route | {"case": case}),
                client.post("/where-next", json=FOR_CASE | {"sightings": [SIGHTING], "case": case}),
                client.get("/crops/demo/4", params={"case": case}),
            ]
            assert [answer.status_code for answer in answers] == [404, 404, 404, 404]
            assert all(f"must be one that kim may work on, got {case}" in answer.json()["error"] for answer in answers)
        assert "must have case" in client.get("/crops/demo/4").json()["error"]
    with api_client_of(deployment) as lee:
        assert lee.post("/cases/1/close").status_code == 200
        answers = [
            lee.post("/search", data=described),
            lee.post("/route", json=route),
            lee.get("/crops/demo/2?case=1"),
        ]
        assert [(answer.status_code, "closed" in answer.json()["error"]) for answer in answers] == [(400, True)] * 3
        assert lee.get("/crops/demo/4?case=1").status_code == 200  # it was judged: a closed case may be looked at


def test_where_next_is_kept_as_the_search_that_it_is(client: TestClient) -> None:
    asked = FOR_CASE | {"sightings": [SIGHTING]}
    answer = client.post("/where-next", json=asked)
    assert answer.status_code == 200, answer.text
    search = client.get("/cases/1/export").json()["searches"][-1]
    assert search["question"] == {"sightings": [SIGHTING]}
    assert search["found"] == [["demo", hit["tracklet_id"]] for hit in answer.json()["sightings"]]
    last = client.get("/audit", params={"limit": 1000}).json()["records"][-3:]
    assert [record["action"] for record in last if record["action"] != "export"][-1] == "where next"


def test_a_filled_route_is_kept_as_the_search_that_it_is(client: TestClient) -> None:
    def searches() -> list[Any]:
        return list(client.get("/cases/1/export").json()["searches"])

    asked = FOR_CASE | {"sightings": [SIGHTING], "cameras": ["demo/cam0", "demo/cam1"]}
    before = searches()
    plain = client.post("/route", json=asked).json()
    assert plain["coverage"] is None
    assert searches() == before
    answer = client.post("/route", json=asked | {"fill": True, "until": "2026-05-01T12:05:00Z"}).json()
    assert [one["camera_id"] for one in answer["coverage"]["cameras"]] == ["cam0", "cam1"]
    *others, kept = searches()
    assert others == before
    assert (kept["account"], kept["reason"], kept["photo_sha256"]) == ("reviewer", FOR_CASE["reason"], None)
    assert kept["question"] == {
        "sightings": [SIGHTING],
        "fill": True,
        "cameras": ["demo/cam0", "demo/cam1"],
        "until": "2026-05-01T12:05:00Z",
    }
    assert kept["found"] == [["demo", 1], ["demo", 4]]
    same = ("coverage", "model_version", "deployment_version")
    assert {key: kept[key] for key in same} == {key: answer[key] for key in same}


def test_a_question_that_the_database_interrupts_gets_503_and_may_be_asked_again(
    client: TestClient, deployment: Deployment
) -> None:
    interrupt = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with open_store(deployment.store) as store, ThreadPoolExecutor(1) as other, store.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE cases")
        asking = other.submit(client.get, "/cases/1")
        while not connection.exec_driver_sql(interrupt).scalar():
            assert not wait([asking], timeout=0.05).done
            connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")  # it is kept for the transaction
        answer = asking.result()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "the database did not finish this request" in answer.json()["error"]
    assert client.get("/cases/1").status_code == 200
