"""Whatever the OpenAPI document allows, and much that it does not: no answer that it does not declare."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, seed, settings
from PIL import Image
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from serving.access.roles import Role
from serving.deployment import Deployment
from serving.footage.footage import Footage
from serving.watching.watcher import Watcher
from serving.web.api import build_api
from tests.helpers.clips import add_footage
from tests.helpers.deployments import FOR_CASE, RED, REVIEWER, SignedIn, picture, search_service, token_of

API = build_api()
API.add_middleware(SignedIn)
API.state.max_upload_bytes, API.state.threads = 20_000_000, 2
interface = schemathesis.openapi.from_asgi("/openapi.json", API)


@pytest.fixture(scope="module", autouse=True)
def _served(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    API.state.search_service, API.state.viewing = search_service(deployment), deployment.settings.viewing
    API.state.cases = deployment.settings.cases
    token_of(deployment, REVIEWER.name, Role.OPERATOR)  # the account, who opens a case in an emergency too
    API.state.footage = Footage(API.state.search_service.store)
    API.state.watcher = Watcher(API.state.search_service, deployment.settings.search)
    API.state.events_s = 0.02
    add_footage(API.state.search_service.store(), tmp_path_factory.mktemp("recordings") / "cam0.mp4")
    yield
    API.state.footage.close()
    API.state.search_service.close()


@interface.parametrize()
@seed(2023)
@settings(max_examples=100, database=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_declared_one(case: Any) -> None:
    answer = case.call()
    case.validate_response(answer, excluded_checks=[positive_data_acceptance])  # valid, yet of nothing that is stored


def test_answers_to_what_is_stored_are_as_declared() -> None:
    photo = BytesIO()
    Image.fromarray(picture(RED)).save(photo, "PNG")
    with TestClient(API) as client:
        opened = client.post("/cases", json={"title": "A missing child"})
        case = f"/cases/{opened.json()['id']}"
        verdict = {"district": "demo", "tracklet_id": 1, "verdict": "confirmed"}
        asked = FOR_CASE | {"case": str(opened.json()["id"])}
        route = asked | {"sightings": [{"district": "demo", "tracklet_id": 1}], "fill": True}
        photos = {"photo": photo.getvalue()}
        searched = client.post("/search", files=photos, data=asked)
        kept = client.get(f"{case}/question").json()["photos"][0]["id"]
        client.post(f"{case}/verdicts", json=verdict)
        made = client.post(f"{case}/sheets", json={"reason": "search", "hours": 1})
        sheet = f"{case}/sheets/{made.json()['id']}"
        watched = client.post("/watches", files=photos, data=asked)
        API.state.cases = API.state.cases.model_copy(update={"emergency_hours": 1.0})
        emergency = client.post("/emergencies", json={"title": "A child at the river", "reason": "it is cold"})
        answers = {
            ("/cases", "POST"): opened,
            ("/cases", "GET"): client.get("/cases"),
            ("/emergencies", "POST"): emergency,
            ("/cases/{case_id}/agree", "POST"): client.post(f"/cases/{emergency.json()['id']}/agree"),
            ("/search", "POST"): searched,
            ("/cases/{case_id}/verdicts", "POST"): client.post(f"{case}/verdicts", json=verdict),
            ("/cases/{case_id}/legal-hold", "PUT"): client.put(f"{case}/legal-hold", json={"held": True}),
            ("/cases/{case_id}/operators", "PUT"): client.put(f"{case}/operators", json={"operators": []}),
            ("/cases/{case_id}", "GET"): client.get(case),
            ("/cases/{case_id}/export", "GET"): client.get(f"{case}/export"),
            ("/audit", "GET"): client.get("/audit"),
            ("/audit/unusual", "GET"): client.get("/audit/unusual"),
            ("/route", "POST"): client.post("/route", json=route),
            ("/photo", "POST"): client.post("/photo", files={"photo": photo.getvalue()}),
            ("/where-next", "POST"): client.post("/where-next", json=asked | {"sightings": route["sightings"]}),
            ("/sentence", "POST"): client.post("/sentence", json={"text": "a child in a red coat"}),
            ("/crops/{district}/{tracklet_id}", "GET"): client.get("/crops/demo/1", params={"case": asked["case"]}),
            ("/trail/{district}/{tracklet_id}", "POST"): client.post("/trail/demo/1", json=asked),
            ("/footage/{district}/{tracklet_id}", "GET"): client.get("/footage/demo/1", params={"case": asked["case"]}),
            ("/footage/{district}/{tracklet_id}/frame", "POST"): client.post("/footage/demo/1/frame", json=asked),
            ("/footage/{district}/{tracklet_id}/clip", "POST"): client.post("/footage/demo/1/clip", json=asked),
            ("/cases/{case_id}/question", "GET"): client.get(f"{case}/question"),
            ("/cases/{case_id}/notes", "POST"): client.post(f"{case}/notes", json={"text": "red cap"}),
            ("/cases/{case_id}/photos/{photo_id}", "GET"): client.get(f"{case}/photos/{kept}"),
            ("/cases/{case_id}/photos/{photo_id}/remove", "POST"): client.post(f"{case}/photos/{kept}/remove"),
            ("/cases/{case_id}/corrections", "POST"): client.post(
                f"{case}/corrections", json={"district": "demo", "tracklet_id": 1, "group": "bag", "label": "backpack"}
            ),
            ("/cases/{case_id}/boxes", "POST"): client.post(
                f"{case}/boxes", json={"district": "demo", "tracklet_id": 1, "box_xyxy": None}
            ),
            ("/cases/{case_id}/sheets", "POST"): made,
            ("/cases/{case_id}/sheets", "GET"): client.get(f"{case}/sheets"),
            ("/cases/{case_id}/sheets/{sheet_id}/pdf", "GET"): client.get(f"{sheet}/pdf"),
            ("/cases/{case_id}/sheets/{sheet_id}/revoke", "POST"): client.post(f"{sheet}/revoke"),
            ("/watches", "POST"): watched,
            ("/watches/estimate", "POST"): client.post("/watches/estimate", files=photos, data=asked),
            ("/watches", "GET"): client.get("/watches", params={"case": asked["case"]}),
            ("/watches/{watch_id}/end", "POST"): client.post(f"/watches/{watched.json()['id']}/end"),
            ("/alerts", "GET"): client.get("/alerts"),
            ("/alerts/events", "GET"): client.get("/alerts/events", params={"after": 0}),
            ("/cameras", "GET"): client.get("/cameras"),
            ("/map", "GET"): client.get("/map"),
            ("/coverage", "GET"): client.get("/coverage"),
            ("/status", "GET"): client.get("/status"),
            ("/cases/{case_id}/close", "POST"): client.post(f"{case}/close"),
        }
    assert len(answers) == len(list(interface.get_all_operations()))
    for (path, method), answer in answers.items():
        assert answer.status_code in {200, 201, 204}, answer.text
        interface[path][method].validate_response(answer)


def test_the_check_notices_an_answer_that_is_not_declared() -> None:
    with TestClient(API) as client:
        answer = client.get("/status")
    with pytest.raises(FailureGroup):
        interface["/cameras"]["GET"].validate_response(answer)
