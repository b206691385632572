"""A case shows what its searches found and what was judged in it: nothing else, by whatever door."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from serving.access.accounts import disable_account
from serving.access.roles import Role
from serving.cases.cases import close_case, name_operators, open_case
from serving.cases.searches import RecordedRequest, record_search
from serving.cases.visible import show_in_case
from serving.database import tables
from serving.database.audit import records
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.search.coverage import Coverage
from serving.search.messages import SearchAnswer
from serving.search.search import Hit, hit_of, stored_sightings
from serving.search.service import SearchService
from tests.helpers.deployments import REVIEWER, api_client_of, token_of
from tests.helpers.sightings import CAMERAS, tracklet, unit_vectors

KIM = replace(REVIEWER, name="kim", role=Role.OPERATOR)
REASON = "a child is missing"
NOTHING = Coverage(since=None, until=None, share=0.0, cameras=[])


def sighting(number: int, district: str = "demo") -> dict[str, Any]:
    return {"district": district, "tracklet_id": number}


def answer_of(hits: list[Hit]) -> SearchAnswer:
    """The answer to a search that finds these."""
    return SearchAnswer(
        model_version="net-1", deployment_version="0123456789ab", people_xyxy=[], sightings=hits, coverage=NOTHING
    )


@pytest.fixture(scope="module")
def kim(deployment: Deployment) -> Iterator[TestClient]:
    """An operator's requests."""
    token_of(deployment, "kim", Role.OPERATOR)
    with api_client_of(deployment, account=KIM) as client:
        yield client


@pytest.fixture
def case(deployment: Deployment, kim: TestClient) -> int:  # which adds her account
    """A new case of kim's, of which nobody searched anything."""
    with open_store(deployment.store) as store, store.begin() as connection:
        return open_case(connection, REVIEWER, "Red coat", ["kim"]).id


def doors(kim: TestClient, case: int, seen: dict[str, Any]) -> dict[str, int]:
    """Status of each request that shows or takes a sighting by its number."""
    asked = {"case": case, "reason": REASON}
    known = f'[{{"district": "{seen["district"]}", "tracklet_id": {seen["tracklet_id"]}}}]'
    described = {"attributes": '{"bag": "backpack"}'}
    return {
        "crop": kim.get(f"/crops/{seen['district']}/{seen['tracklet_id']}", params={"case": case}).status_code,
        "route": kim.post("/route", json=asked | {"sightings": [seen]}).status_code,
        "rejected of a route": kim.post("/route", json=asked | {"sightings": [], "rejected": [seen]}).status_code,
        "where next": kim.post("/where-next", json=asked | {"sightings": [seen]}).status_code,
        "confirmed": kim.post("/search", data=asked | {"confirmed": known}).status_code,
        "rejected": kim.post("/search", data=asked | described | {"rejected": known}).status_code,
        "like": kim.post("/search", data=asked | {"like": known}).status_code,
        "watch": kim.post("/watches", data=asked | {"confirmed": known}).status_code,
        "estimate of a watch": kim.post("/watches/estimate", data=asked | {"confirmed": known}).status_code,
        **{
            given: kim.post(f"/cases/{case}/verdicts", json=seen | {"verdict": given}).status_code
            for given in ("none", "rejected", "confirmed")
        },
    }


@pytest.mark.parametrize("seen", [sighting(7), sighting(99), sighting(1, "elsewhere"), sighting(0)], ids=str)
def test_no_door_shows_a_sighting_that_the_case_has_not_found(kim: TestClient, case: int, seen: dict[str, Any]) -> None:
    """Stored or not: the answers do not tell which numbers exist."""
    assert set(doors(kim, case, seen).values()) == {404}
    refused = kim.get(f"/crops/{seen['district']}/{seen['tracklet_id']}", params={"case": case}).json()["error"]
    assert f"case {case} does not show {seen['district']}/{seen['tracklet_id']}; search first" in refused
    assert kim.get(f"/cases/{case}").json()["verdicts"] == []


