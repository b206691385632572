"""An account that is bound to districts finds nothing of another one: no camera, no sighting, no footage, no case."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.testclient import TestClient

from domain.errors import InputError
from serving import accounts as accounts_command
from serving.access.accounts import Account, account_named, bind_account, create_account
from serving.access.roles import Role
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.store import open_store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from tests.helpers.deployments import PEOPLE, picture
from tests.helpers.gated import application, bearer
from tests.helpers.sightings import CAMERAS, in_transaction, tracklet

SEARCH = {"attributes": '{"bag": "backpack"}', "reason": "missing"}


@pytest.fixture(scope="module")
def app(deployment: Deployment) -> Iterator[Starlette]:
    """Beside the district demo, one called harbour, where the same people were seen."""
    engines = deployment.open_engines()
    perception = Perception(*engines, deployment.perception)
    crops = [picture(PEOPLE[i % 3], seed=i) for i in range(6)]
    embeddings = perception.embed(crops)
    seen = [replace(tracklet(i + 1, embeddings[i], camera=i % 2, after_s=60 * i), crops=[crops[i]]) for i in range(6)]
    with open_store(deployment.store) as store:
        version = engines.reid.card.version
        store.replace_sightings("harbour", CAMERAS, version, perception.described(seen), time_zone="Asia/Seoul")
    built = application(deployment)
    yield built
    built.state.search_service.close()


@pytest.fixture(scope="module")
def people(app: Starlette) -> dict[str, TestClient]:
    """Who asks: a reviewer and an operator of each district, and a reviewer and an admin of all."""
    asking = {}
    for name, role, districts in (
        ("chief", Role.REVIEWER, None),
        ("reviewer-demo", Role.REVIEWER, ["demo"]),
        ("reviewer-harbour", Role.REVIEWER, ["harbour"]),
        ("operator-demo", Role.OPERATOR, ["demo"]),
        ("operator-harbour", Role.OPERATOR, ["harbour"]),
        ("admin", Role.ADMIN, None),
    ):
        token = in_store(app, create_account, name, role, "test", None, districts)
        asking[name] = TestClient(app, headers=bearer(token))
    return asking


def in_store(app: Starlette, work: Any, *arguments: Any) -> Any:
    return in_transaction(app.state.search_service.store(), work, *arguments)


def opened(client: TestClient, **more: object) -> int:
    answer = client.post("/v1/cases", json={"title": "Red coat", **more})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def districts_in(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {sighting["district"] for sighting in answer.json()["sightings"]}


def test_cameras_coverage_and_the_page_are_of_the_accounts_districts(people: dict[str, TestClient]) -> None:
    for name, districts in (
        ("chief", {"demo", "harbour"}),
        ("admin", {"demo", "harbour"}),
        ("operator-demo", {"demo"}),
    ):
        listed = people[name].get("/v1/cameras").json()["cameras"]
        assert {one["district"] for one in listed} == districts
        covered = people[name].get("/v1/coverage").json()["cameras"]
        assert {one["district"] for one in covered} == districts
    for name, shown in (("chief", True), ("operator-demo", False)):
        assert ('data-district="harbour"' in people[name].get("/").text) == shown
    refused = people["operator-demo"].get("/v1/coverage", params={"cameras": "harbour/cam0"})
    assert refused.status_code == 400
    assert "got 'harbour/cam0'" in refused.json()["error"]
    assert "such as demo/" in refused.json()["error"]
    for name, districts in (("chief", {"demo", "harbour"}), ("operator-demo", {"demo"})):
        said = people[name].post("/v1/sentence", json={"text": "a backpack, at the gate"}).json()
        assert {camera.split("/")[0] for camera in said["cameras"]} == districts


def test_searches_routes_and_watches_stay_in_the_districts_of_the_case(people: dict[str, TestClient]) -> None:
    of_all, of_demo = opened(people["chief"]), opened(people["reviewer-demo"], operators=["operator-demo"])
    assert districts_in(people["chief"].post("/v1/search", data=SEARCH | {"case": str(of_all)})) == {"demo", "harbour"}
    for name in ("reviewer-demo", "operator-demo", "chief"):  # for the case is of demo alone
        found = people[name].post("/v1/search", data=SEARCH | {"case": str(of_demo)})
        assert districts_in(found) == {"demo"}
        assert {one["district"] for one in found.json()["coverage"]["cameras"]} == {"demo"}
        form = SEARCH | {"case": str(of_demo), "cameras": "demo/cam0,harbour/cam0"}
        for path in ("/v1/search", "/v1/watches", "/v1/watches/estimate"):
            refused = people[name].post(path, data=form)
            assert (refused.status_code, refused.json()["code"]) == (400, "cameras_unknown")
    watched = people["operator-demo"].post("/v1/watches", data=SEARCH | {"case": str(of_demo)})
    assert watched.status_code == 201
    sighting = {"district": "demo", "tracklet_id": 1}
    people["operator-demo"].post(f"/v1/cases/{of_demo}/verdicts", json=sighting | {"verdict": "confirmed"})
    asked = {"case": of_demo, "reason": "missing", "sightings": [sighting]}
    route = people["operator-demo"].post("/v1/route", json=asked | {"fill": True}).json()
    assert {stop["district"] for stop in route["route"]} == {"demo"}
    following = people["operator-demo"].post("/v1/where-next", json=asked).json()
    assert {one["district"] for one in following["cameras"]} == {"demo"}
    elsewhere = {"camera": "harbour/cam0", "time": "2026-05-01T12:00:00Z"}
    for path in ("/v1/route", "/v1/where-next"):
        assert people["operator-demo"].post(path, json=asked | {"seen_at": [elsewhere]}).status_code == 400


def test_cases_footage_and_exports_of_another_district_are_not_there(
    app: Starlette, people: dict[str, TestClient]
) -> None:
    of_all = opened(people["chief"])
    of_harbour = opened(people["chief"], districts=["harbour"], operators=["operator-harbour"])
    of_both = opened(people["chief"], districts=["harbour", "demo"])
    assert districts_in(people["chief"].post("/v1/search", data=SEARCH | {"case": str(of_harbour)})) == {"harbour"}
    looks: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/v1/cases/{of_harbour}", {}),
        ("GET", f"/v1/cases/{of_harbour}/question", {}),
        ("GET", f"/v1/crops/harbour/1?case={of_harbour}", {}),
        ("GET", f"/v1/footage/harbour/1?case={of_harbour}", {}),
        ("POST", "/v1/footage/harbour/1/frame", {"json": {"case": of_harbour, "reason": "missing"}}),
        ("POST", "/v1/footage/harbour/1/clip", {"json": {"case": of_harbour, "reason": "missing"}}),
        ("GET", f"/v1/watches?case={of_harbour}", {}),
        ("GET", f"/v1/alerts?case={of_harbour}", {}),
        ("POST", "/v1/search", {"data": SEARCH | {"case": str(of_harbour)}}),
    ]
    for_reviewers = [
        ("GET", f"/v1/cases/{of_harbour}/export", {}),
        ("PUT", f"/v1/cases/{of_harbour}/legal-hold", {"json": {"held": True}}),
    ]
    for suffix, more in (("operator", []), ("reviewer", for_reviewers)):
        for method, path, body in [*looks, *more]:
            assert people[f"{suffix}-demo"].request(method, path, **body).status_code == 404, path
            own = people[f"{suffix}-harbour"].request(method, path, **body)
            has_no_frame = own.status_code == 404 and own.json()["code"] == "no_footage"
            assert own.status_code == 200 or has_no_frame, (path, own.text)
    listed = {case["id"] for case in people["reviewer-demo"].get("/v1/cases").json()["cases"]}
    assert not {of_all, of_harbour, of_both} & listed
    in_store(app, bind_account, "reviewer-demo", ["demo", "harbour"], "test")
    listed = {case["id"] for case in people["reviewer-demo"].get("/v1/cases").json()["cases"]}
    assert {of_harbour, of_both} <= listed
    assert of_all not in listed  # it may search districts that come later
    in_store(app, bind_account, "reviewer-demo", ["demo"], "test")
    assert people["reviewer-demo"].get(f"/v1/cases/{of_both}").status_code == 404
    refused = [
        record.details
        for record in in_store(app, lambda c: list(audit.records(c)))
        if record.action == Action.REFUSED_ACCESS
    ]
    assert any(f"got {of_harbour};" in str(details) for details in refused)


def test_a_case_is_opened_within_the_own_districts_and_for_operators_who_have_them(
    people: dict[str, TestClient],
) -> None:
    refused = people["reviewer-demo"].post("/v1/cases", json={"title": "x", "districts": ["harbour"]})
    assert (refused.status_code, refused.json()["code"]) == (400, "districts_unknown")
    assert "must be among demo, got 'harbour'" in refused.json()["error"]
    for more in ({}, {"districts": ["demo", "harbour"]}):
        elsewhere = people["chief"].post("/v1/cases", json={"title": "x", "operators": ["operator-demo"], **more})
        assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "operator_elsewhere")
    case = opened(people["chief"], districts=["demo"], operators=["operator-demo"])
    named = people["chief"].put(f"/v1/cases/{case}/operators", json={"operators": ["operator-harbour"]})
    assert named.status_code == 400


def test_only_who_searches_is_bound_and_only_to_stored_districts(
    app: Starlette, deployment: Deployment, people: dict[str, TestClient], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with pytest.raises(InputError, match="only accounts with the role operator or reviewer have districts, got admin"):
        in_store(app, bind_account, "admin", ["demo"], "test")
    with pytest.raises(InputError, match=r"districts must be stored ones \(demo, harbour\), got gate"):
        in_store(app, create_account, "night", Role.OPERATOR, "test", None, ["demo", "gate"])
    monkeypatch.chdir(deployment.root)
    accounts_command.main(["create", "night", "--role", "operator", "--district", "demo", "--district", "harbour"])
    accounts_command.main(["bind", "night", "--district", "harbour"])
    accounts_command.main(["list"])
    said = capsys.readouterr().out
    assert "night has districts harbour" in said
    assert "night\toperator\tdistricts harbour\tsince" in said
    assert "chief\treviewer\tall districts\tsince" in said
    accounts_command.main(["bind", "night"])
    night: Account = in_store(app, account_named, "night")
    assert night.districts is None
    changes = [r.details for r in in_store(app, lambda c: list(audit.records(c))) if "bound" in r.details]
    assert changes[-2:] == [{"bound": "night", "districts": ["harbour"]}, {"bound": "night", "districts": None}]
    in_store(
        app, lambda connection: connection.execute(sa.delete(tables.accounts).where(tables.accounts.c.name == "night"))
    )
