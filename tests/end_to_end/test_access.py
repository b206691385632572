"""The gate around a real server: BentoML's own endpoints too, and https."""

import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from domain.settings import PARAMS
from serving import package
from serving.access.roles import Role
from serving.deployment import Deployment
from serving.web.permissions import ENDPOINTS
from tests.end_to_end.conftest import free_port, run, server
from tests.helpers.certificates import write_certificate
from tests.helpers.deployments import FOR_CASE, fill_store, token_of, write_deployment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MOST_SEARCHES = 5
OF_BENTOML = ["/metrics", "/docs.json", "/schema.json", "/static_content/", "/assets/x", "/index.html", "/nothing"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tls.pem` and, beside it, `tls.key`."""
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, certificate: Path
) -> Iterator[tuple[httpx.Client, dict[Role, str]]]:
    """Asks a service by https, and a token of each role."""
    folder = tmp_path_factory.mktemp("access") / "service"
    write_deployment(folder)
    package._stage_code(folder)
    params = yaml.safe_load((folder / PARAMS).read_text())
    params["serving"]["service"]["searches_per_minute"] = MOST_SEARCHES
    params["serving"]["service"]["tls"] = {"certificate": str(certificate), "key": str(certificate.with_suffix(".key"))}
    (folder / PARAMS).write_text(yaml.safe_dump(params))
    deployment = Deployment.read(folder)
    fill_store(deployment)
    tokens = {role: token_of(deployment, role.value, role) for role in Role}
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    trusted = ssl.create_default_context(cafile=str(certificate))
    with server(folder, command, f"https://127.0.0.1:{port}/readyz", trusted=trusted):
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted, timeout=30) as client:
            yield client, tokens
        assert not any(token.split("_", 2)[2] in (folder / "server.log").read_text() for token in tokens.values())


def test_nothing_but_the_open_paths_answers_without_a_token(served: tuple[httpx.Client, dict[Role, str]]) -> None:
    client, _ = served
    asked = [(method, path) for method, path in ENDPOINTS] + [("GET", path) for path in OF_BENTOML]
    for method, path in asked:
        answer = client.request(method, path)
        assert answer.status_code == 401, f"{method} {path}"
    for path in ("/livez", "/readyz", "/healthz", "/sign-in", "/sign-in.css", "/sheet", "/sheet.css", "/sheet.js"):
        assert client.get(path).status_code == 200
    for path in ("/sign-in/begin", "/sign-in/done"):  # of an OpenID provider, which is not set
        assert client.get(path).status_code == 404


def test_metrics_are_the_admins_and_monitors_and_documents_the_admins(
    served: tuple[httpx.Client, dict[Role, str]],
) -> None:
    client, tokens = served
    for path, words in (
        ("/metrics", "dongseon_requests"),
        ("/v1/openapi.json", "/cases/{case_id}"),
        ("/docs.json", ""),
    ):
        for role, token in tokens.items():
            answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
            is_let_in = role is Role.ADMIN or (role is Role.MONITOR and path == "/metrics")
            assert answer.status_code == (200 if is_let_in else 403), f"{path} {role}"
            assert not is_let_in or words in answer.text


def test_who_searches_too_often_has_to_wait_and_may_still_look(served: tuple[httpx.Client, dict[Role, str]]) -> None:
    client, tokens = served
    operator = {"Authorization": f"Bearer {tokens[Role.OPERATOR]}"}
    asked = [client.post(f"/v1/{kind}", json={}, headers=operator) for kind in ("search", "route") * 3]
    assert [answer.status_code for answer in asked] == [400] * MOST_SEARCHES + [429]
    assert 1 <= int(asked[-1].headers["Retry-After"]) <= 60
    assert client.get("/v1/cases", headers=operator).status_code == 200


def test_nobody_chooses_the_address_for_which_a_wrong_token_counts(
    served: tuple[httpx.Client, dict[Role, str]],
) -> None:
    client, tokens = served
    for forged in ("192.0.2.9", "<script>", "x" * 5000):
        forwarded = {"X-Forwarded-For": forged, "Authorization": "Bearer wrong"}
        assert client.get("/v1/status", headers=forwarded).status_code == 401
    auditor = {"Authorization": f"Bearer {tokens[Role.AUDITOR]}"}
    records = client.get("/v1/audit", params={"limit": 1000}, headers=auditor).json()["records"]
    refused = [one["details"] for one in records if one["action"] == "refused token"]
    assert refused[-3:] == [{"address": "127.0.0.1"}] * 3


def test_what_was_refused_is_in_the_audit(served: tuple[httpx.Client, dict[Role, str]]) -> None:
    client, tokens = served
    monitor, auditor = ({"Authorization": f"Bearer {tokens[role]}"} for role in (Role.MONITOR, Role.AUDITOR))
    assert client.get("/v1/cases/1", headers=monitor).status_code == 403
    records = client.get("/v1/audit", params={"limit": 1000}, headers=auditor).json()["records"]
    told = [
        one["details"]["reason"] for one in records if (one["account"], one["action"]) == ("monitor", "refused access")
    ]
    assert told  # of many refusals within a short time the first ones are
    assert all("which the role monitor does not have" in reason for reason in told)


@pytest.mark.parametrize(
    "path", ["/readyz", "/sign-in", "/sign-in.css", "/", "/v1/status", "/metrics", "/v1/nothing", "/x"]
)
def test_no_answer_may_be_kept_by_a_browser(served: tuple[httpx.Client, dict[Role, str]], path: str) -> None:
    client, tokens = served
    for headers in ({}, {"Authorization": f"Bearer {tokens[Role.ADMIN]}"}):
        answer = client.get(path, headers=headers)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        assert answer.headers["Content-Security-Policy"].startswith("default-src")
        assert answer.headers["Referrer-Policy"] in {"no-referrer", "same-origin"}
        assert path != "/v1/status" or "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_connections_are_encrypted_with_keys_of_their_own_and_authenticated(
    served: tuple[httpx.Client, dict[Role, str]], certificate: Path
) -> None:
    client, _ = served

    def cipher(only: str | None, version: ssl.TLSVersion) -> str:
        context = ssl.create_default_context(cafile=str(certificate))
        context.minimum_version = context.maximum_version = version
        if only is not None:
            context.set_ciphers(only)
        with (
            socket.create_connection(("127.0.0.1", client.base_url.port), timeout=10) as peer,
            context.wrap_socket(peer, server_hostname="127.0.0.1") as secured,
        ):
            name, _, _ = secured.cipher() or ("none", "", 0)
            return name

    assert cipher(None, ssl.TLSVersion.TLSv1_3).startswith("TLS_")
    assert cipher(None, ssl.TLSVersion.TLSv1_2).startswith("ECDHE-")
    for refused in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"):  # not authenticated as a whole (CBC)
        with pytest.raises(ssl.SSLError):
            cipher(f"{refused}:@SECLEVEL=0", ssl.TLSVersion.TLSv1_2)
    with pytest.raises((ssl.SSLError, ValueError)):
        cipher("ALL:@SECLEVEL=0", ssl.TLSVersion.TLSv1_1)


def test_a_service_whose_key_others_may_read_says_so_and_does_not_start(tmp_path: Path, certificate: Path) -> None:
    folder, key = tmp_path / "service", tmp_path / "tls.key"
    key.write_bytes(certificate.with_suffix(".key").read_bytes())
    key.chmod(0o644)
    write_deployment(folder)
    package._stage_code(folder)
    params = yaml.safe_load((folder / PARAMS).read_text())
    params["serving"]["service"]["tls"] = {"certificate": str(certificate), "key": str(key)}
    (folder / PARAMS).write_text(yaml.safe_dump(params))
    ended = run(folder, sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", timeout_s=120)
    assert ended.returncode != 0
    assert f"error: serving.service.tls.key must be closed to other users of the machine, {key} has" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_signing_in_over_https_gives_a_cookie_that_stays_there(served: tuple[httpx.Client, dict[Role, str]]) -> None:
    client, tokens = served
    origin = {"Origin": str(client.base_url).rstrip("/")}
    answer = client.post("/sign-in", data={"token": tokens[Role.REVIEWER]}, headers=origin)
    assert answer.status_code == 303, answer.text
    assert {"secure", "httponly", "samesite=strict"} <= set(answer.headers["set-cookie"].lower().split("; "))
    asked = FOR_CASE | {"attributes": '{"bag": "backpack"}'}
    assert client.post("/v1/search", data=asked, headers=origin).status_code == 200
    client.cookies.clear()
    with pytest.raises(httpx.HTTPError):
        httpx.get(client.base_url.join("/readyz").copy_with(scheme="http"), timeout=10)
