"""The operators' page with many cameras, on a telephone, in print, by keyboard and over a weak line."""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from domain.cameras import Camera
from serving import package
from serving.access.roles import Role
from serving.database import segments
from serving.database.districts import add_cameras
from serving.database.store import open_store
from serving.deployment import Deployment
from tests.end_to_end.conftest import free_port, server, wait_until
from tests.end_to_end.test_operator_page import (
    CARDS,
    IS_READ,
    NOTES,
    Served,
    ask,
    click,
    fill,
    load_pictures,
    photo,
    search,
    sign_in,
)
from tests.helpers.browser import Browser
from tests.helpers.deployments import RED, fill_store, picture, token_of, write_deployment
from tests.helpers.sightings import NOON, in_transaction

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LINE_BYTES_S = 30_000  # a weak telephone's
DISTRICTS = {"중앙구": (240, 0.03), "수성구": (252, 0.05), "마당": (8, 3.4e-4)}  # cameras, and degrees that they cover
DOTS = "[...document.querySelectorAll('.area-map[data-district={district}] .camera')]"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo's three cameras, and 500 more in three districts, of which eight stand within 75 m."""
    folder = tmp_path_factory.mktemp("views") / "service"
    deployment = write_deployment(folder)
    package._stage_code(folder)
    fill_store(deployment)
    add_city(deployment)
    (deployment.store / "map.geojson").write_text(json.dumps(streets()))
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(folder, command, f"http://127.0.0.1:{port}/readyz"):
        tokens = [token_of(deployment, "lee", Role.REVIEWER), token_of(deployment, "kim", Role.OPERATOR)]
        yield Served(f"http://127.0.0.1:{port}", *tokens)


def add_city(deployment: Deployment) -> None:
    """One camera of 중앙구 is away; no video has come from the others of the three districts."""
    random = np.random.default_rng(0)
    with open_store(deployment.store) as store:
        for number, (district, (size, extent)) in enumerate(DISTRICTS.items()):
            places = np.array([35.85 + number / 10, 128.6]) + random.uniform(-extent, extent, (size, 2))
            cameras = [
                Camera(id=f"k{index}", name=f"{district} {index}번지 앞", latitude=latitude, longitude=longitude,
                       fps=10, width_px=64, height_px=48)
                for index, (latitude, longitude) in enumerate(places.tolist())
            ]  # fmt: skip
            in_transaction(store, add_cameras, district, cameras, time_zone="Asia/Seoul")
        in_transaction(store, segments.open_gap, "중앙구", "k7", NOON + timedelta(minutes=5), "no answer")


def streets() -> dict[str, Any]:
    lines = [[[128.55, 35.8 + step / 100], [128.65, 35.8 + step / 100]] for step in range(20)]
    features = [{"type": "Feature", "geometry": {"type": "LineString", "coordinates": line}} for line in lines]
    return {"type": "FeatureCollection", "features": features}


@pytest.fixture
def browser(chromium: str, served: Served) -> Iterator[Browser]:
    """Signed in, with a new case and a reason; at the end nothing may have complained."""
    headers = {"Authorization": f"Bearer {served.token}"}
    case = httpx.post(f"{served.address}/v1/cases", json={"title": "빨간 외투의 아이"}, headers=headers).json()["id"]
    with Browser(chromium) as opened:
        sign_in(opened, served.address, served.token)
        opened.evaluate(f"sessionStorage.setItem('case', '{case}'); sessionStorage.setItem('reason', '실종 아동')")
        opened.open(f"{served.address}/")
        opened.wait_for(IS_READ)
        yield opened
        assert [each for each in opened.complaints if "400" not in each] == []


def show(browser: Browser, view: str) -> None:
    click(browser, f"[data-view={view}]")
    browser.wait_for(f"document.querySelector('[data-view={view}]').matches('[aria-current]')")


@pytest.mark.parametrize("language", ["ko", "en"])
def test_no_view_keeps_anybody_from_using_it(served: Served, browser: Browser, language: str, tmp_path: Path) -> None:
    browser.open(f"{served.address}/sign-in?lang={language}")
    assert browser.barriers() == []
    browser.open(f"{served.address}/?lang={language}")
    browser.wait_for(IS_READ)
    assert browser.barriers() == []
    browser.evaluate("document.querySelectorAll('#search details').forEach(folded => { folded.open = true; })")
    browser.choose_files("[name=photo]", photo(tmp_path, "person.png", picture(RED, seed=99)))
    browser.wait_for("document.querySelector('#photos .searched')")
    fill(browser, "#sentence", "배낭 멘 사람, 절뚝거림")
    click(browser, "#read-sentence")
    browser.wait_for("document.querySelector('#conditions li')")
    search(browser)
    load_pictures(browser)
    browser.evaluate("document.querySelector('#coverage').open = true")
    assert browser.barriers() == []
    browser.evaluate(f"[...{CARDS}].slice(0, 2).forEach(card => card.querySelector('[data-verdict]').click())")
    for view in ("route", "case"):
        browser.wait_for(f"!document.querySelector('[data-view={view}]').disabled")
        show(browser, view)
        assert browser.barriers() == []
    browser.resize(360, 740, is_phone=True)
    assert browser.barriers() == []


