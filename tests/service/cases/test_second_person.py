"""In a case that asks for a second person, a match counts when two agree, and the second is not told of the first."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.cases.cases import open_case
from serving.cases.labels import export_labels
from serving.cases.settings import CasesSettings
from serving.cases.visible import show_in_case
from serving.cases.walks import _confirmed
from serving.database import tables
from serving.database.store import Store
from serving.watching.watches import _rejected
from tests.helpers.deployments import REVIEWER
from tests.helpers.sightings import in_transaction

REASON = {"reason": "a child is missing"}


def sighting(number: int) -> dict[str, Any]:
    return {"district": "demo", "tracklet_id": number}


@pytest.fixture(scope="module", autouse=True)
def rules(people: dict[str, TestClient]) -> None:
    """Every case needs a second person."""
    asked = people["lee"].app
    asked.state.cases = CasesSettings(second_person=True, emergency_hours=None, sheet_hours=24)  # type: ignore[attr-defined]


@pytest.fixture
def store(people: dict[str, TestClient]) -> Store:
    opened: Store = people["lee"].app.state.search_service.store()  # type: ignore[attr-defined]
    return opened


@pytest.fixture
def case(people: dict[str, TestClient], store: Store) -> int:
    """A case of both operators in which everybody was found."""
    new = people["lee"].post("/cases", json={"title": "빨간 외투", "operators": ["kim", "park"]}).json()
    assert new["second_person"]
    in_transaction(store, show_in_case, new["id"], [("demo", number) for number in range(1, 13)])
    return int(new["id"])


Judge = Callable[[str, int, str], str]


@pytest.fixture
def judge(people: dict[str, TestClient], case: int) -> Judge:
    """The standing of a sighting after somebody's verdict."""

    def give(who: str, number: int, verdict: str) -> str:
        answer = people[who].post(f"/cases/{case}/verdicts", json=sighting(number) | {"verdict": verdict})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["standing"])

    return give


@pytest.mark.parametrize(
    ("given", "standing"),
    [
        pytest.param("kim+", "open", id="one"),
        pytest.param("kim+ kim+", "open", id="one, twice"),
        pytest.param("kim+ park+", "confirmed", id="two operators"),
        pytest.param("kim+ lee+", "confirmed", id="operator and reviewer"),
        pytest.param("kim- park-", "rejected", id="two reject"),
        pytest.param("kim-", "open", id="one rejects"),
        pytest.param("kim+ park-", "open", id="they disagree"),
        pytest.param("kim+ park- lee+", "confirmed", id="a third person decides"),
        pytest.param("kim+ park- lee-", "rejected", id="a third person decides against"),
        pytest.param("kim+ park+ kim0", "open", id="one takes it back"),
        pytest.param("kim+ park- park+", "confirmed", id="one changes their mind"),
    ],
)
def test_a_verdict_counts_when_a_second_person_agrees(judge: Judge, given: str, standing: str) -> None:
    verdicts = {"+": "confirmed", "-": "rejected", "0": "none"}
    assert [judge(each[:-1], 1, verdicts[each[-1]]) for each in given.split()][-1] == standing


def test_in_other_cases_the_last_verdict_counts(people: dict[str, TestClient], store: Store) -> None:
    other = in_transaction(store, open_case, REVIEWER, "another", ["kim"]).id
    in_transaction(store, show_in_case, other, [("demo", 1)])
    for verdict in ("rejected", "confirmed"):
        given = people["kim"].post(f"/cases/{other}/verdicts", json=sighting(1) | {"verdict": verdict})
        assert given.json() == {"standing": verdict}
    for account in ("kim", "lee"):
        [told] = people[account].get(f"/cases/{other}").json()["verdicts"]
        assert (told["verdict"], told["account"], told["standing"]) == ("confirmed", "kim", "confirmed")


