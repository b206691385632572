"""Signing in at an OpenID provider: Canaille, a server of its own, over HTTP."""

import re
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from joserfc.jwk import RSAKey
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Mount
from starlette.testclient import TestClient
from werkzeug.serving import make_server

from domain.errors import InputError
from serving.access.accounts import Account, accounts, disable_account
from serving.access.roles import Role
from serving.database import audit, tables
from serving.deployment import Deployment
from serving.web.gate import COOKIE, Gate
from serving.web.operator_page import build_page
from serving.web.sign_in import refuse
from serving.web.single_sign_on import BoundRole, OidcSettings
from tests.helpers.deployments import search_service, token_of
from tests.helpers.rtsp import free_port

pytestmark = pytest.mark.slow
PASSWORD, SECRET = "correct horse battery", "s3cret-of-the-client"


class CityProvider:
    """Canaille with four people."""

    def __init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from canaille import create_app
        key = RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)
        self._app = create_app(
            {
                "SECRET_KEY": "k" * 40,
                "SERVER_NAME": f"127.0.0.1:{self.port}",
                "PREFERRED_URL_SCHEME": "http",
                "CANAILLE": {"DATABASE": "memory", "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc"]}}},
                "CANAILLE_OIDC": {"ACTIVE_JWKS": [key]},
            }
        )
        with self._app.app_context():
            self._fill()
        self._server = make_server("127.0.0.1", self.port, self._app, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _fill(self) -> None:
        from canaille.app import models
        from canaille.backends import Backend

        people = {}
        for name in ("kim", "lee", "park", "admin"):
            emails = [f"{name}@city.example"]
            people[name] = models.User(
                user_name=name, formatted_name=name, family_name=name, display_name=name, emails=emails,
                password=PASSWORD,
            )  # fmt: skip
            Backend.instance.save(people[name])
        self.reviewers = models.Group(display_name="missing persons", members=[people["kim"], people["admin"]])
        self.operators = models.Group(display_name="control room", members=[people["kim"], people["lee"]])
        client = models.Client(
            client_id="dongseon", client_secret=SECRET, client_name="Dongseon", client_uri="http://127.0.0.1",
            redirect_uris=["http://testserver/sign-in/done"], token_endpoint_auth_method="client_secret_basic",
            grant_types=["authorization_code"], response_types=["code"], scope=["openid", "profile", "groups"],
        )  # fmt: skip
        for each in (self.reviewers, self.operators, client):
            Backend.instance.save(each)
        client.audience = [client]
        Backend.instance.save(client)

    def leave(self, group: Any) -> None:
        """Everybody leaves the group."""
        from canaille.backends import Backend

        with self._app.app_context():
            group.members = group.members[1:]
            Backend.instance.save(group)

    def sign_in(self, address: str, name: str) -> str:
        """What a person does in the browser; returns the address to which the provider sends it back."""
        with httpx.Client() as browser:
            answer = browser.get(address)
            for typed in ({}, {"login": name}, {"password": PASSWORD}, {}, {}):
                while answer.is_redirect:
                    if (following := answer.headers["Location"]).startswith("http://testserver/"):
                        return following
                    answer = browser.get(httpx.URL(answer.url).join(following))
                if typed:
                    (hidden,) = set(re.findall(r"<input[^>]*csrf_token[^>]*>", answer.text))
                    (token,) = re.findall(r'value="([^"]+)"', hidden)
                    form = {"csrf_token": token, "answer": "", **typed}
                    answer = browser.post(answer.url, data=form)
        pytest.fail(f"the provider does not send back, it answers {answer.status_code}")

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture(scope="module")
def provider() -> Iterator[CityProvider]:
    running = CityProvider()
    yield running
    running.close()


@pytest.fixture
def app(deployment: Deployment, provider: CityProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starlette]:
    monkeypatch.setenv("DONGSEON_OIDC_SECRET", SECRET)
    oidc = OidcSettings(
        issuer=provider.issuer, client_id="dongseon", address="http://testserver/", scopes="openid profile groups",
        name_claim="preferred_username", groups_claim="groups",
        roles={"missing persons": Role.REVIEWER, "control room": BoundRole(role=Role.OPERATOR, districts=("demo",))},
    )  # fmt: skip
    page = build_page()
    gate = page.state.gate = Gate(deployment.settings.access.model_copy(update={"oidc": oidc}))
    page.state.search_service, page.state.cases = search_service(deployment), deployment.settings.cases
    gate.store = page.state.search_service.store
    with gate.store().begin() as connection:
        connection.execute(sa.delete(tables.accounts))
    through_gate = Middleware(AuthenticationMiddleware, backend=gate, on_error=refuse)
    app = Starlette(routes=[Mount("/", page)], middleware=[through_gate])
    app.state.page = page
    yield app
    page.state.search_service.close()


def browser_of(app: Starlette) -> TestClient:
    return TestClient(app, follow_redirects=False)


def sign_on(app: Starlette, provider: CityProvider, name: str) -> tuple[TestClient, httpx.Response]:
    client = browser_of(app)
    begun = client.get("/sign-in/begin?lang=en")
    assert begun.status_code == 303
    return client, client.get(provider.sign_in(begun.headers["Location"], name))


def account_list(deployment: Deployment, app: Starlette) -> dict[str, Role]:
    return {account.name: account.role for account in stored_accounts(app)}


def stored_accounts(app: Starlette) -> list[Account]:
    with app.state.page.state.search_service.store().begin() as connection:
        return accounts(connection)


def test_a_person_signs_in_with_the_role_and_districts_of_the_first_group(
    app: Starlette, provider: CityProvider, deployment: Deployment
) -> None:
    assert "sign-in/begin" in browser_of(app).get("/").text
    client, answer = sign_on(app, provider, "kim")
    assert answer.status_code == 200
    assert 'content="0; url=../?lang=en"' in answer.text
    cookie = next(line for line in answer.headers.get_list("set-cookie") if line.startswith(COOKIE))
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("/").status_code == 200
    assert account_list(deployment, app) == {"kim": Role.REVIEWER}
    assert stored_accounts(app)[0].districts is None
    provider.leave(provider.reviewers)
    sign_on(app, provider, "kim")
    assert account_list(deployment, app) == {"kim": Role.OPERATOR}
    assert stored_accounts(app)[0].districts == {"demo"}
    with app.state.page.state.search_service.store().begin() as connection:
        last = [record for record in audit.records(connection) if record.account == "kim"][-2:]
    changed = {"changed": "kim", "role": "operator", "districts": ["demo"]}
    assert [record.details for record in last] == [changed, {"role": "operator"}]


def test_who_may_not_sign_in_gets_no_session(app: Starlette, provider: CityProvider, deployment: Deployment) -> None:
    token_of(deployment, "admin", Role.ADMIN)
    _, no_group = sign_on(app, provider, "park")
    _, taken = sign_on(app, provider, "admin")
    sign_on(app, provider, "lee")
    with app.state.page.state.search_service.store().begin() as connection:
        disable_account(connection, "lee", "a test")
    _, disabled = sign_on(app, provider, "lee")
    for answer in (no_group, taken, disabled):
        assert answer.status_code == 403
        assert COOKIE not in answer.headers.get("set-cookie", "")
        assert "관리자에게 알리세요" in answer.text
    assert account_list(deployment, app) == {"admin": Role.ADMIN, "lee": Role.OPERATOR}


def test_an_answer_of_the_provider_holds_once_and_in_the_browser_that_asked(
    app: Starlette, provider: CityProvider
) -> None:
    client = browser_of(app)
    back = provider.sign_in(client.get("/sign-in/begin").headers["Location"], "lee")
    stranger = browser_of(app)
    assert stranger.get(back).status_code == 403
    stranger.get("/sign-in/begin")
    assert stranger.get(back).status_code == 403
    kept = dict(client.cookies)
    assert client.get(back).status_code == 200
    client.cookies = httpx.Cookies(kept)
    assert client.get(back).status_code == 503  # the provider refuses the code
    assert client.get(back.replace("code=", "code=x")).status_code == 503
    assert client.get("/sign-in/done?error=access_denied").status_code == 403


def test_wrong_answers_are_counted_as_wrong_tokens_are(app: Starlette) -> None:
    client = browser_of(app)
    answers = [client.get("/sign-in/done?code=x&state=y").status_code for _ in range(11)]
    assert answers == [403] * 10 + [429]


def test_a_provider_that_is_away_is_said(app: Starlette, deployment: Deployment) -> None:
    page = app.state.page
    oidc = page.state.gate.provider._settings.model_copy(update={"issuer": f"http://127.0.0.1:{free_port()}"})
    settings = deployment.settings.access.model_copy(update={"oidc": oidc})
    page.state.gate.provider = Gate(settings).provider
    assert browser_of(app).get("/sign-in/begin").status_code == 503


def test_the_secret_must_be_there_and_without_a_provider_there_is_no_address(
    deployment: Deployment, app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = app.state.page
    settings = deployment.settings.access.model_copy(update={"oidc": page.state.gate.provider._settings})
    monkeypatch.delenv("DONGSEON_OIDC_SECRET")
    with pytest.raises(InputError, match="DONGSEON_OIDC_SECRET must be the secret"):
        Gate(settings)
    page.state.gate.provider = None
    for path in ("/sign-in/begin", "/sign-in/done"):
        assert browser_of(app).get(path).status_code == 404
    assert "sign-in/begin" not in browser_of(app).get("/sign-in").text


def test_roles_of_groups_are_read_with_their_districts_and_only_who_searches_has_some() -> None:
    settings = {
        "issuer": "https://login", "client_id": "dongseon", "address": "https://dongseon/", "scopes": "openid",
        "name_claim": "name", "groups_claim": "groups",
    }  # fmt: skip
    roles = {"all": "reviewer", "suseong": {"role": "operator", "districts": ["suseong"]}}
    read = OidcSettings.model_validate(settings | {"roles": roles}).roles
    assert read == {"all": Role.REVIEWER, "suseong": BoundRole(role=Role.OPERATOR, districts=("suseong",))}
    for wrong in ({"role": "admin", "districts": ["suseong"]}, {"role": "operator", "districts": []}):
        with pytest.raises(ValidationError):
            OidcSettings.model_validate(settings | {"roles": {"it": wrong}})
