"""The trail of a hit in a real browser: one button from a card, or from its recording, to models, runs and data."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving import package
from serving.access.roles import Role
from serving.database import audit
from serving.database.store import open_store
from serving.deployment import Deployment
from tests.end_to_end.conftest import free_port, server
from tests.end_to_end.test_operator_page import CARDS, IS_READ, Served, ask, click, fill, search, sign_in
from tests.helpers.browser import Browser
from tests.helpers.deployments import fill_store, token_of, write_deployment
from tests.service.test_reembed import NEVER, work_of
from tests.service.test_trail import add_sighting, registered

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
REASON = "어느 모델이 찾았는지"
TRAIL, MODELS = "document.querySelector('#trail')", "document.querySelectorAll('#trail article')"
SHOWS = f"{TRAIL}.open && {MODELS}.length === 4"
WORDS = {
    "ko": ("영상을 처리한 모델", "검색을 위해 더해진 모델", "demo-reid 버전 3", "통과"),
    "en": ("Processed the video", "Added for searches", "demo-reid, version 3", "passed"),
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """One sighting was made by registered models, and got an embedding by a later model."""
    folder = tmp_path_factory.mktemp("trail")
    written = registered(write_deployment(folder / "service"))
    fill_store(written)
    with open_store(written.store) as store:
        add_sighting(written, store)
        work_of(write_deployment(folder / "later", reid=1), store).run(NEVER)
    return written


@pytest.fixture(scope="module")
def served(deployment: Deployment) -> Iterator[Served]:
    package._stage_code(deployment.root)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(deployment.root, command, f"http://127.0.0.1:{port}/readyz"):
        yield Served(f"http://127.0.0.1:{port}", token_of(deployment, "lee", Role.REVIEWER), "")


@pytest.fixture
def browser(chromium: str, served: Served) -> Iterator[Browser]:
    """Signed in, with a case and a reason; at the end nothing may have complained or asked another host."""
    with served.client() as client:
        case = int(client.post("/v1/cases", json={"title": "빨간 외투의 아이"}).json()["id"])
    with Browser(chromium) as opened:
        sign_in(opened, served.address, served.token)
        opened.evaluate(f"sessionStorage.setItem('case', '{case}'); sessionStorage.setItem('reason', '{REASON}')")
        opened.open(f"{served.address}/")
        opened.wait_for(IS_READ)
        yield opened
        assert opened.complaints == []
        assert [one for one in opened.requests if not one.startswith((served.address, "blob:", "data:"))] == []


def find(browser: Browser) -> None:
    """Searches for the sighting of the registered deployment, which is the last."""
    ask(browser, "bag", "is", "backpack")
    fill(browser, "[name=since]", "2026-05-01T21:30")
    search(browser)
    assert browser.evaluate(f"{CARDS}.length") == 1


@pytest.mark.parametrize("language", ["ko", "en"])
def test_one_button_of_a_hit_opens_the_trail_in_both_languages(
    served: Served, browser: Browser, deployment: Deployment, language: str, tmp_path: Path
) -> None:
    browser.open(f"{served.address}/?lang={language}")
    browser.wait_for(IS_READ)
    find(browser)
    click(browser, "#hits [data-trail]")
    browser.wait_for(SHOWS)
    said = browser.evaluate(f"{TRAIL}.innerText")
    for word in (*WORDS[language], "Kim", "a1b2", "d" * 32, "c" * 40, "people 60", "86.6 → 100.0", "79.8 → 100.0"):
        assert word in said
    assert browser.evaluate(f"[...{MODELS}].map(one => one.className)") == ["", "", "", "added"]
    assert browser.barriers() == []
    browser.screenshot(tmp_path / "trail.png")
    browser.resize(360, 740, is_phone=True)
    assert browser.barriers() == []
    assert browser.evaluate(f"{TRAIL}.scrollWidth <= innerWidth")
    with open_store(deployment.store) as store, store.begin() as connection:
        views = [one.details for one in audit.records(connection) if one.action == audit.Action.TRAIL]
    case = browser.evaluate("document.querySelector('[name=case]').value")
    assert [one["reason"] for one in views if str(one["case_id"]) == case] == [REASON]


def test_keys_alone_lead_from_a_hit_to_the_trail_and_back(browser: Browser) -> None:
    find(browser)
    browser.evaluate(f"{CARDS}[0].focus()")
    for _ in range(9):
        if browser.evaluate("document.activeElement.matches('[data-trail]')"):
            break
        browser.press("Tab", "Tab")
    browser.press("Enter", "Enter")
    browser.wait_for(SHOWS)
    browser.press("Escape", "Escape")
    browser.wait_for(f"!{TRAIL}.open")
    assert browser.evaluate("document.activeElement.matches('[data-trail]')"), "where it was before"


def test_the_recording_leads_to_the_trail_and_stays_open_behind_it(browser: Browser) -> None:
    find(browser)
    click(browser, "#hits .picture")
    browser.wait_for("document.querySelector('#clip-status').textContent")
    click(browser, "#footage-trail")
    browser.wait_for(SHOWS)
    assert browser.barriers() == []
    click(browser, "#close-trail")
    browser.wait_for(f"!{TRAIL}.open && document.querySelector('#footage').open")


def test_without_a_reason_nothing_opens_and_a_refusal_is_said(served: Served, browser: Browser) -> None:
    find(browser)
    fill(browser, "[name=reason]", "")
    click(browser, "#hits [data-trail]")
    browser.wait_for("document.querySelector('#problem').innerText.includes('찾는 이유')")
    assert not browser.evaluate(f"{TRAIL}.open")
    fill(browser, "[name=reason]", REASON)
    browser.evaluate("window.fetch = () => Promise.reject(new TypeError('no network'))")
    click(browser, "#hits [data-trail]")
    browser.wait_for("document.querySelector('#trail-problem').checkVisibility()")
    assert "서버에 연결할 수 없습니다" in browser.evaluate(f"{TRAIL}.innerText")
    assert browser.barriers() == []
