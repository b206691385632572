import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.access.roles import Role
from serving.database.districts import StoredDistrict
from serving.deployment import Deployment
from serving.search.service import SearchService
from serving.web.operator_page import build_page
from tests.helpers.deployments import REVIEWER, client_of, write_deployment
from tests.helpers.project import ROOT
from tests.helpers.sightings import CAMERAS

FILES = sorted((ROOT / "serving" / "web" / "page").iterdir())


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[TestClient]:
    with client_of(build_page(), deployment) as client:
        yield client


def test_the_page_is_korean_first_and_english_on_request(client: TestClient) -> None:
    korean, english = client.get("/").text, client.get("/?lang=en").text
    assert '<html lang="ko">' in korean
    assert all(word in korean for word in ("가방", "배낭", "상관없음", "동선", "Asia/Seoul", "Gate 2"))
    assert '<html lang="en">' in english
    assert all(word in english for word in ("backpack", "is not", "Case file"))
    assert not re.search("[가-힣]", english.replace(">한국어<", ""))  # the switch back alone is Korean


@pytest.mark.parametrize("address", ["/", *(f"/page/{file.name}" for file in FILES if file.suffix in {".js", ".css"})])
def test_the_browser_is_told_to_ask_nobody_else(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' blob: data:;")
    assert "unsafe" not in policy
    assert set(re.findall(r"https?://[^\"'\s]+", answer.text)) <= {
        "http://www.w3.org/2000/svg"
    }  # SVG's name, no address


def test_scripts_and_styles_are_files_not_parts_of_the_page(client: TestClient) -> None:
    text = client.get("/").text
    (kind, words), (_, module) = re.findall(r"<script([^>]*)>([^<]*)</script>", text)
    assert 'type="application/json"' in kind  # data, which no browser runs
    assert json.loads(words)["searching"] == "찾는 중입니다…"
    assert module == ""
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)


def test_names_from_the_store_are_text_not_html(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = CAMERAS[0].model_copy(update={"name": '<b onclick="x()">Gate'})
    monkeypatch.setattr(SearchService, "districts", lambda _, bound: [StoredDistrict("demo", "UTC", [camera])])
    text = client.get("/").text
    assert "<b onclick" not in text
    assert "&lt;b onclick" in text


def test_a_service_that_has_processed_no_video_says_so_on_the_page(tmp_path: Path) -> None:
    with client_of(build_page(), write_deployment(tmp_path)) as client:
        answer = client.get("/")
        assert answer.status_code == 200
        assert "검색 결과가 온전하지 않습니다" in answer.text
        assert "it is processed by none; run serving.worker" in answer.text


def test_templates_and_words_are_not_served(client: TestClient) -> None:
    addresses = ("/page.html", "/page/page.html", "/page/words.ko.yaml", "/page/nothing.js")
    assert [client.get(address).status_code for address in addresses] == [404] * 4


@pytest.mark.parametrize(
    ("role", "words", "others"),
    [
        (Role.OPERATOR, ["Case for this search", "operator"], ["Open a new case", "Audit log"]),
        (Role.REVIEWER, ["Case for this search", "Open a new case", "A missing child"], ["Audit log"]),
        (
            Role.AUDITOR,
            ["This account may not search", "Audit log"],
            ["Case for this search", "page.js", "A missing child"],
        ),
        (
            Role.ADMIN,
            ["This account may not search"],
            ["Audit log", "Case for this search", "page.js", "A missing child"],
        ),
    ],
)
def test_the_page_offers_what_the_role_may_do(
    deployment: Deployment, role: Role, words: list[str], others: list[str]
) -> None:
    with client_of(build_page(), deployment, replace(REVIEWER, name="kim", role=role)) as client:
        text = client.get("/?lang=en").text
        assert [word for word in words if word not in text] == []
        assert [word for word in others if word in text] == []