def test_the_check_of_barriers_notices_one(browser: Browser) -> None:
    browser.evaluate("document.querySelector('#hits-title').insertAdjacentHTML('afterend', '<img src=\"data:,\">')")
    assert any(barrier.startswith("image-alt") for barrier in browser.barriers())


def test_the_list_of_500_cameras_is_searched_and_chosen_by_district(served: Served, browser: Browser) -> None:
    shown = "[...document.querySelectorAll('.district label:has([name=cameras])')].filter(one => one.checkVisibility())"
    assert browser.evaluate(f"{shown}.length") == 0  # folded: no list of 500
    browser.evaluate("document.querySelector('#camera-search').focus()")
    browser.type("수성구 117")
    browser.wait_for(f"{shown}.length === 1")
    browser.press("Enter", "Enter")  # searches for no person
    click(
        browser,
        ".district:not([hidden]) [name=cameras]:checked, .district:not([hidden]) label:not([hidden]) [name=cameras]",
    )
    fill(browser, "#camera-search", "")
    browser.evaluate("document.querySelector('#camera-search').dispatchEvent(new Event('input', {bubbles: true}))")
    count = "document.querySelector('.district:has([value=\"수성구/k117\"]) output').textContent"
    assert browser.evaluate(count) == "카메라 1대 고름"
    click(browser, ".district:has([value='수성구/k117']) [data-whole]")
    assert browser.evaluate(count) == "카메라 252대 고름"
    assert browser.evaluate("document.querySelectorAll('[name=cameras]:checked').length") == 252
    assert "카메라 252대 고름" in browser.evaluate("document.querySelector('#conditions').innerText")
    away = "document.querySelector('.district:has([value=\"중앙구/k7\"]) [data-away]').textContent"
    browser.wait_for(f"{away} === '지금 끊긴 카메라 1대'")
    assert "지금 끊김 (2026. 5. 1. 21:05:00부터)" in browser.evaluate(
        "document.querySelector('.cameras label:has([value=\"중앙구/k7\"])').textContent"
    )


def test_maps_of_500_cameras_and_of_8_in_a_yard_can_be_read_and_zoomed(browser: Browser) -> None:
    click(browser, ".area summary")
    for district, (size, _) in DISTRICTS.items():
        dots = DOTS.format(district=district)
        names = f"{dots}.map(dot => dot.querySelector('title').textContent.split(', ').length)"
        assert sum(browser.evaluate(names)) == size  # each camera is on the map, alone or in a number
        svg = f".area-map[data-district={district}]"
        boxes = browser.evaluate(
            f"[...document.querySelectorAll('{svg} .name')].map(name => name.getBoundingClientRect())"
            ".map(box => [box.left, box.top, box.right, box.bottom])"
        )
        assert not [
            (one, other)
            for index, one in enumerate(boxes)
            for other in boxes[index + 1 :]
            if min(one[2], other[2]) - max(one[0], other[0]) > 2 and min(one[3], other[3]) - max(one[1], other[1]) > 2
        ]
        browser.evaluate(f"document.querySelector('{svg}').focus()")
        before = browser.evaluate(f"{dots}.length")
        browser.press("Equal", "+")
        browser.press("Equal", "+")
        browser.press("ArrowUp", "ArrowUp")
        assert sum(browser.evaluate(names)) <= size
        browser.press("Digit0", "0")
        assert browser.evaluate(f"{dots}.length") == before
    yard = DOTS.format(district="마당")
    assert browser.evaluate(f"{yard}.filter(dot => !dot.matches('.cluster')).length") >= 6
    assert browser.evaluate("document.querySelector('.area-map .street').getAttribute('d').length") > 0
    cluster = ".area-map[data-district=중앙구] .cluster"
    number = "document.querySelectorAll('.area-map[data-district=중앙구] .camera').length"
    least = browser.evaluate(f"document.querySelectorAll('{cluster}').length")
    assert least > 5
    browser.evaluate(
        f"document.querySelector('{cluster}').dispatchEvent(new PointerEvent('pointerdown', {{bubbles: true}}))"
    )
    assert browser.evaluate("document.querySelector('#area-centre').value") == ""  # it zooms and sets no centre
    assert 0 < browser.evaluate(number) < 240


def test_cameras_that_never_sent_video_do_not_cry_wolf(browser: Browser) -> None:
    ask(browser, "bag", "is", "backpack")
    fill(browser, "[name=since]", "2026-05-01T21:00")
    fill(browser, "[name=until]", "2026-05-01T21:04")
    search(browser)
    said = browser.evaluate("document.querySelector('#coverage summary').innerText")
    assert "카메라 3대의" in said  # two of the demo, and the one of 중앙구 that is away
    assert "카메라 500대에서는 영상이 한 번도 오지 않아 찾지 못했습니다" in said


