"""Nobody gets past the gate without a token, nor further than the role allows."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import BaseRoute, Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from serving.access import accounts
from serving.access.roles import Role
from serving.database import audit, tables
from serving.deployment import Deployment
from serving.search.connected import NotReadyError
from serving.web.api import build_api
from serving.web.gate import COOKIE, Gate
from serving.web.middleware import refusals
from serving.web.operator_page import build_page
from serving.web.permissions import ENDPOINTS
from serving.web.sign_in import refuse
from tests.helpers.deployments import FOR_CASE, search_service, token_of, write_deployment
from tests.helpers.gated import application, bearer

OPERATOR, REVIEWER, AUDITOR, ADMIN = Role.OPERATOR, Role.REVIEWER, Role.AUDITOR, Role.ADMIN
EVERYBODY = set(Role) - {Role.MONITOR}
MATRIX = {  # who may ask what; the case is one that nobody has opened
    "GET /": EVERYBODY,
    "GET /page/page.js": EVERYBODY,
    "GET /page/page.css": EVERYBODY,
    "GET /v1/status": EVERYBODY,
    "GET /v1/cameras": EVERYBODY,
    "GET /v1/map": EVERYBODY,
    "GET /v1/coverage": EVERYBODY,
    "POST /v1/sentence": {OPERATOR, REVIEWER},
    "POST /v1/photo": {OPERATOR, REVIEWER},
    "POST /v1/search": {OPERATOR, REVIEWER},
    "POST /v1/route": {OPERATOR, REVIEWER},
    "POST /v1/where-next": {OPERATOR, REVIEWER},
    "GET /v1/crops/demo/1": {OPERATOR, REVIEWER},
    "HEAD /v1/crops/demo/1": {OPERATOR, REVIEWER},
    "POST /v1/watches": {OPERATOR, REVIEWER},
    "POST /v1/watches/estimate": {OPERATOR, REVIEWER},
    "GET /v1/watches": {OPERATOR, REVIEWER},
    "POST /v1/watches/77/end": {OPERATOR, REVIEWER},
    "GET /v1/alerts": {OPERATOR, REVIEWER},
    "GET /v1/alerts/events?after=x": {OPERATOR, REVIEWER},
    "POST /v1/trail/demo/1": {OPERATOR, REVIEWER},
    "GET /v1/footage/demo/1": {OPERATOR, REVIEWER},
    "POST /v1/footage/demo/1/frame": {OPERATOR, REVIEWER},
    "POST /v1/footage/demo/1/clip": {OPERATOR, REVIEWER},
    "GET /v1/cases": {OPERATOR, REVIEWER},
    "POST /v1/cases": {REVIEWER},
    "POST /v1/emergencies": {OPERATOR},
    "POST /v1/cases/99/agree": {REVIEWER},
    "GET /v1/cases/99": {OPERATOR, REVIEWER},
    "POST /v1/cases/99/verdicts": {OPERATOR, REVIEWER},
    "POST /v1/cases/99/corrections": {OPERATOR, REVIEWER},
    "POST /v1/cases/99/boxes": {OPERATOR, REVIEWER},
    "POST /v1/cases/99/close": {REVIEWER},
    "PUT /v1/cases/99/legal-hold": {REVIEWER},
    "PUT /v1/cases/99/operators": {REVIEWER},
    "GET /v1/cases/99/question": {OPERATOR, REVIEWER},
    "POST /v1/cases/99/notes": {OPERATOR, REVIEWER},
    "GET /v1/cases/99/photos/66": {OPERATOR, REVIEWER},
    "POST /v1/cases/99/photos/66/remove": {OPERATOR, REVIEWER},
    "GET /v1/cases/99/export": {REVIEWER},
    "POST /v1/cases/99/sheets": {OPERATOR, REVIEWER},
    "GET /v1/cases/99/sheets": {OPERATOR, REVIEWER},
    "GET /v1/cases/99/sheets/55/pdf": {OPERATOR, REVIEWER},
    "POST /v1/cases/99/sheets/55/revoke": {OPERATOR, REVIEWER},
    "GET /v1/audit": {AUDITOR},
    "GET /v1/audit/unusual": {AUDITOR},
    "POST /sign-out": EVERYBODY,
    "GET /admin": {ADMIN},
    "POST /admin": {ADMIN},
    # What is not listed: of BentoML, of FastAPI, of nobody; other methods; paths that only look like open ones.
    "GET /metrics": {ADMIN, Role.MONITOR},
    "POST /metrics": {ADMIN},
    "GET /docs.json": {ADMIN},
    "GET /schema.json": {ADMIN},
    "GET /static_content/index.css": {ADMIN},
    "GET /v1/openapi.json": {ADMIN},
    "GET /v1/nothing": {ADMIN},
    "DELETE /v1/cases/99": {ADMIN},
    "OPTIONS /v1/search": {ADMIN},
    "TRACE /": {ADMIN},
    "GET /livez/": {ADMIN},
    "GET //livez": {ADMIN},
    "GET /LIVEZ": {ADMIN},
    "GET /v1/livez": {ADMIN},
    "GET /v1/crops/demo/1/": {ADMIN},
    "GET /page.html": {ADMIN},
}
ORIGIN = {"Origin": "http://testserver"}


@pytest.fixture(scope="module")
def app(deployment: Deployment) -> Iterator[Starlette]:
    built = application(deployment)
    yield built
    built.state.search_service.close()


@pytest.fixture
def client(app: Starlette) -> TestClient:
    """A browser that follows no redirection, and has no cookies yet."""
    return TestClient(app, follow_redirects=False)


@pytest.fixture(scope="module")
def tokens(deployment: Deployment) -> dict[Role, str]:
    return {role: token_of(deployment, role.value, role) for role in Role}


def recorded(app: Starlette, action: str) -> list[audit.Record]:
    with app.state.search_service.store().begin() as connection:
        return [record for record in audit.records(connection) if record.action == action]


@pytest.mark.parametrize("asked", MATRIX)
def test_each_role_may_do_what_the_matrix_says_and_nobody_anything(
    client: TestClient, tokens: dict[Role, str], asked: str
) -> None:
    method, path = asked.split(" ", 1)
    nobody = client.request(method, f"http://testserver{path}")
    assert nobody.status_code == 401
    assert nobody.headers["WWW-Authenticate"] == "Bearer"
    let_in = set()
    for role, token in tokens.items():
        answer = client.request(method, f"http://testserver{path}", headers=bearer(token))
        assert answer.status_code < 500
        if answer.status_code == 403:
            assert method == "HEAD" or f"the role {role} does not have" in answer.json()["error"]
        else:
            assert answer.status_code != 401
            let_in.add(role)
    assert let_in == MATRIX[asked]


def routes_of(routes: list[BaseRoute], prefix: str) -> set[tuple[str, str]]:
    found = {(method, prefix + route.path) for route in routes if isinstance(route, Route) for method in route.methods}
    return {(method, path) for method, path in found if method != "HEAD"}


def test_the_table_of_endpoints_lists_all_of_ours_and_of_bentomls_the_metrics_alone(deployment: Deployment) -> None:
    documented = build_api().openapi()["paths"]
    api = {(method.upper(), f"/v1{path}") for path, operations in documented.items() for method in operations}
    page = routes_of(build_page().routes, "")
    assert api | page | {("GET", "/metrics")} == set(ENDPOINTS) | {
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("GET", "/sign-in.css"),
        ("GET", "/sign-in/begin"),
        ("GET", "/sign-in/done"),
        ("GET", "/sheet"),
        ("POST", "/sheet"),
        ("GET", "/sheet.css"),
        ("GET", "/sheet.js"),
    }
    asked = (each.split("?")[0].replace("/page/page.js", "/page/{file}") for each in MATRIX)
    places = {
        "demo/1": "{district}/{tracklet_id}",
        "99": "{case_id}",
        "77": "{watch_id}",
        "66": "{photo_id}",
        "55": "{sheet_id}",
    }
    tested = set()
    for each in asked:
        for example, place in places.items():
            each = each.replace(example, place)
        tested.add(tuple(each.split()))
    assert set(ENDPOINTS) <= tested


@pytest.mark.parametrize(
    "path", ["/sign-in", "/sign-in?lang=en", "/sign-in.css", "/sheet", "/sheet?lang=en", "/sheet.css", "/sheet.js"]
)
def test_signing_in_and_the_frame_of_a_sheet_are_open(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


def test_open_paths_are_those_of_the_settings(deployment: Deployment) -> None:
    gate = Gate(deployment.settings.access.model_copy(update={"open_paths": ("/metrics",)}))
    app = Starlette(middleware=[Middleware(AuthenticationMiddleware, backend=gate, on_error=refuse)])
    client = TestClient(app)
    assert client.get("/metrics").status_code == 404  # open, and nothing is there
    assert client.get("/livez").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Authorization": "Bearer "}, id="empty"),
        pytest.param({"Authorization": "Bearer dongseon_0000000000000000_" + "A" * 43}, id="unknown"),
        pytest.param({"Authorization": "Basic {}"}, id="another scheme"),
        pytest.param({"Authorization": "{}"}, id="no scheme"),
        pytest.param({"Cookie": COOKIE + "={}"}, id="a token as cookie"),
        pytest.param({"X-Token": "{}"}, id="another header"),
    ],
)
def test_what_is_no_credential_lets_nobody_in(app: Starlette, tokens: dict[Role, str], headers: dict[str, str]) -> None:
    client = TestClient(app, client=(f"{headers}", 1))  # an address of its own: failures are counted
    answer = client.get("/v1/status", headers={name: value.format(tokens[ADMIN]) for name, value in headers.items()})
    assert answer.status_code == 401
    assert client.get("/v1/status", params={"token": tokens[ADMIN]}).status_code == 401


@pytest.mark.parametrize("path", ["/v1/crops/%00/1", "/%ed%a0%80", "/..%2f..%2fetc", "/" + "x" * 5000])
def test_strange_paths_of_strangers_are_refused_like_others(app: Starlette, path: str) -> None:
    client = TestClient(app, client=(path[:9], 1))
    assert client.get(f"http://testserver{path}").status_code == 401
    assert client.get(f"http://testserver{path}", headers=bearer("x")).status_code == 401


def test_a_browser_without_a_session_gets_the_page_to_sign_in(client: TestClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, "접속 토큰" in answer.text) == (401, True)
    assert "Access token" in client.get("/?lang=en").text
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_signing_in_gives_a_session_and_signing_out_ends_it(
    app: Starlette, client: TestClient, tokens: dict[Role, str]
) -> None:
    answer = client.post("/sign-in?lang=en", data={"token": f" {tokens[OPERATOR]} "}, headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "./?lang=en")
    cookie = answer.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "max-age=28800", "path=/"} <= set(cookie.split("; "))
    assert "secure" not in cookie
    assert client.get("/").status_code == 200
    assert client.get("/v1/audit").status_code == 403
    kept = client.cookies[COOKIE]
    with app.state.search_service.store().begin() as connection:
        assert kept not in str(connection.execute(sa.select(tables.sessions)).all())
    assert [record.account for record in recorded(app, "sign-in")] == ["operator"]

    assert client.post("/sign-out", headers=ORIGIN).headers["location"] == "sign-in"
    assert client.get("/v1/status").status_code == 401
    assert client.get("/v1/status", headers={"Cookie": f"{COOKIE}={kept}"}).status_code == 401
    assert [record.account for record in recorded(app, "sign-out")][-1] == "operator"


def browser_of(app: Starlette, token: str) -> TestClient:
    browser = TestClient(app, follow_redirects=False)
    assert browser.post("/sign-in", data={"token": token}, headers=ORIGIN).status_code == 303
    return browser


def with_cookie(client: TestClient, cookie: str | None) -> int:
    return client.get("/v1/status", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code


def test_signing_in_again_ends_the_session_before(app: Starlette, client: TestClient, tokens: dict[Role, str]) -> None:
    browser, other = browser_of(app, tokens[OPERATOR]), browser_of(app, tokens[OPERATOR])
    before = browser.cookies[COOKIE]
    browser.post("/sign-in", data={"token": tokens[OPERATOR]}, headers=ORIGIN)
    assert browser.cookies[COOKIE] != before
    assert with_cookie(client, before) == 401
    assert with_cookie(client, browser.cookies[COOKIE]) == with_cookie(client, other.cookies[COOKIE]) == 200


def test_signing_out_everywhere_ends_all_sessions_of_the_account_and_no_others(
    app: Starlette, client: TestClient, tokens: dict[Role, str]
) -> None:
    browsers = [browser_of(app, tokens[OPERATOR]) for _ in range(3)]
    other = browser_of(app, tokens[REVIEWER])
    kept = [browser.cookies[COOKIE] for browser in browsers]
    assert browsers[0].post("/sign-out", data={"everywhere": "1"}, headers=ORIGIN).status_code == 303
    assert [with_cookie(client, each) for each in kept] == [401] * 3
    assert with_cookie(client, other.cookies[COOKIE]) == 200
    assert recorded(app, "sign-out")[-1].details == {"everywhere": True}


def test_signing_out_tells_the_browser_to_forget_all(app: Starlette, tokens: dict[Role, str]) -> None:
    answer = browser_of(app, tokens[OPERATOR]).post("/sign-out", headers=ORIGIN)
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'


@pytest.mark.parametrize("sent", ["<script>", "x" * 5000, "fe80::1%<script>"])
def test_text_in_place_of_an_address_is_not_recorded(app: Starlette, sent: str) -> None:
    assert TestClient(app, client=(sent, 1)).get("/v1/status", headers=bearer("wrong")).status_code == 401
    assert recorded(app, "refused token")[-1].details["address"] in {"unknown", "fe80::/64"}


@pytest.mark.parametrize("scheme", ["https", pytest.param("http", id="http, from a proxy that ends https")])
def test_the_cookie_keeps_to_https_where_the_browser_speaks_so(
    app: Starlette, tokens: dict[Role, str], scheme: str
) -> None:
    client = TestClient(app, base_url=f"{scheme}://testserver", follow_redirects=False)
    answer = client.post("/sign-in", data={"token": tokens[OPERATOR]}, headers={"Origin": "https://testserver"})
    assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("origin", [None, "http://elsewhere.example", "null", "http://testserver:81", "testserver"])
def test_another_site_can_neither_act_nor_sign_in(
    client: TestClient, tokens: dict[Role, str], origin: str | None
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert client.post("/sign-in", data={"token": tokens[REVIEWER]}, headers=headers).status_code == 403
    assert COOKIE not in client.cookies
    client.post("/sign-in", data={"token": tokens[REVIEWER]}, headers=ORIGIN)
    assert client.post("/v1/cases", json={"title": "x"}, headers=headers).status_code == 403
    assert client.get("/v1/status", headers=headers).status_code == 200
    assert client.post("/v1/cases", json={"title": "x"}, headers=ORIGIN).status_code == 201


def test_a_wrong_token_is_told_on_the_page(app: Starlette) -> None:
    client = TestClient(app, client=("10.0.0.9", 1))
    answer = client.post("/sign-in", data={"token": "wrong"}, headers=ORIGIN)
    assert (answer.status_code, "토큰이 올바르지 않거나" in answer.text) == (401, True)
    assert client.post("/sign-in", headers=ORIGIN).status_code == 401
    assert client.post("/sign-in", data={"token": "x" * 5000}, headers=ORIGIN).status_code == 413


def test_a_session_ends_when_it_expires_or_its_account_is_disabled(app: Starlette, deployment: Deployment) -> None:
    token = token_of(deployment, "park", OPERATOR)
    browsers = [TestClient(app), TestClient(app)]
    for browser in browsers:
        browser.post("/sign-in", data={"token": token}, headers=ORIGIN)
        assert browser.get("/v1/status").status_code == 200
    with app.state.search_service.store().begin() as connection:
        of_park = tables.sessions.c.account == "park"
        connection.execute(sa.update(tables.sessions).where(of_park).values(expires=datetime.now(UTC)))
    assert browsers[0].get("/v1/status").status_code == 401
    browsers[1].post("/sign-in", data={"token": token}, headers=ORIGIN)
    with app.state.search_service.store().begin() as connection:
        accounts.disable_account(connection, "park", "test")
    assert browsers[1].get("/v1/status").status_code == 401
    assert browsers[1].get("/v1/status", headers=bearer(token)).status_code == 401


def test_an_address_with_too_many_wrong_tokens_has_to_wait_and_others_do_not(
    app: Starlette, deployment: Deployment, tokens: dict[Role, str]
) -> None:
    new = token_of(deployment, "lee", OPERATOR)
    attacker, other = TestClient(app, client=("10.0.0.1", 1)), TestClient(app, client=("10.0.0.2", 1))
    assert attacker.get("/v1/status", headers=bearer(tokens[OPERATOR])).status_code == 200
    statuses = [attacker.get("/v1/status", headers=bearer(f"guess{number}")).status_code for number in range(13)]
    assert statuses == [401] * 10 + [429] * 3
    slowed = attacker.get("/v1/status", headers=bearer(new))
    assert (slowed.status_code, 1 <= int(slowed.headers["Retry-After"]) <= 60) == (429, True)
    assert attacker.post("/sign-in", data={"token": new}, headers=ORIGIN).status_code == 429
    assert attacker.get("/v1/status", headers=bearer(tokens[OPERATOR])).status_code == 200  # who was let in before
    assert other.get("/v1/status", headers=bearer(new)).status_code == 200
    refused = [record for record in recorded(app, "refused token") if record.details["address"] == "10.0.0.1"]
    assert len(refused) == 10
    assert {record.account for record in refused} == {"-"}


def test_new_tokens_that_are_checked_let_nobody_else_wait(deployment: Deployment, tokens: dict[Role, str]) -> None:
    app = application(deployment)

    async def main() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:
            assert (await client.get("/v1/status", headers=bearer(tokens[OPERATOR]))).status_code == 200
            with app.state.gate._tokens._lock:  # of a check, which lasts
                guesses = [bearer(f"dongseon_{number:016x}_{'A' * 43}") for number in range(9)]
                checked = [asyncio.create_task(client.get("/v1/status", headers=guess)) for guess in guesses]
                await asyncio.sleep(0.1)
                let_in = client.get("/v1/status", headers=bearer(tokens[OPERATOR]))
                try:
                    return (await asyncio.wait_for(let_in, 20)).status_code
                finally:
                    for each in checked:
                        each.cancel()

    try:
        assert asyncio.run(main()) == 200
    finally:
        app.state.search_service.close()


def test_no_token_is_in_the_log_an_answer_or_the_audit(
    app: Starlette, client: TestClient, tokens: dict[Role, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = tokens[OPERATOR].split("_", 2)[2]
    answers = [client.post("/sign-in", data={"token": tokens[OPERATOR]}, headers=ORIGIN)]
    answers += [
        client.get(path, headers=bearer(tokens[OPERATOR])) for path in ("/", "/v1/status", "/v1/audit", "/v1/cases")
    ]
    answers.append(client.get("/v1/status", headers=bearer(f"{tokens[OPERATOR]}x")))
    assert all(secret not in answer.text for answer in answers)
    with app.state.search_service.store().begin() as connection:
        assert all(secret not in audit.as_line(record) for record in audit.records(connection))
    assert secret not in caplog.text


def test_a_web_socket_is_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/status"):
        pass


def test_without_its_database_nobody_is_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:9/none")
    client = TestClient(application(write_deployment(tmp_path)))
    answer = client.get("/v1/status", headers=bearer("dongseon_0000000000000000_" + "A" * 43))
    assert answer.status_code == 503
    said = "signing in needs the database, which does not answer; try again in 5 s"  # and not where it is
    assert (answer.json()["error"], answer.headers["Retry-After"]) == (said, "5")
    page = client.post("/sign-in", data={"token": "x"}, headers=ORIGIN)
    assert (page.status_code, "지금은 로그인할 수 없습니다" in page.text) == (503, True)
    assert client.get("/sign-in").status_code == 200


def test_what_a_person_does_is_in_the_audit_and_auditors_read_it_page_by_page(
    app: Starlette, client: TestClient, tokens: dict[Role, str]
) -> None:
    first = recorded(app, "configuration")
    assert len(first) == 1
    assert first[0].details["serving"]["retention"]["days"] == 30
    as_reviewer, as_auditor = bearer(tokens[REVIEWER]), bearer(tokens[AUDITOR])
    before = client.get("/v1/audit", params={"limit": 1000}, headers=as_auditor).json()["records"]
    described = FOR_CASE | {"attributes": '{"bag": "backpack"}', "top_k": "2"}
    sighting = {"district": "demo", "tracklet_id": 1}
    route = FOR_CASE | {"sightings": [sighting]}
    for answer in (
        client.post("/v1/search", data=described, headers=as_reviewer),
        client.get("/v1/crops/demo/3?case=1", headers=as_reviewer),
        client.post("/v1/route", json=route, headers=as_reviewer),
        client.post("/v1/route?format=csv", json=route | {"fill": True}, headers=as_reviewer),
        client.post("/v1/cases/1/verdicts", json=sighting | {"verdict": "confirmed"}, headers=as_reviewer),
        client.get("/v1/cases/1", headers=as_reviewer),
        client.get("/v1/cases/1/export", headers=as_reviewer),
    ):
        assert answer.status_code in (200, 204), answer.text
    read: list[dict[str, Any]] = []
    while page := client.get(
        "/v1/audit",
        params={"after": (read or before)[-1]["number"], "limit": 2},
        headers=as_auditor,
    ).json()["records"]:
        assert len(page) <= 2
        read += page
    done = [one for one in read if one["account"] == "reviewer"]
    actions = ["search", "view crop", "route", "search", "export", "verdict", "view case", "export"]
    assert [one["action"] for one in done] == actions
    details = [one["details"] for one in done]
    assert {each["case_id"] for each in details} == {1}
    assert {details[number]["reason"] for number in (0, 2, 3, 4)} == {FOR_CASE["reason"]}
    assert details[0]["question"] == {"attributes": {"bag": {"is": ["backpack"]}}, "top_k": 2}
    assert len(details[0]["found"]) == 2
    assert details[1] == {"case_id": 1, "district": "demo", "tracklet_id": 3}
    assert details[2]["question"] == {"sightings": [sighting]}
    assert details[3]["question"] == details[4]["question"] == {"sightings": [sighting], "fill": True}
    assert (details[4]["what"], details[4]["format"]) == ("route", "csv")
    assert details[7]["what"] == "case"
    readings = [one for one in read if one["account"] == "auditor"]  # but not of those in which there is nothing else
    assert {one["action"] for one in readings} == {"read audit"}
    assert readings[0]["details"] == {"after": 0, "limit": 1000}
    assert 4 <= len(readings) <= 1 + len(done)
    with app.state.search_service.store().begin() as connection:
        audit.verify(connection)


def test_a_changed_configuration_is_recorded_and_the_same_is_not(app: Starlette, deployment: Deployment) -> None:
    for days, records in ((30, 1), (7, 2), (7, 2), (30, 3)):
        params = yaml.safe_load((deployment.root / "params.yaml").read_text())
        params["serving"]["retention"]["days"] = days
        (deployment.root / "params.yaml").write_text(yaml.safe_dump(params))
        searching = search_service(Deployment.read(deployment.root))
        searching.store()
        searching.close()
        kept = recorded(app, "configuration")
        assert len(kept) == records
        assert kept[-1].details["serving"]["retention"]["days"] == days


def test_a_configuration_that_could_not_be_recorded_is_recorded_at_the_next_question(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention = deployment.settings.retention.model_copy(update={"days": 11})
    serving = deployment.settings.model_copy(update={"retention": retention})
    searching = search_service(replace(deployment, settings=serving))

    def fail(*_: object) -> None:
        raise sa.exc.OperationalError("", {}, Exception("the disk is full"))

    with monkeypatch.context() as broken:
        broken.setattr(audit, "append_change", fail)
        with pytest.raises(NotReadyError, match="the audit must take what the service runs with: the disk is full"):
            searching.store()
    with searching.store().begin() as connection:
        last = [each for each in audit.records(connection) if each.action == "configuration"][-1]
    searching.close()
    assert last.details["serving"]["retention"]["days"] == 11


def test_refused_accesses_are_in_the_audit_and_cannot_fill_it(
    app: Starlette, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_WINDOW_S", 3600)  # a slow machine takes longer than a minute
    client, as_hong = TestClient(app, client=("10.0.0.3", 1)), bearer(token_of(deployment, "hong", OPERATOR))
    asked = [
        ("GET", "/v1/cases/1"),  # another's case
        ("GET", "/v1/crops/demo/1?case=1"),
        ("GET", "/v1/audit"),  # another role's
        *[("GET", f"/v1/crops/demo/{number}?case=1") for number in range(30)],
    ]
    statuses = {client.request(method, path, headers=as_hong).status_code for method, path in asked}
    assert statuses == {403, 404}
    of_hong = [record.details for record in recorded(app, "refused access") if record.account == "hong"]
    assert [details["within_a_minute"] for details in of_hong] == [1, 2, 4, 8, 16, 32]
    reason = "the case must be one that hong may work on, got 1; see /v1/cases"
    assert of_hong[0] == {"status": 404, "method": "GET", "reason": reason, "within_a_minute": 1}
    assert client.get("/v1/nothing", headers=as_hong).status_code == 403


def test_a_role_that_tries_what_it_may_not_is_in_the_audit(app: Starlette, deployment: Deployment) -> None:
    as_cho = bearer(token_of(deployment, "cho", AUDITOR))
    client = TestClient(app, client=("10.0.0.4", 1))
    assert client.post("/v1/search", headers=as_cho).status_code == 403
    (details,) = [record.details for record in recorded(app, "refused access") if record.account == "cho"]
    assert (details["status"], details["method"]) == (403, "POST")
    assert "needs the permission search, which the role auditor does not have" in details["reason"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("GET /v1/crops/demo/1?case={case}", "does not show demo/1"),
        ("POST /v1/watches/77/end", "the watch must be of a case that"),
        ("GET /v1/cases/{case}/photos/66", "the photo must be one of case"),
        ("GET /v1/cases/{case}/sheets/55/pdf", "the sheet must be one of case"),
    ],
)
def test_a_number_that_is_guessed_from_an_own_case_is_in_the_audit(
    app: Starlette, deployment: Deployment, asked: str, reason: str
) -> None:
    method, path = asked.split(" ")
    name = f"yoon{len(path)}"
    client, as_yoon = TestClient(app, client=("10.0.0.6", 1)), bearer(token_of(deployment, name, REVIEWER))
    case = client.post("/v1/cases", json={"title": "x"}, headers=as_yoon).json()["id"]
    assert client.request(method, path.format(case=case), headers=as_yoon).status_code == 404
    (details,) = [record.details for record in recorded(app, "refused access") if record.account == name]
    assert (details["status"], details["method"]) == (404, method)
    assert reason in details["reason"]


@pytest.mark.parametrize("path", ["/v1/cases", "/"])
def test_lists_of_cases_are_in_the_audit_once_a_minute(app: Starlette, deployment: Deployment, path: str) -> None:
    name = f"seo{len(path)}"
    client, as_seo = TestClient(app, client=("10.0.0.5", 1)), bearer(token_of(deployment, name, REVIEWER))
    for _ in range(5):
        assert client.get(path, headers=as_seo).status_code == 200
    (details,) = [record.details for record in recorded(app, "list cases") if record.account == name]
    assert 1 in details["cases"]
    assert client.post("/v1/cases", json={"title": "x"}, headers=as_seo).status_code == 201
    client.get(path, headers=as_seo)  # shows another title
    assert len([record for record in recorded(app, "list cases") if record.account == name]) == 2