@pytest.mark.parametrize("verdict", ["confirmed", "rejected"])
def test_the_second_person_is_not_told_of_the_first_verdict(
    people: dict[str, TestClient], case: int, judge: Judge, verdict: str
) -> None:
    """Nothing that park, or the reviewer, can ask differs by what kim has said of sighting 1."""
    asked = REASON | {"case": str(case)}
    judge("kim", 1, verdict)
    like = '[{"district": "demo", "tracklet_id": 1}]'
    described = {"attributes": '{"bag": "backpack"}', ("like" if verdict == "confirmed" else "rejected"): like}
    assert people["kim"].post("/search", data=asked | described).status_code == 200
    for name in ("park", "lee"):
        details = people[name].get(f"/cases/{case}").json()
        assert details["verdicts"] == []
        assert [one["tracklet_id"] for one in details["to_judge"]] == [1]
        assert set(details["to_judge"][0]) == {"district", "tracklet_id", "camera_id", "first_seen", "last_seen"}
        question = people[name].get(f"/cases/{case}/question").json()["last_search"]["question"]
        assert "attributes" in question
        assert not {"like", "rejected", "confirmed"} & set(question)
        found = people[name].post("/search", data=asked | {"attributes": '{"bag": "backpack"}', "top_k": "12"}).json()
        assert 1 in [hit["tracklet_id"] for hit in found["sightings"]]
        assert not any(hit["confirmed"] for hit in found["sightings"])
    exported = people["lee"].get(f"/cases/{case}/export").json()
    assert exported["verdicts"] == []
    assert not any({"like", "rejected"} & set(search["question"]) for search in exported["searches"])
    own = people["kim"].get(f"/cases/{case}").json()
    assert [(one["verdict"], one["standing"]) for one in own["verdicts"]] == [(verdict, "open")]
    assert own["to_judge"] == []
    judge("park", 1, "confirmed")  # now park may know
    [told] = people["park"].get(f"/cases/{case}").json()["verdicts"]
    assert told["judges"] == ["kim", "park"]
    [told] = people["kim"].get(f"/cases/{case}").json()["verdicts"]
    assert told["standing"] == ("confirmed" if verdict == "confirmed" else "open")


def test_only_what_two_confirmed_is_used_as_a_match(people: dict[str, TestClient], case: int, judge: Judge) -> None:
    kim, matches = people["kim"], {"confirmed": '[{"district": "demo", "tracklet_id": 1}]'}
    asked = REASON | {"case": case}
    doors: dict[str, Callable[[], Any]] = {
        "search": lambda: kim.post("/search", data=asked | matches),
        "route": lambda: kim.post("/route", json=asked | {"sightings": [sighting(1)], "fill": True}),
        "route as a file": lambda: kim.post("/route?format=csv", json=asked | {"sightings": [sighting(1)]}),
        "where next": lambda: kim.post("/where-next", json=asked | {"sightings": [sighting(1)]}),
        "watch": lambda: kim.post("/watches", data=asked | matches),
    }
    judge("kim", 1, "confirmed")
    for name, ask in doors.items():
        assert (ask().status_code, ask().json()["code"]) == (400, "second_person"), name
    judge("park", 1, "confirmed")
    for name, ask in doors.items():
        assert ask().status_code in (200, 201), name


def test_labels_walks_and_watches_take_what_two_said(
    people: dict[str, TestClient], case: int, judge: Judge, store: Store, tmp_path: Any
) -> None:
    judge("kim", 1, "confirmed")
    judge("kim", 2, "rejected")

    def taken(step: str) -> tuple[bool, bool, bool]:
        export_labels(store, tmp_path / step)
        lines = (tmp_path / step / "labels.csv").read_text(encoding="utf-8").splitlines()
        walked = in_transaction(store, _confirmed, "demo")
        version = people["lee"].app.state.search_service.engines().model_version  # type: ignore[attr-defined]
        avoided = in_transaction(store, _rejected, {case}, version)
        return any(f",{case}," in line for line in lines), walked.get(1) == case, bool(avoided.get(case))

    assert taken("one") == (False, False, False)
    judge("park", 1, "confirmed")
    judge("park", 2, "rejected")
    assert taken("two") == (True, True, True)


def test_a_hold_keeps_what_awaits_a_second_person(
    people: dict[str, TestClient], case: int, judge: Judge, store: Store
) -> None:
    def kept() -> list[int]:
        with store.begin() as connection:
            rows = connection.execute(tables.case_sightings.select().where(tables.case_sightings.c.case_id == case))
            return [row.tracklet_id for row in rows]

    judge("kim", 1, "confirmed")
    judge("park", 1, "rejected")
    assert kept() == [1]
    judge("kim", 1, "none")
    assert kept() == []
    judge("kim", 2, "confirmed")
    assert people["lee"].put(f"/cases/{case}/legal-hold", json={"held": True}).status_code == 200
    judge("kim", 2, "rejected")
    assert kept() == [2]
    assert people["lee"].put(f"/cases/{case}/legal-hold", json={"held": False}).status_code == 200
    assert kept() == []


def test_a_rejected_sighting_stays_rejected_for_the_case(
    people: dict[str, TestClient], case: int, judge: Judge
) -> None:
    """The request says nothing of verdicts."""

    def found(who: str) -> set[int]:
        asked = REASON | {"case": str(case), "attributes": '{"bag": "backpack"}', "top_k": "12"}
        return {hit["tracklet_id"] for hit in people[who].post("/search", data=asked).json()["sightings"]}

    assert {1, 2, 3} <= found("kim")
    judge("kim", 1, "rejected")
    assert 1 not in found("kim")
    assert 1 in found("park"), "park is still to judge it"
    judge("park", 1, "rejected")
    assert 1 not in found("park") | found("lee")
    judge("park", 1, "none")
    judge("kim", 1, "none")
    assert 1 in found("kim")