def test_on_a_telephone_nothing_runs_out_of_the_screen_and_the_button_is_within_reach(
    browser: Browser, tmp_path: Path
) -> None:
    browser.resize(360, 740, is_phone=True)
    width = "document.documentElement.scrollWidth"
    assert browser.evaluate(width) <= 360
    button = "document.querySelector('#search .primary').getBoundingClientRect()"
    assert browser.evaluate(f"{button}.bottom") <= 740
    ask(browser, "bag", "is", "backpack")
    search(browser)
    assert browser.evaluate(width) <= 360
    assert browser.evaluate("document.querySelector('.answer').getBoundingClientRect().top") < 200  # in view
    browser.evaluate(f"{CARDS}[0].querySelector('[data-verdict]').click()")
    browser.wait_for("!document.querySelector('[data-view=route]').disabled")
    for view in ("route", "case"):
        show(browser, view)
        assert browser.evaluate(width) <= 360, view


def test_what_is_printed_is_the_answer_and_whose_it_is(browser: Browser, tmp_path: Path) -> None:
    ask(browser, "bag", "is", "backpack")
    search(browser)
    load_pictures(browser)
    browser.print_to(tmp_path / "answer.pdf")
    assert (tmp_path / "answer.pdf").read_bytes().startswith(b"%PDF")
    browser.tell("Emulation.setEmulatedMedia", media="print")
    browser.evaluate("dispatchEvent(new Event('beforeprint')); 0")
    visible = "document.querySelector('{}').checkVisibility()"
    assert [browser.evaluate(visible.format(each)) for each in ("#search", "header", ".bar", ".further")] == [False] * 4
    assert browser.evaluate(visible.format("#hits li"))
    printed = browser.evaluate("document.querySelector('#printed').innerText")
    assert all(part in printed for part in ("빨간 외투의 아이", "실종 아동", "lee"))


def test_photos_of_telephones_over_a_weak_line_are_answered_or_refused_by_name(
    browser: Browser, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the telephone was turned
    Image.linear_gradient("L").resize((8160, 6120)).convert("RGB").save(tmp_path / "galaxy.jpg", exif=exif)
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((400, 300, 3), 40_000, np.uint16))
    Image.fromarray(np.full((400, 300), 40_000, np.uint16)).save(tmp_path / "scan.tif")
    heic = tmp_path / "IMG_0001.HEIC"
    heic.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    (tmp_path / "list.jpg").write_text("I am a text file")
    files = ["galaxy.jpg", "deep.png", "scan.tif", "IMG_0001.HEIC", "list.jpg"]
    browser.tell(
        "Network.emulateNetworkConditions", offline=False, latency=100, downloadThroughput=LINE_BYTES_S,
        uploadThroughput=LINE_BYTES_S,
    )  # fmt: skip
    browser.choose_files("[name=photo]", *(tmp_path / file for file in files))
    browser.wait_for(f"{NOTES}.includes('list.jpg: 사진이 아니거나 읽을 수 없는 형식입니다')", timeout_s=120)
    assert "IMG_0001.HEIC: 이 브라우저는 HEIC 사진을 읽을 수 없습니다" in browser.evaluate(NOTES)
    sizes = "[...document.querySelectorAll('#photos svg')].map(svg => svg.getAttribute('viewBox'))"
    assert browser.evaluate(sizes) == ["0 0 1200 1600", "0 0 300 400", "0 0 300 400"]  # upright, and scaled
    click(browser, "#search .primary")
    wait_until(lambda: bool(browser.evaluate(f"{CARDS}.length")), 120, lambda: str(browser.complaints))
    assert browser.evaluate("document.querySelectorAll('#photos .searched').length") == 3


def test_all_of_a_search_by_keyboard(served: Served, browser: Browser) -> None:
    """From the sentence to the verdict and the route, without a mouse."""
    browser.evaluate("document.querySelector('#sentence').focus()")
    browser.type("배낭 멘 사람")
    browser.press("Enter", "Enter")
    browser.wait_for("document.querySelector('#conditions li')")
    for _ in range(400):  # Tab reaches the button
        browser.press("Tab", "Tab")
        if browser.evaluate("document.activeElement.matches('#search .primary')"):
            break
    browser.press("Enter", "Enter")
    browser.wait_for(f"{CARDS}.length")
    for _ in range(100):
        browser.press("Tab", "Tab")
        if browser.evaluate("document.activeElement.matches('#hits > li')"):
            break
    browser.press("KeyC", "c")
    browser.wait_for("document.querySelectorAll('#hits > [data-verdict=confirmed]').length === 1")
    for _ in range(100):
        browser.press("Tab", "Tab", shift=True)
        if browser.evaluate("document.activeElement.matches('[data-view=route]')"):
            break
    browser.press("Enter", "Enter")
    browser.wait_for("document.querySelectorAll('#route tbody tr').length")