def test_a_guess_after_a_refused_verdict_shows_no_more_than_before(kim: TestClient, case: int) -> None:
    for _ in range(2):
        assert set(doors(kim, case, sighting(8)).values()) == {404}


def test_what_a_search_found_opens_every_door_of_its_case_alone(
    kim: TestClient, deployment: Deployment, case: int
) -> None:
    asked = {"case": case, "reason": REASON, "attributes": '{"bag": "backpack"}', "top_k": "1"}
    (hit,) = kim.post("/search", data=asked).json()["sightings"]
    found = sighting(hit["tracklet_id"])
    statuses = doors(kim, case, found)
    assert statuses.pop("rejected of a route") == 400  # a route must have a confirmed one
    assert set(statuses.values()) == {200, 201}
    other = 1 + found["tracklet_id"] % 12
    assert kim.get(f"/crops/demo/{other}", params={"case": case}).status_code in (200, 404)
    with open_store(deployment.store) as store, store.begin() as connection:
        elsewhere = open_case(connection, REVIEWER, "Blue coat", ["kim"]).id
    assert set(doors(kim, elsewhere, found).values()) == {404}


def test_what_fills_a_route_and_its_alternatives_is_shown(kim: TestClient, deployment: Deployment, case: int) -> None:
    with open_store(deployment.store) as store, store.begin() as connection:
        show_in_case(connection, case, [("demo", 4)])
    asked = {"case": case, "reason": REASON, "sightings": [sighting(4)], "fill": True}
    answer = kim.post("/route", json=asked).json()
    stops = {hit["tracklet_id"] for each in [answer, *answer["alternatives"]] for hit in each["route"]}
    assert len(stops) > 1
    statuses = {kim.get(f"/crops/demo/{number}", params={"case": case}).status_code for number in stops}
    assert statuses == {200}


def test_what_was_judged_is_shown_though_no_search_found_it(kim: TestClient, deployment: Deployment, case: int) -> None:
    table = tables.verdicts
    with open_store(deployment.store) as store, store.begin() as connection:
        for number, verdict in ((5, "confirmed"), (6, "none")):
            given = {"case_id": case, **sighting(number), "verdict": verdict, "account": "kim"}
            connection.execute(sa.insert(table).values(given))
    assert kim.get("/crops/demo/5", params={"case": case}).status_code == 200
    assert kim.get("/crops/demo/6", params={"case": case}).status_code == 404  # taken back is no verdict


def test_no_footage_is_shown_of_a_sighting_that_the_case_has_not_found(
    kim: TestClient, deployment: Deployment, case: int
) -> None:
    """Neither frame nor clip, nor whether there are any."""
    asked = {"case": case, "reason": REASON}

    def codes_of(number: int) -> list[str | None]:
        address = f"/footage/demo/{number}"
        about, frame = kim.get(address, params={"case": case}), kim.post(f"{address}/frame", json=asked)
        return [answer.json().get("code") for answer in (about, frame, kim.post(f"{address}/clip", json=asked))]

    assert codes_of(7) == codes_of(99) == 3 * ["sighting_unknown"]
    with open_store(deployment.store) as store, store.begin() as connection:
        show_in_case(connection, case, [("demo", 7)])
    assert codes_of(7) == [None, "no_footage", "no_footage"]  # whose footage is not stored here


