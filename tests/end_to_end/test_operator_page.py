"""The operators' page in a real browser, over a served deployment of tiny engines."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image

from serving import package
from serving.roles import Role
from tests.browser import Browser
from tests.deployments import RED, fill_store, picture, token_of, write_deployment
from tests.end_to_end.conftest import free_port, server, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CARDS = "document.querySelectorAll('#hits > li')"


@dataclass(frozen=True)
class Served:
    address: str
    token: str  # of a reviewer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page") / "service"
    deployment = write_deployment(folder)
    package._stage_code(folder)  # as in the Bento: what it lacks, the page lacks
    fill_store(deployment)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(folder, command, f"http://127.0.0.1:{port}/readyz"):
        yield Served(f"http://127.0.0.1:{port}", token_of(deployment, "lee", Role.REVIEWER))


@pytest.fixture
def service(served: Served) -> str:
    return served.address


@pytest.fixture
def browser(chromium: str, served: Served) -> Iterator[Browser]:
    """Signed in, with a case and a reason."""
    with Browser(chromium) as opened:
        sign_in(opened, served)
        opened.evaluate("sessionStorage.setItem('case', '1'); sessionStorage.setItem('reason', '실종 아동')")
        yield opened


def sign_in(browser: Browser, served: Served) -> None:
    browser.open(f"{served.address}/sign-in")
    browser.evaluate(f"document.querySelector('[name=token]').value = '{served.token}'")
    browser.evaluate("document.querySelector('form button').click()")
    browser.wait_for("document.querySelector('#search') && document.readyState === 'complete'")


def test_a_case_is_opened_and_verdicts_are_kept_in_it(served: Served, chromium: str) -> None:
    with Browser(chromium) as browser:
        sign_in(browser, served)
        assert "lee · 책임자" in browser.evaluate("document.querySelector('nav').innerText")
        browser.evaluate("document.querySelector('[data-group=bag]').value = 'backpack'")
        browser.evaluate("document.querySelector('#search .primary').click()")
        browser.wait_for("document.querySelector('#problem').innerText.includes('사건을 고르고 찾는 이유를 적으세요')")
        browser.evaluate("document.querySelector('.case summary').click()")
        browser.evaluate("document.querySelector('#title').value = '빨간 외투의 아이'")
        browser.evaluate("document.querySelector('#open-case').click()")
        browser.wait_for("document.querySelector('[name=case]').selectedOptions[0].text.includes('빨간 외투의 아이')")
        browser.evaluate("document.querySelector('[name=reason]').value = '보호자 신고'")
        browser.evaluate("document.querySelector('[name=reason]').dispatchEvent(new Event('change'))")
        browser.evaluate("document.querySelector('#search .primary').click()")
        browser.wait_for(f"{CARDS}.length")
        browser.evaluate(f"{CARDS}[0].querySelector('[data-verdict=confirmed]').click()")
        browser.wait_for("!document.querySelector('#show-route').disabled")
        with httpx.Client(base_url=served.address, headers={"Authorization": f"Bearer {served.token}"}) as client:
            case = client.get("/v1/cases").json()["cases"][0]
            wait_until(lambda: client.get(f"/v1/cases/{case['id']}").json()["verdicts"], 10, lambda: "no verdict")
            kept = client.get(f"/v1/cases/{case['id']}/export").json()
        assert (kept["title"], kept["searches"][0]["reason"]) == ("빨간 외투의 아이", "보호자 신고")
        assert [(one["account"], one["verdict"]) for one in kept["verdicts"]] == [("lee", "confirmed")]

        browser.open(f"{served.address}/?lang=en")  # case and reason stay, and so do verdicts
        assert browser.evaluate("document.querySelector('[name=reason]').value") == "보호자 신고"
        browser.evaluate("document.querySelector('[data-group=bag]').value = 'backpack'")
        browser.evaluate("document.querySelector('#search .primary').click()")
        browser.wait_for("document.querySelectorAll('#hits > [data-verdict=confirmed]').length === 1")
        browser.wait_for("[...document.querySelectorAll('#hits img')].every(picture => picture.naturalWidth)")
        browser.evaluate("document.querySelector('nav button').click()")
        browser.wait_for("document.body.innerText.includes('Access token')")
        assert not browser.complaints
        assert [address for address in browser.requests if not address.startswith((served.address, "data:"))] == []


def test_a_photo_is_searched_hits_confirmed_and_the_route_shown(service: str, browser: Browser, tmp_path: Path) -> None:
    photo = tmp_path / "person.png"
    Image.fromarray(picture(RED, seed=99)).save(photo)
    browser.open(f"{service}/")
    browser.choose_file("[name=photo]", photo)
    browser.wait_for("!document.querySelector('#preview').hidden")
    browser.evaluate("document.querySelector('#search .primary').click()")
    browser.wait_for(f"{CARDS}.length === 12 && {CARDS}[0].querySelector('img').naturalWidth")
    first = browser.evaluate(f"{CARDS}[0].innerText")
    assert "같은 사람일 확률" in first
    assert "Gate" in first
    assert "2026. 5. 1. 21:" in first  # stored as noon UTC, shown as in Seoul
    assert "가방: 배낭" in first
    assert "찾은 장면 12건" in browser.evaluate("document.querySelector('#status').textContent")
    assert browser.evaluate("document.querySelector('#show-route').disabled")

    browser.evaluate(f"{CARDS}[0].focus()")  # from here on by keyboard alone: two right ones, a wrong one, a right one
    for code, key in [("KeyC", "c"), ("ArrowRight", "ArrowRight"), ("KeyC", "ㅊ"), ("ArrowRight", "ArrowRight")]:
        browser.press(code, key)
    browser.press("KeyR", "r")
    browser.press("ArrowRight", "ArrowRight")
    browser.press("KeyC", "c")
    browser.wait_for("document.querySelector('#status').textContent === '맞음 3건'")
    assert browser.evaluate(f"{CARDS}[2].querySelector('[data-verdict=rejected]').ariaPressed") == "true"
    browser.evaluate("document.querySelector('#show-route').focus()")
    browser.press("Enter", "Enter")
    browser.wait_for("!document.querySelector('#route').hidden")
    assert browser.evaluate("document.querySelectorAll('#route tbody tr').length") == 3
    assert browser.evaluate("document.querySelectorAll('#map circle').length") == 3  # every camera of the district
    assert browser.evaluate("document.querySelectorAll('#time-line rect').length") == 3
    times = browser.evaluate("[...document.querySelectorAll('#route tbody td:nth-child(3)')].map(c => c.textContent)")
    assert times == sorted(times)
    assert browser.evaluate("document.activeElement.id") == "route"

    assert not browser.complaints
    assert [address for address in browser.requests if not address.startswith((service, "blob:", "data:"))] == []
    assert any("/v1/route" in address for address in browser.requests)


def test_attributes_alone_in_english(service: str, browser: Browser) -> None:
    browser.open(f"{service}/?lang=en")
    browser.evaluate("document.querySelector('[data-group=bag]').value = 'backpack'")
    browser.evaluate("document.querySelector('[value=cam1]').click()")
    browser.evaluate("document.querySelector('[name=since]').value = '2026-05-01T21:03'")  # in Seoul: noon and three
    browser.evaluate("document.querySelector('#search .primary').click()")
    browser.wait_for(f"{CARDS}.length")
    shown = browser.evaluate(f"[...{CARDS}].map(card => card.innerText)")
    assert len(shown) == 5  # of six of that camera, the one a minute after noon has gone
    assert all("Gate 1" in card for card in shown)
    assert "Probability that the description fits" in shown[0]
    assert "bag: backpack" in shown[0]


def test_what_goes_wrong_is_said_in_plain_words(service: str, browser: Browser, tmp_path: Path) -> None:
    text = tmp_path / "photo.png"
    text.write_text("I am a text file")
    browser.open(f"{service}/")
    browser.evaluate("document.querySelector('#search .primary').click()")
    browser.wait_for("document.querySelector('#problem').innerText.includes('인상착의를 하나 이상 고르세요')")
    browser.choose_file("[name=photo]", text)
    browser.evaluate("document.querySelector('#search .primary').click()")
    browser.wait_for("document.querySelector('#problem').innerText.includes('사진 파일과 조건을 확인하세요')")
    assert "the photo must be a picture" in browser.evaluate("document.querySelector('#problem').innerText")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param("{status: 503}", "서비스가 아직 준비되지 않았습니다", id="not ready"),
        pytest.param("{status: 503, headers: {'Retry-After': 1}}", "지금은 이용자가 많습니다", id="busy"),
        pytest.param("{status: 500}", "서비스에 오류가 났습니다", id="a bug"),
        pytest.param(None, "서버에 연결할 수 없습니다", id="away"),
    ],
)
def test_a_service_in_trouble_is_told_apart(service: str, browser: Browser, answer: str | None, words: str) -> None:
    browser.open(f"{service}/")
    fetched = "Promise.reject(new TypeError())" if answer is None else f"Promise.resolve(new Response('', {answer}))"
    browser.evaluate(f"window.fetch = () => {fetched}; 0")
    browser.evaluate("document.querySelector('[data-group=bag]').value = 'backpack'")
    browser.evaluate("document.querySelector('#search .primary').click()")
    browser.wait_for(f"document.querySelector('#problem').innerText.includes('{words}')")
