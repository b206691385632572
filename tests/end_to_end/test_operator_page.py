"""The operators' page in a real browser, over a served deployment of tiny engines."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from serving import package
from serving.access.roles import Role
from serving.database import segments
from serving.database.store import open_store
from serving.deployment import Deployment
from tests.end_to_end.conftest import free_port, server, wait_until
from tests.helpers.browser import Browser
from tests.helpers.deployments import GREEN, RED, fill_store, picture, token_of, write_deployment
from tests.helpers.sightings import NOON, embedded_as_made, in_transaction, tracklet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CARDS = "document.querySelectorAll('#hits > li')"
NOTES = "document.querySelector('#photo-notes').innerText"
IS_READ = "!document.querySelector('[data-view=case]').disabled"  # the chosen case


@dataclass(frozen=True)
class Served:
    address: str
    token: str  # of the reviewer lee
    operator: str  # token of the operator kim

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, headers={"Authorization": f"Bearer {self.token}"}, timeout=30)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page") / "service"
    deployment = write_deployment(folder)
    package._stage_code(folder)  # as in the Bento: what it lacks, the page lacks
    fill_store(deployment)
    add_double_and_gap(deployment)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(folder, command, f"http://127.0.0.1:{port}/readyz"):
        tokens = [token_of(deployment, "lee", Role.REVIEWER), token_of(deployment, "kim", Role.OPERATOR)]
        yield Served(f"http://127.0.0.1:{port}", *tokens)


def add_double_and_gap(deployment: Deployment) -> None:
    """While the red person is at Gate 0 at 12:06, somebody like that is at Gate 2; and Gate 1 was away for a minute.

    Later Gate 2 is looked at once a second for a minute.
    """
    with open_store(deployment.store) as store:
        [red] = in_transaction(store, embedded_as_made, ("demo", 7))
        start = NOON + timedelta(minutes=6)
        segment = in_transaction(store, segments.register, "demo", "cam2", "gate2.mp4", "f" * 64, start)
        double = tracklet(1, red.embedding, camera=2, after_s=360)
        store.add_segment(segment.id, [double], red.model_version, frames=50, end=start + timedelta(seconds=5))
        seldom = NOON + timedelta(minutes=20)
        segment = in_transaction(store, segments.register, "demo", "cam2", "seldom.mp4", "a" * 64, seldom)
        looks, until = segments.Looks(60, due=600), seldom + timedelta(minutes=1)
        store.add_segment(segment.id, [], red.model_version, frames=600, end=until, looks=looks)
        in_transaction(store, segments.open_gap, "demo", "cam1", NOON + timedelta(minutes=2), "the camera was cut off")
        in_transaction(store, segments.close_gap, "demo", "cam1", NOON + timedelta(minutes=3))


@pytest.fixture
def service(served: Served) -> str:
    return served.address


@pytest.fixture
def case(served: Served) -> int:
    """A new one."""
    with served.client() as client:
        return int(client.post("/v1/cases", json={"title": "빨간 외투의 아이"}).json()["id"])


@pytest.fixture
def browser(chromium: str, served: Served, case: int) -> Iterator[Browser]:
    """Signed in, with a case and a reason; at the end nothing may have complained or asked another host."""
    with Browser(chromium) as opened:
        sign_in(opened, served.address, served.token)
        opened.evaluate(f"sessionStorage.setItem('case', '{case}'); sessionStorage.setItem('reason', '실종 아동')")
        opened.open(f"{served.address}/")
        opened.wait_for(IS_READ)
        yield opened
        asked_for_400 = [each for each in opened.complaints if "400" in each]  # the browser notes such answers itself
        assert [each for each in opened.complaints if each not in asked_for_400] == []
        assert [one for one in opened.requests if not one.startswith((served.address, "blob:", "data:"))] == []


def sign_in(browser: Browser, address: str, token: str) -> None:
    browser.open(f"{address}/sign-in")
    browser.evaluate(f"document.querySelector('[name=token]').value = '{token}'")
    click(browser, "form button")
    browser.wait_for("document.querySelector('#search') && document.readyState === 'complete'")


def click(browser: Browser, selector: str) -> None:
    browser.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def fill(browser: Browser, selector: str, value: str) -> None:
    """Set a field as somebody who has changed it."""
    changed = f"(field.value = {json.dumps(value)}, field.dispatchEvent(new Event('change', {{bubbles: true}})))"
    browser.evaluate(f"(field => {changed})(document.querySelector({json.dumps(selector)}))")


def ask(browser: Browser, group: str, kind: str, label: str) -> None:
    fill(browser, f"[data-group={group}] select", kind)
    click(browser, f"[data-group={group}] [value={label}]:not(option)")


def search(browser: Browser) -> None:
    """Press the button and wait for new sightings with their pictures; those before stay in view until then."""
    browser.evaluate(f"[...{CARDS}].forEach(card => card.classList.add('before'))")
    click(browser, "#search .primary")
    is_new = f"{CARDS}.length && !{CARDS}[0].matches('.before')"
    browser.wait_for(f"{is_new} && {CARDS}[0].querySelector('img').naturalWidth")


def load_pictures(browser: Browser) -> None:
    """Those out of view too, which the browser leaves out until one comes near them."""
    browser.evaluate(f"[...{CARDS}].forEach(card => card.querySelector('img').loading = 'eager')")
    browser.wait_for(f"[...{CARDS}].every(card => card.querySelector('img').naturalWidth)")


def last_question(served: Served, case: int) -> dict[str, Any]:
    with served.client() as client:
        question: dict[str, Any] = client.get(f"/v1/cases/{case}/export").json()["searches"][-1]["question"]
    return question


def photo(folder: Path, name: str, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def scene() -> np.ndarray:
    """A green person in the left half of a red street: `uint8 [60, 80, 3]`."""
    pixels = np.full((60, 80, 3), RED, np.uint8)
    pixels[:, :40] = GREEN
    return pixels


def place_in(browser: Browser, drawing: int, x: float, y: float) -> tuple[float, float]:
    """Where in the window a point of a photo is; x and y are pixels of it."""
    svg = f"document.querySelectorAll('#photos svg')[{drawing}]"
    point = f"(svg.scrollIntoView(), new DOMPoint({x}, {y}).matrixTransform(svg.getScreenCTM()))"
    left, top = browser.evaluate(f"(svg => (point => [point.x, point.y])({point}))({svg})")
    return left, top


def point_of(browser: Browser, selector: str) -> tuple[float, float]:
    """Middle of an element in the window."""
    box = "(element.scrollIntoView({block: 'center'}), element.getBoundingClientRect())"
    middle = f"(element => (box => [box.x + box.width / 2, box.y + box.height / 2])({box}))"
    x, y = browser.evaluate(f"{middle}(document.querySelector({json.dumps(selector)}))")
    return x, y


def places(browser: Browser) -> list[str]:
    """Where the sightings in view were seen."""
    shown: list[str] = browser.evaluate(f"[...{CARDS}].map(card => card.querySelector('.camera').textContent)")
    return shown


def test_a_case_is_opened_and_verdicts_are_kept_in_it(served: Served, chromium: str) -> None:
    with Browser(chromium) as browser:
        sign_in(browser, served.address, served.token)
        assert "lee · 책임자" in browser.evaluate("document.querySelector('nav').innerText")
        ask(browser, "bag", "is", "backpack")
        click(browser, "#search .primary")
        browser.wait_for("document.querySelector('#problem').innerText.includes('사건을 고르고 찾는 이유를 적으세요')")
        fill(browser, "#title", "파란 모자의 노인")
        click(browser, "#open-case")
        browser.wait_for("document.querySelector('[name=case]').selectedOptions[0].text.includes('파란 모자의 노인')")
        browser.wait_for(IS_READ)
        fill(browser, "[name=reason]", "보호자 신고")
        search(browser)
        browser.evaluate(f"{CARDS}[0].querySelector('[data-verdict=confirmed]').click()")
        browser.wait_for("!document.querySelector('[data-view=route]').disabled")
        with served.client() as client:
            number = client.get("/v1/cases").json()["cases"][0]["id"]
            wait_until(lambda: client.get(f"/v1/cases/{number}").json()["verdicts"], 10, lambda: "no verdict")
            kept = client.get(f"/v1/cases/{number}/export").json()
        assert (kept["title"], kept["searches"][0]["reason"]) == ("파란 모자의 노인", "보호자 신고")
        assert [(one["account"], one["verdict"]) for one in kept["verdicts"]] == [("lee", "confirmed")]

        browser.open(f"{served.address}/?lang=en")  # case and reason stay, and so do verdicts
        assert browser.evaluate("document.querySelector('[name=reason]').value") == "보호자 신고"
        browser.wait_for("!document.querySelector('[data-view=route]').disabled")
        ask(browser, "bag", "is", "backpack")
        search(browser)
        browser.wait_for("document.querySelectorAll('#hits > [data-verdict=confirmed]').length === 1")
        load_pictures(browser)  # one that is asked for after signing out would be refused
        click(browser, "nav button")
        browser.wait_for("document.body.innerText.includes('Access token')")
        assert not browser.complaints
        assert [address for address in browser.requests if not address.startswith((served.address, "data:"))] == []


def test_sightings_are_judged_by_key_and_the_next_search_uses_it(browser: Browser, tmp_path: Path) -> None:
    browser.choose_files("[name=photo]", photo(tmp_path, "person.png", picture(RED, seed=99)))
    browser.wait_for("document.querySelector('#photos svg')")
    search(browser)
    assert browser.evaluate(f"{CARDS}.length") == 13
    first = browser.evaluate(f"{CARDS}[0].innerText")
    assert "같은 사람일 확률" in first
    assert "Gate" in first
    assert "2026. 5. 1. 21:" in first  # stored as noon UTC, shown as in Seoul
    model = browser.evaluate(f"{CARDS}[0].querySelector('[data-slot=probability]').title")
    assert "모델 mean-colour-" in model
    assert "mean-colour" not in first, "who asks for the model finds it; on the card it is noise"
    assert any("가방: 배낭" in text for text in browser.evaluate(f"[...{CARDS}].map(card => card.innerText)"))
    assert "찾은 장면 13건" in browser.evaluate("document.querySelector('#status').textContent")
    assert browser.evaluate("document.querySelector('[data-view=route]').disabled")

    browser.evaluate(f"{CARDS}[0].focus()")  # from here on by keyboard alone: two right ones, a wrong one, a right one
    for code, key in [("KeyC", "c"), ("ArrowRight", "ArrowRight"), ("KeyC", "ㅊ"), ("ArrowRight", "ArrowRight")]:
        browser.press(code, key)
    browser.press("KeyR", "r")
    browser.press("ArrowRight", "ArrowRight")
    browser.press("KeyC", "c")
    browser.wait_for("document.querySelector('#status').textContent.includes('맞음 3건, 아님 1건')")
    assert browser.evaluate(f"{CARDS}[2].querySelector('[data-verdict=rejected]').ariaPressed") == "true"
    search(browser)  # with the verdicts: what was rejected is left out, what was confirmed is certain
    browser.wait_for(f"{CARDS}.length === 12")
    assert browser.evaluate("document.querySelectorAll('#hits > [data-verdict=confirmed]').length") == 3
    assert "확인됨 100%" in browser.evaluate("document.querySelector('#hits > [data-verdict=confirmed]').innerText")
    click(browser, "[name=use-verdicts]")
    search(browser)  # without them: matches are marked as before, and what was rejected stays rejected
    browser.wait_for(f"{CARDS}.length === 12 && !document.querySelector('#hits').innerText.includes('100%')")
    marks = "[...document.querySelectorAll('#hits > li')].map(card => card.dataset.verdict).sort()"
    assert browser.evaluate(marks) == ["confirmed"] * 3 + ["none"] * 9


def test_several_photos_are_shown_pointed_into_and_removed(
    served: Served, browser: Browser, case: int, tmp_path: Path
) -> None:
    files = [photo(tmp_path, "one.png", picture(GREEN, seed=98)), photo(tmp_path, "scene.png", scene())]
    for file in files:  # one after the other, as people do
        browser.choose_files("[name=photo]", file)
    browser.wait_for("document.querySelectorAll('#photos svg').length === 2")
    browser.drag(place_in(browser, 1, 8, 30), place_in(browser, 1, 8, 30))
    browser.wait_for("document.querySelector('#photos circle.pointed')")
    search(browser)
    assert last_question(served, case)["people_xyxy"][0] is None
    browser.wait_for("document.querySelectorAll('#photos rect.searched').length === 2")
    shown = (
        "['x', 'y', 'width', 'height'].map(name => document.querySelectorAll('rect.searched')[1].getAttribute(name))"
    )
    assert browser.evaluate(shown) == ["0", "0", "40", "60"]  # the person around the click
    assert browser.evaluate(shown.replace("[1]", "[0]")) == ["0", "0", "24", "48"]  # all of the crop

    browser.drag(place_in(browser, 1, 50, 15), place_in(browser, 1, 70, 45))
    search(browser)
    assert last_question(served, case)["people_xyxy"] == [None, pytest.approx([50, 15, 70, 45], abs=1)]
    browser.wait_for("document.querySelectorAll('#photos rect.searched').length === 2")

    browser.evaluate("document.querySelector('#photos svg').focus()")  # by keyboard: a box, moved and made wider
    browser.press("Enter", "Enter")
    browser.press("ArrowRight", "ArrowRight")
    browser.press("ArrowRight", "ArrowRight", shift=True)
    left, width = browser.evaluate("['x', 'width'].map(name => +document.querySelector('.pointed').getAttribute(name))")
    assert (left, width) == (9, 9)
    browser.press("Delete", "Delete")
    assert not browser.evaluate("document.querySelector('#photos li .pointed')?.closest('li').matches(':first-child')")
    browser.evaluate("document.querySelector('#photos button').focus()")
    browser.press("Enter", "Enter")
    browser.wait_for("document.querySelectorAll('#photos li').length === 1")
    browser.choose_files("[name=photo]", *[files[0]] * 9)
    browser.wait_for("document.querySelectorAll('#photos li').length === 8")  # serving.service.max_photos


def test_a_photo_of_an_iphone_that_the_browser_cannot_read_is_said_and_the_others_taken(
    browser: Browser, tmp_path: Path
) -> None:
    heic = tmp_path / "IMG_0001.HEIC"
    heic.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    browser.choose_files("[name=photo]", heic, photo(tmp_path, "one.png", picture(GREEN, seed=98)))
    browser.wait_for(f"{NOTES}.startsWith('IMG_0001.HEIC: 이 브라우저는 HEIC 사진을 읽을 수 없습니다')")
    browser.wait_for("document.querySelectorAll('#photos li').length === 1")


def test_nobody_where_the_operator_clicks_is_said(browser: Browser, tmp_path: Path) -> None:
    browser.choose_files("[name=photo]", photo(tmp_path, "scene.png", scene()))
    browser.wait_for("document.querySelector('#photos svg')")
    browser.drag(place_in(browser, 0, 64, 30), place_in(browser, 0, 64, 30))
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#problem').innerText.includes('scene.png: 누른 곳에 사람이 없습니다')")


def test_attributes_alone_by_keyboard(served: Served, browser: Browser, case: int) -> None:
    browser.open(f"{served.address}/?lang=en")
    browser.wait_for(IS_READ)
    browser.evaluate("document.querySelector('[data-group=bag] select').focus()")
    browser.press("ArrowDown", "ArrowDown")  # is
    browser.press("ArrowDown", "ArrowDown")  # is not
    browser.press("Tab", "Tab")
    browser.press("Space", " ")  # none
    browser.press("Tab", "Tab")
    browser.press("Tab", "Tab")
    browser.press("Space", " ")  # include people for whom this is unknown
    click(browser, "[name=cameras][value='demo/cam1']")
    fill(browser, "[name=since]", "2026-05-01T21:03")  # in Seoul: noon and three
    search(browser)
    assert last_question(served, case)["attributes"] == {"bag": {"is_not": ["none"], "or_unknown": True}}
    shown = browser.evaluate(f"[...{CARDS}].map(card => card.innerText)")
    assert len(shown) == 5  # of six of that camera, the one a minute after noon has gone
    assert all("Gate 1" in card for card in shown)
    assert "Probability that the description fits" in shown[0]
    assert "bag: none 1%" in shown[0]  # what was asked, and what is surest
    assert "bag: backpack" in shown[0]


def test_where_the_person_was_seen_is_pressed_on_the_map_and_moves_the_sightings(
    served: Served, browser: Browser, case: int, tmp_path: Path
) -> None:
    browser.choose_files("[name=photo]", photo(tmp_path, "person.png", picture(RED, seed=99)))
    browser.wait_for("document.querySelector('#photos svg')")
    browser.evaluate("document.querySelector('.seen details').open = true")
    browser.drag(point_of(browser, ".seen-map circle.camera"), point_of(browser, ".seen-map circle.camera"))
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#problem').innerText.includes('장소와 시각을 둘 다')")
    fill(browser, "#seen-time", "2026-05-01T21:00")  # in Seoul: noon
    assert browser.evaluate("(form => form.scrollWidth <= form.clientWidth)(document.querySelector('.fields'))")
    search(browser)
    (seen,) = last_question(served, case)["seen_at"]
    assert (seen["time"], seen["area"]["radius_m"]) == ("2026-05-01T12:00:00Z", 100)  # five minutes are the default
    assert seen["area"]["latitude"] == pytest.approx(35.85, abs=2e-4)
    assert "장소·시간 ×" in browser.evaluate("document.querySelector('#hits').innerText")
    assert "장소·시간 ÷" in browser.evaluate("document.querySelector('#hits').innerText")
    shown = browser.evaluate(f"[...{CARDS}].map(card => parseInt(card.querySelector('strong').textContent))")
    assert shown == sorted(shown, reverse=True)
    fill(browser, "#seen-place", "demo/cam1")
    fill(browser, "#seen-source", "가게 주인")
    search(browser)
    assert last_question(served, case)["seen_at"][0]["source"] == "가게 주인"
    assert last_question(served, case)["seen_at"][0]["camera"] == "demo/cam1"

    browser.evaluate(f"{CARDS}[0].querySelector('[data-verdict=confirmed]').click()")
    browser.wait_for(f"{CARDS}[0].ariaBusy === 'false'")
    browser.open(f"{served.address}/?lang=en")
    browser.wait_for(IS_READ)
    browser.resize(1366, 400)  # the view is higher than the window
    click(browser, "[data-view=next]")
    browser.wait_for("document.querySelectorAll('#next-table tbody tr').length === 2")
    place = "(selector => document.querySelector(selector).getBoundingClientRect())"
    assert browser.evaluate(f"{place}('#next-title').top >= {place}('.bar').bottom")
    assert "Last seen: Gate" in browser.evaluate("document.querySelector('#next-last').textContent")
    rows = browser.evaluate("[...document.querySelectorAll('#next-table tbody tr')].map(row => row.innerText)")
    assert all("%" in row for row in rows)
    assert browser.evaluate("document.querySelectorAll('#next-map .maybe').length > 100")
    areas = "[...document.querySelectorAll('#next-times label')]"
    assert browser.evaluate(f"{areas}.map(area => area.innerText.endsWith(' ha'))") == [True, True, True]
    scale = "document.querySelector('#next-map text.scale').textContent"
    before = browser.evaluate(scale)
    browser.evaluate(f"{areas}[2].click()")  # half an hour on, the person may be much farther
    browser.wait_for(f"{scale} !== {json.dumps(before)}")
    browser.resize(360, 740, is_phone=True)
    assert browser.barriers() == []
    assert last_question(served, case)["sightings"]


def test_an_area_is_chosen_by_keyboard_and_on_the_map(served: Served, browser: Browser, case: int) -> None:
    ask(browser, "bag", "is", "backpack")
    browser.evaluate("document.querySelector('#area-centre').focus()")
    browser.press("ArrowDown", "ArrowDown")  # past what only the map offers
    assert browser.evaluate("document.querySelector('#area-centre').value") == "demo/cam0"
    browser.press("Tab", "Tab")
    browser.evaluate("document.activeElement.select()")
    browser.type("150")
    assert browser.evaluate("document.querySelector('#in-area').textContent") == "· 카메라 2대"
    search(browser)
    assert last_question(served, case)["area"] == {"latitude": 35.85, "longitude": 128.6, "radius_m": 150}
    assert set(places(browser)) == {"Gate 0", "Gate 1"}

    click(browser, ".area summary")
    point_of(browser, ".area-map")  # which brings it into view
    boxes = "[...document.querySelectorAll('.area-map .camera')].map(dot => dot.getBoundingClientRect())"
    cameras = browser.evaluate(f"{boxes}.map(box => [box.x + box.width / 2, box.y + box.height / 2])")
    (x, top), (_, bottom) = cameras[2], cameras[0]  # north is up: cam2 above cam0, 222.4 m apart
    assert top < bottom
    assert x == pytest.approx(cameras[0][0], abs=1)
    browser.drag((x, top), (x + (bottom - top) / 4, top))
    assert browser.evaluate("document.querySelector('#area-centre').value") == "map"
    assert browser.evaluate("document.querySelector('#in-area').textContent") == "· 카메라 1대"
    search(browser)
    area = last_question(served, case)["area"]
    assert (area["latitude"], area["longitude"]) == pytest.approx((35.852, 128.6), abs=2e-5)
    assert area["radius_m"] == pytest.approx(222.4 / 4, abs=3)
    assert set(places(browser)) == {"Gate 2"}

    fill(browser, "#area-radius", "")
    click(browser, "#search .primary")
    assert not browser.evaluate("document.querySelector('#area-radius').checkValidity()")  # nothing is sent
    click(browser, "[type=reset]")
    browser.wait_for("!document.querySelector('#in-area').textContent")
    ask(browser, "bag", "is", "backpack")
    search(browser)
    assert "area" not in last_question(served, case)


def test_an_area_without_a_camera_is_said(browser: Browser) -> None:
    ask(browser, "bag", "is", "backpack")
    click(browser, ".area summary")
    x, y = point_of(browser, ".area-map")
    fill(browser, "#area-radius", "5")
    browser.drag((x + 60, y), (x + 60, y))
    assert browser.evaluate("document.querySelector('#in-area').textContent") == "· 카메라 0대"
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#problem').innerText.includes('고른 지역에 카메라가 없습니다')")


def test_what_was_not_seen_is_said_over_the_results(browser: Browser) -> None:
    ask(browser, "bag", "is", "backpack")
    search(browser)
    browser.wait_for("document.querySelector('#coverage.warning summary').innerText.includes('빠진 시간이 있습니다')")
    assert "카메라 3대" in browser.evaluate("document.querySelector('#coverage summary').innerText")
    browser.evaluate("document.querySelector('#coverage summary').focus()")
    browser.press("Enter", "Enter")
    browser.wait_for("document.querySelectorAll('#coverage tbody tr').length === 3")
    rows = browser.evaluate("[...document.querySelectorAll('#coverage tbody tr')].map(row => row.innerText)")
    gap = "끊김 2026. 5. 1. 21:02:00 – 21:03:00 the camera was cut off"
    assert [gap in row for row in rows] == [False, True, False]
    assert "영상 없음" in rows[2]  # but for five seconds

    fill(browser, "[name=since]", "2026-05-01T21:04")
    fill(browser, "[name=until]", "2026-05-01T21:08")
    for camera in ("cam0", "cam1"):
        click(browser, f"[name=cameras][value='demo/{camera}']")
    search(browser)
    browser.wait_for(
        "document.querySelector('#coverage:not(.warning) summary')?.innerText.includes('빠진 시간이 없습니다')"
    )


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ko", ["0%", "드문드문 본 시간이 1.0분", "1초에 1번"]),
        ("en", ["0%", "Seen thinly for 1.0 min", "with 1 looks a second"]),
    ],
)
def test_times_that_were_seen_thinly_are_said_over_the_results(
    served: Served, browser: Browser, language: str, words: list[str]
) -> None:
    browser.open(f"{served.address}/?lang={language}")
    browser.wait_for(IS_READ)
    ask(browser, "bag", "is", "backpack")
    fill(browser, "[name=since]", "2026-05-01T21:20")
    fill(browser, "[name=until]", "2026-05-01T21:21")
    click(browser, "[name=cameras][value='demo/cam2']")
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#coverage.warning summary')")
    said = browser.evaluate("document.querySelector('#coverage').textContent")
    assert [word for word in words if word not in said] == []
    assert "빠진 시간이" not in said
    assert "missing" not in browser.evaluate("document.querySelector('#coverage summary').textContent")


def test_more_sightings_come_when_they_are_asked_for_by_keyboard(served: Served, browser: Browser, case: int) -> None:
    browser.evaluate("document.querySelector('#more').dataset.topK = '5'")  # as serving.service.top_k would
    ask(browser, "bag", "is_not", "none")
    search(browser)
    assert browser.evaluate(f"{CARDS}.length") == 5
    for number in (10, 13):  # twice as many, then all there are
        browser.evaluate(f"[...{CARDS}].at(-1).querySelector('[data-trail]').focus()")
        browser.press("Tab", "Tab")
        assert browser.evaluate("document.activeElement.textContent") == "더 보기"
        first_new = browser.evaluate(f"{CARDS}.length")
        browser.press("Enter", "Enter")
        browser.wait_for(f"{CARDS}.length === {number}")
        browser.wait_for(f"document.activeElement === {CARDS}[{first_new}]")
    assert browser.evaluate("document.querySelector('#more').hidden")
    assert f"찾은 장면 {number}건" in browser.evaluate("document.querySelector('#status').textContent")
    with served.client() as client:
        kept = client.get(f"/v1/cases/{case}/export").json()["searches"]
    assert [one["question"]["top_k"] for one in kept] == [5, 10, 20]
    assert [len(one["found"]) for one in kept] == [5, 10, 13]


def test_the_labels_that_were_asked_for_are_always_among_the_attributes(browser: Browser) -> None:
    ask(browser, "bag", "is_not", "backpack")
    search(browser)
    shown = browser.evaluate(f"[...{CARDS}].map(card => card.querySelector('.searched').textContent)")
    assert len(shown) == 13
    assert all(text.startswith("가방: 배낭 ") for text in shown)  # also of those who rather carry none
    assert len({text.split()[-1] for text in shown}) > 1


def test_the_route_has_alternatives_and_files(served: Served, browser: Browser, case: int, tmp_path: Path) -> None:
    browser.choose_files("[name=photo]", photo(tmp_path, "person.png", picture(RED, seed=99)))
    browser.wait_for("document.querySelector('#photos svg')")
    search(browser)
    browser.evaluate(  # at 12:00; the other sightings of red people, one of them in two places at once, are likely
        f"[...{CARDS}].find(card => card.innerText.includes('21:00:00')).querySelector('[data-verdict]').click()"
    )
    browser.evaluate("document.querySelector('[data-view=route]').focus()")
    browser.press("Enter", "Enter")
    browser.wait_for("!document.querySelector('#route').hidden")
    assert browser.evaluate("document.activeElement.id") == "route"
    kinds = "[...document.querySelectorAll('#route tbody tr')].map(row => row.className)"
    assert browser.evaluate(kinds) == ["certain", "likely", "likely", "likely"]
    assert browser.evaluate("document.querySelectorAll('#map circle').length") == 3  # every camera of the district
    assert browser.evaluate("document.querySelectorAll('#time-line rect.likely').length") == 3
    assert browser.evaluate("document.querySelectorAll('#map line.likely').length") == 3
    times = browser.evaluate("[...document.querySelectorAll('#route tbody td:nth-child(3)')].map(c => c.textContent)")
    assert times == sorted(times)

    places = "[...document.querySelectorAll('#route tbody td:nth-child(2)')].map(cell => cell.textContent).join()"
    assert browser.evaluate("document.querySelectorAll('#alternatives input').length") == 2
    assert "%" in browser.evaluate("document.querySelector('#alternatives').innerText")
    likeliest = browser.evaluate(places)
    browser.evaluate("document.querySelector('#alternatives input').focus()")
    browser.press("ArrowRight", "ArrowRight")
    browser.wait_for(f"{places} !== '{likeliest}'")
    assert ("Gate 2" in likeliest) != ("Gate 2" in browser.evaluate(places))

    browser.download_to(tmp_path)
    for kind in ("geojson", "csv"):
        click(browser, f"[data-format={kind}]")
        file = tmp_path / f"route-case-{case}.{kind}"
        wait_until(file.exists, 10, lambda: "no file")
    assert (tmp_path / f"route-case-{case}.csv").read_text().startswith("route,stop,district")
    points = json.loads((tmp_path / f"route-case-{case}.geojson").read_text())["features"]
    assert {one["properties"]["route"] for one in points} == {1, 2}

    click(browser, "#fill")
    browser.wait_for(f"{kinds}.join() === 'certain'")
    fill(browser, "[name=reason]", " ")
    click(browser, "#fill")
    browser.wait_for("document.querySelector('#problem').innerText.includes('사건을 고르고 찾는 이유를 적으세요')")
    with served.client() as client:
        kept = client.get(f"/v1/cases/{case}/export").json()["searches"]
    assert [(one["question"].get("fill"), one["reason"]) for one in kept] == [
        (None, "실종 아동"),
        *[(True, "실종 아동")] * 3,  # on the page and in both files
    ]


def test_a_reviewer_holds_and_closes_a_case(served: Served, browser: Browser, case: int) -> None:
    ask(browser, "bag", "is", "backpack")
    search(browser)
    browser.evaluate(f"{CARDS}[0].querySelector('[data-verdict=confirmed]').click()")
    browser.evaluate(f"{CARDS}[1].querySelector('[data-verdict=rejected]').click()")
    browser.evaluate("document.querySelector('[data-view=case]').focus()")
    browser.press("Enter", "Enter")
    browser.wait_for("document.querySelectorAll('#judged > li').length === 2")
    browser.wait_for("[...document.querySelectorAll('#judged img')].every(crop => crop.naturalWidth)")
    assert "판단: lee" in browser.evaluate("document.querySelector('#judged > li').innerText")
    click(browser, "#judged > [data-verdict=rejected] [data-verdict=rejected]")  # taken back
    browser.wait_for("document.querySelector('#status').textContent.includes('맞음 1건, 아님 0건')")

    click(browser, "#hold")
    browser.wait_for("!document.querySelector('#on-hold').hidden")
    fill(browser, "#case-operators", "kim")
    click(browser, "#name-operators")
    browser.wait_for("document.querySelector('#case-facts').textContent.includes('kim')")
    click(browser, "#close-case")
    browser.wait_for(f"document.querySelector('#closed-cases [value=\"{case}\"]')")
    browser.wait_for("document.querySelector('#case-facts').textContent.includes('닫은 날')")
    assert browser.evaluate("document.querySelector('#closing').hidden")
    assert browser.evaluate("document.querySelector('[data-view=route]').disabled")
    browser.wait_for("[...document.querySelectorAll('#judged img')].every(crop => crop.naturalWidth)")
    with served.client() as client:
        details = client.get(f"/v1/cases/{case}").json()
    assert (details["legal_hold"], details["operators"], details["closed"] is None) == (True, ["kim"], False)
    click(browser, "#search .primary")
    browser.wait_for(
        "document.querySelector('#problem').innerText.includes('닫힌 사건에서는 찾거나 판단할 수 없습니다')"
    )


def test_an_operator_is_shown_the_own_cases_and_nothing_to_review(served: Served, chromium: str) -> None:
    with served.client() as client:
        number = client.post("/v1/cases", json={"title": "길 잃은 어르신", "operators": ["kim"]}).json()["id"]
    with Browser(chromium) as browser:
        sign_in(browser, served.address, served.operator)
        fill(browser, "[name=case]", str(number))
        browser.wait_for(IS_READ)
        options = "[...document.querySelectorAll('[name=case] > option')].map(option => option.value)"
        assert str(number) in browser.evaluate(options)
        assert "1" not in browser.evaluate(options)
        for selector in ("#open-case", "#hold", "#close-case", "#name-operators", "#export-case"):
            assert browser.evaluate(f"document.querySelector('{selector}')") is None
        click(browser, "[data-view=case]")
        browser.wait_for("!document.querySelector('#nothing-judged').hidden")
        assert not browser.complaints


def test_what_goes_wrong_is_said_in_plain_words(service: str, browser: Browser, tmp_path: Path) -> None:
    text = tmp_path / "photo.png"
    text.write_text("I am a text file")
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#problem').innerText.includes('인상착의를 하나 이상 고르세요')")
    fill(browser, "[data-group=bag] select", "is")
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#problem').innerText.includes('‘가방’에서 하나 이상 고르세요')")
    fill(browser, "[data-group=bag] select", "")
    browser.choose_files("[name=photo]", text)
    browser.wait_for(f"{NOTES}.includes('photo.png: 사진이 아니거나 읽을 수 없는 형식입니다')")  # before any search
    assert browser.evaluate("document.querySelectorAll('#photos li').length") == 0
    ask(browser, "bag", "is", "backpack")
    fill(browser, "[name=since]", "2026-05-02T00:00:00")
    fill(browser, "[name=until]", "2026-05-01T00:00:00")
    click(browser, "#search .primary")
    browser.wait_for(
        "document.querySelector('#problem').innerText === '‘까지’가 ‘부터’보다 앞섭니다. 기간을 고치세요.'"
    )
    fill(browser, "[name=until]", "")
    fill(browser, "[name=since]", "0001-05-01T00:00:00")
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#problem').innerText.includes('1900년에서 2199년')")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(
            "{status: 503, headers: {'Retry-After': 10}}", "서비스가 아직 준비되지 않았습니다", id="not ready"
        ),
        pytest.param("{status: 503, headers: {'Retry-After': 1}}", "지금은 이용자가 많습니다", id="busy"),
        pytest.param("{status: 500}", "서비스에 오류가 났습니다", id="a bug"),
        pytest.param(None, "서버에 연결할 수 없습니다", id="away"),
    ],
)
def test_a_service_in_trouble_is_told_apart(service: str, browser: Browser, answer: str | None, words: str) -> None:
    browser.open(f"{service}/")
    fetched = "Promise.reject(new TypeError())" if answer is None else f"Promise.resolve(new Response('', {answer}))"
    browser.wait_for(IS_READ)
    browser.evaluate(f"window.fetch = () => {fetched}; 0")
    ask(browser, "bag", "is", "backpack")
    click(browser, "#search .primary")
    browser.wait_for(f"document.querySelector('#problem').innerText.includes('{words}')")


CHIPS = "[...document.querySelectorAll('#conditions li')].map(chip => chip.firstChild.textContent)"


def test_a_sentence_becomes_chips_that_are_corrected_and_removed_by_keyboard(
    served: Served, browser: Browser, case: int
) -> None:
    browser.evaluate("document.querySelector('#sentence').focus()")
    browser.type("배낭 멘 아이, Gate 1 입구 쪽 5월 1일 21시쯤, 다리를 절뚝거림")
    browser.press("Enter", "Enter")
    browser.wait_for(f"{CHIPS}.length")
    chips = browser.evaluate(CHIPS)
    assert chips[0] == "가방: 배낭"
    assert "2026-05-01 20:30" in chips[1]
    assert chips[2] == "Gate 1"
    assert "“다리를 절뚝거림”" in browser.evaluate("document.querySelector('#unused').textContent")
    click(browser, "#search .primary")
    browser.wait_for("/찾은 장면|조건을 줄여/.test(document.querySelector('#status').textContent)")
    question = last_question(served, case)
    assert (question["attributes"], question["cameras"]) == ({"bag": {"is": ["backpack"]}}, "demo/cam1")

    browser.evaluate("document.querySelector('#conditions li button').focus()")  # opens the question to correct it
    browser.press("Enter", "Enter")
    browser.wait_for("document.activeElement.closest('.question')?.dataset.group === 'bag'")
    click(browser, "[data-group=bag] [value=none]")
    assert browser.evaluate(CHIPS)[0] == "가방: 없음, 배낭"

    browser.evaluate("document.querySelector('#conditions li button + button').focus()")  # and removes it
    browser.press("Enter", "Enter")
    browser.wait_for(f"{CHIPS}.length === 2")
    assert browser.evaluate("document.querySelector('[data-group=bag] select').value") == ""
    assert browser.evaluate("document.activeElement.closest('#conditions') !== null")

    fill(browser, "#sentence", "감사합니다")
    click(browser, "#read-sentence")
    browser.wait_for("document.querySelector('#unused').textContent.includes('조건으로 바꿀 말이 없습니다')")
    assert browser.evaluate(CHIPS) == []  # the time of the sentence before is gone as well


def test_a_sentence_is_read_on_the_english_page(served: Served, browser: Browser) -> None:
    browser.open(f"{served.address}/?lang=en")
    browser.wait_for(IS_READ)
    fill(browser, "#sentence", "no bag, walks with a stick")
    click(browser, "#read-sentence")
    browser.wait_for(f"{CHIPS}.length")
    assert browser.evaluate(CHIPS) == ["bag: none"]
    assert browser.evaluate("document.querySelector('#unused').textContent") == (
        "Words that make no condition: “walks with a stick”"
    )


def test_a_window_of_half_a_minute_can_be_asked(served: Served, browser: Browser, case: int) -> None:
    ask(browser, "bag", "is", "backpack")
    fill(browser, "[name=since]", "2026-05-01T21:00:10")
    fill(browser, "[name=until]", "2026-05-01T21:00:40")
    assert browser.evaluate("document.querySelector('#search').checkValidity()")
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#status').textContent.includes('찾은 장면')")
    question = last_question(served, case)
    assert (question["since"], question["until"]) == ("2026-05-01T12:00:10Z", "2026-05-01T12:00:40Z")


def test_confirmed_sightings_come_first_and_the_others_by_the_percentage_on_them(
    browser: Browser, tmp_path: Path
) -> None:
    browser.choose_files("[name=photo]", photo(tmp_path, "person.png", picture(RED, seed=99)))
    browser.wait_for("document.querySelector('#photos svg')")
    search(browser)
    browser.evaluate(f"{CARDS}[3].querySelector('[data-verdict=confirmed]').click()")
    search(browser)
    browser.wait_for(f"{CARDS}[0].dataset.verdict === 'confirmed'")
    percentages = f"[...{CARDS}].map(card => parseInt(card.querySelector('[data-slot=probability]').textContent))"
    shown = browser.evaluate(percentages)
    assert shown[0] == 100
    assert shown == sorted(shown, reverse=True)


def test_what_was_found_stays_after_an_error_and_in_the_other_language(served: Served, browser: Browser) -> None:
    ask(browser, "bag", "is", "backpack")
    search(browser)
    found = places(browser)
    fill(browser, "[name=reason]", "")
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#problem').innerText.includes('찾는 이유를 적으세요')")
    assert places(browser) == found
    fill(browser, "[name=reason]", "실종 아동")
    browser.tell("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#problem').innerText.includes('서버에 연결할 수 없습니다')")
    browser.tell(
        "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    assert places(browser) == found
    browser.complaints.clear()  # the browser notes the lost network itself

    browser.open(f"{served.address}/?lang=en")
    browser.wait_for(f"{CARDS}.length === {len(found)}")
    assert places(browser) == found
    assert "found before" in browser.evaluate("document.querySelector('#status').textContent")
    fill(browser, "[name=case]", "")  # of no case nothing is in view, nor kept
    browser.wait_for(f"{CARDS}.length === 0")
    assert browser.evaluate("sessionStorage.getItem('answer')") is None


def test_what_was_found_stays_after_the_end_of_the_session_for_the_same_account_only(
    served: Served, browser: Browser, case: int
) -> None:
    ask(browser, "bag", "is", "backpack")
    search(browser)
    found = places(browser)
    browser.tell("Network.clearBrowserCookies")  # as at the end of a session
    click(browser, "#search .primary")
    browser.wait_for("document.querySelector('#problem').innerText.includes('로그인 시간이 끝났습니다')")
    assert places(browser) == found
    sign_in(browser, served.address, served.token)
    browser.wait_for(f"{CARDS}.length === {len(found)}")
    browser.tell("Network.clearBrowserCookies")
    with served.client() as client:
        client.put(f"/v1/cases/{case}/operators", json={"operators": ["kim"]})
    sign_in(browser, served.address, served.operator)
    browser.wait_for(IS_READ)
    assert places(browser) == []
    browser.complaints.clear()  # the browser notes the refused search itself


def test_nobody_and_several_people_in_a_photo_are_said_before_the_search(
    served: Served, browser: Browser, case: int, tmp_path: Path
) -> None:
    empty = np.full((60, 80, 3), 10, np.uint8)  # the tiny detector sees nobody in the dark
    browser.choose_files("[name=photo]", photo(tmp_path, "empty.png", empty))
    browser.wait_for(f"{NOTES}.includes('사진 1에서 사람을 찾지 못해 사진 전체로 찾습니다')")
    click(browser, "#photos button")
    assert browser.evaluate(NOTES) == ""
    boxes = "[[0, 0, 40, 60], [50, 5, 70, 50]]"  # the tiny detector finds but one
    told = f"{{width_px: 80, height_px: 60, detected_xyxy: {boxes}, selected_xyxy: {boxes}[0]}}"
    is_photo = "address === 'v1/photo'"
    browser.evaluate(
        "window.ask = window.fetch; window.fetch = (address, request) => "
        f"{is_photo} ? Promise.resolve(new Response(JSON.stringify({told}))) : window.ask(address, request); 0"
    )
    browser.choose_files("[name=photo]", photo(tmp_path, "scene.png", scene()))
    browser.wait_for(f"{NOTES}.includes('사진 1에 2명이 보입니다. 찾는 사람을 고르세요')")
    assert browser.evaluate("document.querySelector('#photos rect.other').getAttribute('x')") == "50"
    assert browser.evaluate("document.querySelector('#photos rect.searched').getAttribute('width')") == "40"
    browser.evaluate("document.querySelectorAll('#photos .people button')[1].focus()")
    browser.press("Enter", "Enter")
    browser.wait_for("document.querySelector('#photos .pointed')?.getAttribute('x') === '50'")
    assert browser.evaluate("document.querySelectorAll('#photos .people button')[1].ariaPressed") == "true"
    assert browser.evaluate(NOTES) == ""
    search(browser)
    assert last_question(served, case)["people_xyxy"] == [[50, 5, 70, 50]]


def test_sightings_of_one_visit_are_together_and_are_sorted_by_time_on_request(
    browser: Browser, tmp_path: Path
) -> None:
    cards = [
        ("cam0", "12:00:00", "12:00:10"), ("cam0", "12:00:30", "12:02:00"), ("cam0", "12:02:50", "12:03:00"),
        ("cam0", "12:05:00", "12:05:10"), ("cam1", "12:00:00", "12:00:10"),
    ]  # fmt: skip
    made = [
        {"seen": {"district": "demo", "camera_id": camera, "first_seen": f"2026-05-01T{begin}Z",
                  "last_seen": f"2026-05-01T{end}Z"}} for camera, begin, end in cards
    ]  # fmt: skip
    sizes = f"import('/page/visits.js').then(page => page.visitsOf({json.dumps(made)}).map(visit => visit.length))"
    assert browser.evaluate(sizes) == [3, 1, 1]

    browser.choose_files("[name=photo]", photo(tmp_path, "person.png", picture(RED, seed=99)))
    browser.wait_for("document.querySelector('#photos svg')")
    search(browser)
    fill(browser, "#order", "time")
    times = f"[...{CARDS}].map(card => card.querySelector('[data-slot=times]').textContent)"
    shown = browser.evaluate(times)
    assert shown == sorted(shown)
    fill(browser, "#order", "probability")
    assert browser.evaluate(times) != shown


def test_a_verdict_is_not_lost_by_leaving_before_it_is_noted(browser: Browser) -> None:
    ask(browser, "bag", "is", "backpack")
    search(browser)
    leave = """(() => {
        const event = new Event('beforeunload', { cancelable: true });
        dispatchEvent(event);
        return event.defaultPrevented;
    })()"""
    assert not browser.evaluate(leave)
    browser.tell(
        "Network.emulateNetworkConditions", offline=False, latency=2000, downloadThroughput=-1, uploadThroughput=-1
    )
    browser.evaluate(f"{CARDS}[0].querySelector('[data-verdict=confirmed]').click()")
    assert browser.evaluate(f"{CARDS}[0].ariaBusy") == "true"
    assert browser.evaluate(leave), "the browser asks whether to leave"
    browser.wait_for(f"{CARDS}[0].ariaBusy === 'false'")
    assert not browser.evaluate(leave)


def test_none_of_those_in_view_is_one_click_and_can_be_taken_back(served: Served, browser: Browser, case: int) -> None:
    ask(browser, "bag", "is", "backpack")
    search(browser)
    browser.evaluate(f"{CARDS}[1].querySelector('[data-verdict=confirmed]').click()")
    click(browser, "#none-of-these")
    number = len(places(browser))
    browser.wait_for(f"document.querySelectorAll('#hits > [data-verdict=rejected]').length === {number - 1}")
    with served.client() as client:
        kept = f"/v1/cases/{case}"
        wait_until(lambda: len(client.get(kept).json()["verdicts"]) == number, 30, lambda: "not all verdicts are kept")
        assert browser.evaluate("document.querySelector('#none-of-these').textContent") == "모두 아님 되돌리기"
        click(browser, "#none-of-these")
        wait_until(lambda: len(client.get(kept).json()["verdicts"]) == 1, 30, lambda: "not all are taken back")
    assert browser.evaluate("document.querySelectorAll('#hits > [data-verdict=rejected]').length") == 0


def test_sightings_like_one_are_a_click_away(served: Served, browser: Browser, case: int) -> None:
    ask(browser, "bag", "is", "backpack")
    search(browser)
    green = "[...document.querySelectorAll('#hits > li')].find(card => card.querySelector('img').src.includes('/2?'))"
    browser.evaluate(f"{green}.querySelector('[data-like]').click()")
    browser.wait_for("document.querySelector('#status').textContent.includes('닮은 장면입니다')")
    question = last_question(served, case)
    assert (question["like"], "attributes" in question) == ([{"district": "demo", "tracklet_id": 2}], False)
    addresses = f"[...{CARDS}].slice(0, 4).map(card => new URL(card.querySelector('img').src).pathname)"
    assert {address.rsplit("/", 1)[1] for address in browser.evaluate(addresses)} == {"2", "5", "8", "11"}
    assert "같은 사람일 확률" in browser.evaluate(f"{CARDS}[0].innerText")  # likeness is no verdict
    assert browser.evaluate(f"{CARDS}[0].dataset.verdict") == "none"


def test_quick_times_fill_in_the_window(browser: Browser) -> None:
    begin = "document.querySelector('[name=since]').value"
    clock = "new Date(Date.now() - {ms}).toLocaleString('sv-SE', {{timeZone: 'Asia/Seoul'}}).replace(' ', 'T')"
    for hours in (1, 3):
        click(browser, f"[data-hours='{hours}']")
        assert browser.evaluate(f"{begin}.slice(0, 16) === {clock.format(ms=hours * 3_600_000)}.slice(0, 16)")
    click(browser, "[data-hours=today]")
    assert browser.evaluate(begin) in browser.evaluate(f"{clock.format(ms=0)}.slice(0, 10) + 'T00:00'")
    assert browser.evaluate("document.querySelector('#conditions').textContent.includes('부터')")


def test_eight_cameras_within_75_m_fill_the_map(served: Served, browser: Browser) -> None:
    cameras = "[...Array(8).keys()].map(n => ({latitude: 35.85 + 8.5e-5 * n, longitude: 128.6 + 4e-5 * n}))"  # 73 m
    points = f"import('/page/map.js').then(({{projection}}) => {cameras}.map(projection({cameras}, 480, 340, 60).at))"
    heights = [point["y"] for point in browser.evaluate(points)]
    assert max(heights) - min(heights) > 200
    assert min(heights) >= 60 - 1e-6
    assert max(heights) <= 280 + 1e-6
