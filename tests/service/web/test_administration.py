"""Cameras and accounts on the administrators' page: what it changes, whom it lets in, and what it refuses."""

import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from starlette.testclient import TestClient

from serving.access.accounts import Account, TokenCheck, accounts
from serving.access.roles import Role
from serving.database import audit
from serving.database.cameras import camera_states
from serving.deployment import Deployment
from serving.web.operator_page import build_page
from tests.helpers.deployments import REVIEWER, client_of, token_of

ADMIN = replace(REVIEWER, name="admin", role=Role.ADMIN)
PLACE = {"latitude": "35.85", "longitude": "128.6"}


@pytest.fixture
def client(deployment: Deployment) -> Iterator[TestClient]:
    with client_of(build_page(), deployment, ADMIN) as asking:
        asking.follow_redirects = False
        yield asking


def post(client: TestClient, change: str, **form: str) -> httpx.Response:
    return client.post("/admin?lang=en", data={"change": change, **form})


def recorded(client: TestClient) -> audit.Record:
    with client.app.state.search_service.store().begin() as connection:  # type: ignore[attr-defined]
        return list(audit.records(connection))[-1]


def test_a_camera_is_added_changed_and_retired(client: TestClient) -> None:
    new = {"district": "harbour", "id": "h1", "name": "부두 1", **PLACE, "time_zone": "Asia/Seoul"}
    answer = post(client, "add-camera", **new)
    assert (answer.status_code, answer.headers["location"]) == (303, "admin?lang=en")
    assert post(client, "add-camera", **{**new, "id": "h2", "time_zone": ""}).status_code == 303
    changed = {"district": "harbour", "id": "h1", "name": "Quay 1", "latitude": "35.86", "longitude": "128.6"}
    assert post(client, "change-camera", **changed).status_code == 303
    assert (recorded(client).account, recorded(client).details["change"]) == ("admin", "change")
    assert post(client, "retire-camera", district="harbour", id="h2").status_code == 303
    with client.app.state.search_service.store().begin() as connection:  # type: ignore[attr-defined]
        h1, h2 = camera_states(connection, "harbour")
    assert (h1.camera.name, h1.camera.latitude, h1.service.retired) == ("Quay 1", 35.86, None)
    assert h2.service.retired is not None
    page = client.get("/admin").text
    assert "Quay 1" in page
    assert "1대 운영 중" in page


def test_an_account_is_created_renewed_and_disabled_and_its_token_is_shown_once(
    client: TestClient, deployment: Deployment
) -> None:
    token_of(deployment, "admin", Role.ADMIN)

    def account_of(answer: httpx.Response) -> Account | None:
        (token,) = re.findall(r"<code>(\S+)</code>", answer.text)
        assert token not in client.get("/admin").text
        with client.app.state.search_service.store().begin() as connection:  # type: ignore[attr-defined]
            return TokenCheck().account_of(connection, token)

    first = post(client, "create-account", name="night-shift", role="operator", districts="demo", expires_days="30")
    account = account_of(first)
    assert account is not None
    assert (account.name, account.role, account.districts) == ("night-shift", Role.OPERATOR, {"demo"})
    assert (recorded(client).account, recorded(client).details["created"]) == ("admin", "night-shift")
    assert post(client, "bind-account", name="night-shift", districts="").status_code == 303
    assert (recorded(client).account, recorded(client).details["bound"]) == ("admin", "night-shift")
    assert account_of(post(client, "renew-account", name="night-shift", expires_days="")) is not None
    (token,) = re.findall(r"<code>(\S+)</code>", first.text)
    with client.app.state.search_service.store().begin() as connection:  # type: ignore[attr-defined]
        assert TokenCheck().account_of(connection, token) is None
    assert post(client, "disable-account", name="night-shift").status_code == 303
    with client.app.state.search_service.store().begin() as connection:  # type: ignore[attr-defined]
        assert [one.name for one in accounts(connection) if one.disabled] == ["night-shift"]


@pytest.mark.parametrize(
    ("change", "form", "said"),
    [
        ("add-camera", {"district": "demo", "id": "../x", "name": "", "time_zone": "", **PLACE}, "id "),
        ("add-camera", {"district": "d9", "id": "x", "name": "", "time_zone": "", **PLACE}, "must be an IANA name"),
        ("change-camera", {"district": "demo", "id": "none", "name": "x", **PLACE}, "the camera must be stored"),
        (
            "change-camera",
            {"district": "demo", "id": "cam0", "name": "x", "latitude": "95", "longitude": "1"},
            "latitude",
        ),
        ("retire-camera", {"district": "demo"}, "the form must have the field &#39;id&#39;"),
        (
            "create-account",
            {"name": "a b", "role": "operator", "expires_days": "", "districts": ""},
            "the name of an account must be",
        ),
        (
            "create-account",
            {"name": "boss", "role": "owner", "expires_days": "", "districts": ""},
            "the role must be one of operator",
        ),
        (
            "create-account",
            {"name": "boss", "role": "admin", "expires_days": "-3", "districts": ""},
            "must be a whole number",
        ),
        (
            "create-account",
            {"name": "boss", "role": "admin", "expires_days": "", "districts": "demo"},
            "only accounts with the role operator or reviewer have districts",
        ),
        ("bind-account", {"name": "nobody", "districts": "demo"}, "the account must exist, got &#39;nobody&#39;"),
        ("disable-account", {"name": "admin"}, "cannot disable their own accounts"),
        ("drop-tables", {}, "the form must have the field"),
    ],
)
def test_what_is_refused_is_said_and_changes_nothing(
    client: TestClient, change: str, form: dict[str, str], said: str
) -> None:
    before = recorded(client)
    answer = post(client, change, **form)
    assert answer.status_code == 400
    assert "This was not done:" in answer.text
    assert said in answer.text
    assert recorded(client) == before