@pytest.mark.parametrize("what", ["closed", "taken away", "disabled"])
@pytest.mark.parametrize("door", ["search", "route", "where_next", "crop"])
def test_a_request_in_work_is_not_answered_once_the_case_is_no_longer_the_accounts(
    deployment: Deployment, case: int, monkeypatch: pytest.MonkeyPatch, what: str, door: str
) -> None:
    name = f"lee-{door}-{what.replace(' ', '')}"
    token_of(deployment, name, Role.OPERATOR)
    work = getattr(SearchService, door)

    def end_it(store: Store) -> None:
        with store.begin() as connection:
            if what == "closed":
                close_case(connection, REVIEWER, case)
            elif what == "disabled":
                disable_account(connection, name, "test")
            else:
                name_operators(connection, REVIEWER, case, ["kim"])

    def work_and_meanwhile(service: SearchService, *asked: Any) -> Any:
        done = work(service, *asked)
        end_it(service.store())
        return done

    asked = {"case": case, "reason": REASON}
    with open_store(deployment.store) as store, api_client_of(deployment, account=replace(KIM, name=name)) as client:
        with store.begin() as connection:
            name_operators(connection, REVIEWER, case, [name])
            show_in_case(connection, case, [("demo", 4)])
        monkeypatch.setattr(SearchService, door, work_and_meanwhile)
        answer = {
            "search": lambda: client.post("/search", data=asked | {"attributes": '{"bag": "backpack"}'}),
            "route": lambda: client.post("/route", json=asked | {"sightings": [sighting(4)], "fill": True}),
            "where_next": lambda: client.post("/where-next", json=asked | {"sightings": [sighting(4)]}),
            "crop": lambda: client.get("/crops/demo/4", params={"case": case}),
        }[door]()
        assert answer.status_code == (400 if what == "closed" else 404), answer.content[:200]
        with store.begin() as connection:
            assert [one for one in records(connection) if one.account == name] == []


def test_a_case_stays_open_until_a_search_of_it_is_recorded(deployment: Deployment, case: int) -> None:
    request = RecordedRequest(case_id=case, reason=REASON, question={})
    closes = sa.update(tables.cases).where(tables.cases.c.id == case).values(closed=sa.func.now())
    with open_store(deployment.store) as store, store.begin() as recording, store.begin() as closing:
        record_search(recording, REVIEWER, request, None, answer_of([]))
        closing.exec_driver_sql("SET LOCAL lock_timeout = '300ms'")
        with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
            closing.execute(closes)
        closing.rollback()


def test_numbers_of_a_replaced_district_are_not_shown_any_more(store: Store) -> None:
    people = [tracklet(i + 1, vector) for i, vector in enumerate(unit_vectors(seed=0, number=3, feature=16))]
    found = sa.select(tables.found_sightings.c.district, tables.found_sightings.c.tracklet_id)
    with store.begin() as connection:
        case = open_case(connection, REVIEWER, "Red coat", []).id
        show_in_case(connection, case, [("demo", 1), ("other", 1), ("demo", 1)])
        show_in_case(connection, case, [("demo", 1)])
    store.replace_sightings("demo", CAMERAS, "net-1", people)  # 1 is another person now
    with store.begin() as connection:
        assert connection.execute(found).all() == [("other", 1)]


def test_a_search_whose_district_is_replaced_while_it_runs_shows_nobody_else(deployment: Deployment, case: int) -> None:
    found = sa.select(tables.found_sightings.c.tracklet_id).where(tables.found_sightings.c.case_id == case)
    people = [tracklet(i + 1, vector) for i, vector in enumerate(unit_vectors(seed=0, number=2, feature=16))]
    with open_store(deployment.store) as store:
        store.replace_sightings("meanwhile", CAMERAS, "net-1", people)
        with store.begin() as connection:
            before = stored_sightings(connection, [("meanwhile", 1)])
        store.replace_sightings("meanwhile", CAMERAS, "net-1", people)  # 1 is another person now
        with store.begin() as connection:
            after = stored_sightings(connection, [("meanwhile", 2)])
            hits = [hit_of(one, {}, distance=0.1, probability=0.5) for one in (*before, *after)]
            request = RecordedRequest(case_id=case, reason=REASON, question={})
            record_search(connection, REVIEWER, request, None, answer_of(hits))
            assert connection.execute(found).scalars().all() == [2]
