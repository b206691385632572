"""An operator opens a case in an emergency; a reviewer is told and must agree in time, or the case is closed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from serving.cases.settings import CasesSettings
from serving.database import audit, tables
from serving.database.store import Store
from serving.watching.lapses import Lapses

NEW = {"title": "강가의 아이", "reason": "the child is near the river"}
DESCRIBED = {"reason": "missing", "attributes": '{"bag": "backpack"}'}


@pytest.fixture(scope="module", autouse=True)
def rules(people: dict[str, TestClient]) -> None:
    """An operator may open a case in an emergency; a reviewer has two hours to agree."""
    asked = people["kim"].app
    asked.state.cases = CasesSettings(second_person=False, emergency_hours=2, sheet_hours=24)  # type: ignore[attr-defined]


@pytest.fixture
def store(people: dict[str, TestClient]) -> Store:
    opened: Store = people["lee"].app.state.search_service.store()  # type: ignore[attr-defined]
    return opened


@pytest.fixture
def case(people: dict[str, TestClient], store: Store) -> Iterator[int]:
    """A case that the operator has opened in an emergency."""
    opened = people["kim"].post("/emergencies", json=NEW)
    assert opened.status_code == 201, opened.text
    yield int(opened.json()["id"])
    with store.begin() as connection:
        connection.execute(sa.delete(tables.emergencies))


def pass_time(store: Store, case: int) -> None:
    """Let the time for the agreement be over."""
    table = tables.emergencies
    with store.begin() as connection:
        earlier = table.c.agree_by - timedelta(hours=3)
        connection.execute(sa.update(table).where(table.c.case_id == case).values(agree_by=earlier))


def told(client: TestClient) -> list[list[dict[str, Any]]]:
    """The lists of awaited cases that the account's page is told."""
    lines = client.get("/alerts/events").text.splitlines()
    at = [number for number, line in enumerate(lines) if line == "event: emergencies"]
    return [json.loads(lines[number + 1].removeprefix("data: ")) for number in at]


def recorded(store: Store, case: int) -> list[tuple[str, dict[str, Any]]]:
    with store.begin() as connection:
        found = [
            one for one in audit.records(connection) if one.details.get("case_id") == case and one.action == "case"
        ]
    return [(one.account, {name: value for name, value in one.details.items() if name != "case_id"}) for one in found]


def search(client: TestClient, case: int) -> int:
    return client.post("/search", data=DESCRIBED | {"case": str(case)}).status_code


def test_the_operator_works_at_once_and_a_reviewer_is_told_and_agrees(
    people: dict[str, TestClient], store: Store, case: int
) -> None:
    kim, lee = people["kim"], people["lee"]
    assert search(kim, case) == 200
    emergency = kim.get(f"/cases/{case}").json()["emergency"]
    by = datetime.fromisoformat(emergency["agree_by"])
    assert abs(by - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)
    assert (emergency["account"], emergency["reason"], emergency["agreed_by"]) == ("kim", NEW["reason"], None)
    assert told(kim) == []
    [[awaited]] = told(lee)
    assert (awaited["case_id"], awaited["title"], awaited["reason"]) == (case, NEW["title"], NEW["reason"])
    told(lee)
    for _ in range(2):
        assert lee.post(f"/cases/{case}/agree").json()["emergency"]["agreed_by"] == "reviewer"
    assert told(lee) == [[]]
    pass_time(store, case)
    assert search(kim, case) == 200
    Lapses(lambda: store).close_next()
    assert kim.get(f"/cases/{case}").json()["closed"] is None
    happened = recorded(store, case)
    assert [account for account, _ in happened] == ["kim", "kim", "reviewer", "reviewer"]
    assert happened[1][1]["emergency"] == NEW["reason"]
    assert [details for _, details in happened[2:]] == [{"told_of_emergency": True}, {"agreed": True}]


def test_without_agreement_the_case_is_closed_from_the_moment_on(
    people: dict[str, TestClient], store: Store, case: int
) -> None:
    kim, lee = people["kim"], people["lee"]
    watch = kim.post("/watches", data=DESCRIBED | {"case": str(case)}).json()
    assert watch["is_active"]
    pass_time(store, case)
    assert search(kim, case) == 400, "no process has closed it yet"
    assert kim.get(f"/watches?case={case}").json()["watches"][0]["is_active"] is False
    assert lee.post(f"/cases/{case}/agree").json()["code"] == "case_closed"
    assert told(lee) == [[]]
    shown = kim.get(f"/cases/{case}").json()["closed"]
    lapses = Lapses(lambda: store)
    for _ in range(2):
        lapses.close_next()
    with store.begin() as connection:
        stored = connection.execute(sa.select(tables.cases.c.closed).where(tables.cases.c.id == case)).scalar_one()
    assert stored == datetime.fromisoformat(shown)
    assert [details for _, details in recorded(store, case)][-1] == {
        "closed": True,
        "why": "no reviewer agreed in time",
    }


def test_a_reviewer_who_does_not_agree_closes_it(people: dict[str, TestClient], store: Store, case: int) -> None:
    assert people["lee"].post(f"/cases/{case}/close").status_code == 200
    assert told(people["lee"]) == [[]]
    assert search(people["kim"], case) == 400


def test_one_case_of_an_operator_awaits_a_reviewer_at_a_time(
    people: dict[str, TestClient], store: Store, case: int
) -> None:
    kim = people["kim"]
    assert kim.post("/emergencies", json=NEW).json()["code"] == "emergency_awaited"
    assert people["lee"].post(f"/cases/{case}/agree").status_code == 200
    assert kim.post("/emergencies", json=NEW).status_code == 201


def test_where_it_is_not_configured_no_operator_opens_a_case(people: dict[str, TestClient], store: Store) -> None:
    people["lee"].app.state.cases = CasesSettings(second_person=False, emergency_hours=None, sheet_hours=24)  # type: ignore[attr-defined]
    refused = people["lee"].post("/emergencies", json=NEW)
    assert (refused.status_code, refused.json()["code"]) == (400, "no_emergency")


def test_a_case_that_a_reviewer_opened_needs_no_agreement(people: dict[str, TestClient], store: Store) -> None:
    refused = people["lee"].post("/cases/1/agree")
    assert (refused.status_code, "must have been opened in an emergency, 1 was not" in refused.text) == (400, True)
