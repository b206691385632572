"""The recording behind a sighting, in a real browser: one action from a hit to the playing clip."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from serving import package
from serving.access.roles import Role
from serving.database import audit, queries, segments
from serving.database.store import open_store
from serving.deployment import Deployment
from tests.end_to_end.conftest import free_port, server
from tests.end_to_end.test_operator_page import CARDS, Served, ask, click, fill, search, sign_in
from tests.helpers.browser import Browser
from tests.helpers.deployments import fill_store, token_of, write_deployment
from tests.helpers.sightings import embedded_as_made, in_transaction
from tests.helpers.walkers import START, Walker, follow_files, write_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CLIP, PROBLEM = "document.querySelector('#clip')", "document.querySelector('#footage-problem').hidden"
PLAYS = f"{CLIP}.readyState >= 2 && !{CLIP}.hidden"
IS_WHOLE = f"isFinite({CLIP}.duration)"
# Of each clip, some bytes come at once; the others only when the test says so, or never.
HELD = """
window.released = new Promise((release) => { window.release = release; });
const answers = window.fetch;
window.fetch = async (address, request) => {
  const answer = await answers(address, request);
  if (!String(address).endsWith("/clip")) return answer;
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return new Response(new ReadableStream({
    async start(body) {
      request.signal.addEventListener("abort", () => body.error(request.signal.reason));
      body.enqueue(bytes.slice(0, bytes.length / 2));
      if (await window.released) body.enqueue(bytes.slice(bytes.length / 2));
      body.close();
    },
  }));
};
0
"""
RED = Walker("red", -100, 20, seen_s=(6.0, 14.0))


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    written = write_deployment(tmp_path_factory.mktemp("footage") / "service")
    fill_store(written)
    add_recordings(written, tmp_path_factory.mktemp("recordings"))
    return written


@pytest.fixture(scope="module")
def served(deployment: Deployment) -> Iterator[Served]:
    package._stage_code(deployment.root)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(deployment.root, command, f"http://127.0.0.1:{port}/readyz"):
        yield Served(f"http://127.0.0.1:{port}", token_of(deployment, "lee", Role.REVIEWER), "")


def add_recordings(deployment: Deployment, folder: Path) -> None:
    """Somebody walks past Gate 0, looking as the red person; Gate 1 has a recording of that time, Gate 2 has none."""
    [followed] = follow_files([write_video(folder / "cam0.mp4", [RED], seconds=20)])
    write_video(folder / "cam1.mp4", [Walker("blue", 10, 5)], seconds=20)
    with open_store(deployment.store) as store:
        [red] = in_transaction(store, embedded_as_made, ("demo", 1))
        [described] = in_transaction(store, queries.attributes, [red])
        for camera, tracklets in (("cam0", followed.tracklets), ("cam1", [])):
            file = str(folder / f"{camera}.mp4")
            segment = in_transaction(store, segments.register, "demo", camera, file, f"{camera:f<64}", START)
            walking = [replace(one, embedding=red.embedding, attributes=described) for one in tracklets]
            end = START.replace(second=20)
            store.add_segment(segment.id, walking, red.model_version, frames=200, end=end)


@pytest.fixture
def browser(chromium: str, served: Served) -> Iterator[Browser]:
    """Signed in, with what a search found in view, the recorded sighting first."""
    with served.client() as client:
        case = int(client.post("/v1/cases", json={"title": "빨간 외투의 아이"}).json()["id"])
    with Browser(chromium) as opened:
        sign_in(opened, served.address, served.token)
        opened.evaluate(f"sessionStorage.setItem('case', '{case}'); sessionStorage.setItem('reason', '실종 아동')")
        opened.open(f"{served.address}/")
        opened.wait_for("!document.querySelector('[data-view=case]').disabled")
        opened.evaluate("document.querySelector('[name=until]').value = '2026-05-01T18:30'")
        ask(opened, "bag", "is", "backpack")
        search(opened)
        assert opened.evaluate(f"{CARDS}.length") == 1
        yield opened
        assert opened.complaints == []
        assert [one for one in opened.requests if not one.startswith((served.address, "blob:", "data:"))] == []


def test_one_click_plays_the_clip_with_the_cameras_near_it(browser: Browser, deployment: Deployment) -> None:
    click(browser, "#hits .picture")
    browser.wait_for(PLAYS)
    browser.wait_for("document.querySelector('#near video')?.readyState >= 2")
    browser.wait_for("document.querySelector('#full-frame rect') && !document.querySelector('#full-frame').hidden")
    assert browser.evaluate("document.querySelectorAll('#near figure').length") == 1
    assert "Gate 1" in browser.evaluate("document.querySelector('#near').innerText")
    browser.wait_for(IS_WHOLE)
    assert browser.evaluate(f"{CLIP}.duration") == pytest.approx(16, abs=1.5), "4 s before and after 8 s"
    assert browser.evaluate(PROBLEM)
    assert browser.barriers() == []
    browser.resize(1366, 120)  # as with more cameras near it: they are scrolled, by keys too
    assert browser.evaluate("(near => near.scrollHeight > near.clientHeight)(document.querySelector('#near'))")
    assert browser.barriers() == []
    with open_store(deployment.store) as store, store.begin() as connection:
        looked = [one for one in audit.records(connection) if one.action == audit.Action.FOOTAGE]
    assert {one.details["reason"] for one in looked} == {"실종 아동"}
    assert {one.details.get("camera_id") for one in looked} == {None, "cam0", "cam1"}


def test_keys_alone_lead_to_the_clip_through_its_frames_and_to_a_verdict(browser: Browser) -> None:
    browser.evaluate(f"{CARDS}[0].focus()")
    browser.press("Enter", "Enter")
    browser.wait_for(PLAYS)
    browser.wait_for("document.querySelector('#near video')?.readyState >= 2")
    browser.evaluate(f"{CLIP}.pause(), {CLIP}.currentTime = 5")
    browser.wait_for(f"!{CLIP}.seeking && {CLIP}.paused")
    browser.press("ArrowRight", "ArrowRight")
    browser.wait_for(f"Math.abs({CLIP}.currentTime - 5.1) < 0.01")
    browser.wait_for(f"Math.abs(document.querySelector('#near video').currentTime - {CLIP}.currentTime) < 0.01")
    browser.press("ArrowLeft", "ArrowLeft")
    browser.press("ArrowLeft", "ArrowLeft")
    browser.wait_for(f"Math.abs({CLIP}.currentTime - 4.9) < 0.01")
    browser.press("KeyC", "c")
    browser.wait_for(f"{CARDS}[0].dataset.verdict === 'confirmed'")
    browser.wait_for("document.querySelector('#footage [data-verdict=confirmed]').ariaPressed === 'true'")
    browser.press("Escape", "Escape")
    browser.wait_for("!document.querySelector('#footage').open")
    assert browser.evaluate("document.activeElement === document.querySelector('#hits > li')"), "where it was before"
    browser.press("KeyC", "c")  # taken back, for the next test
    browser.wait_for(f"{CARDS}[0].dataset.verdict === 'none'")


def test_the_clip_plays_while_its_rest_comes(browser: Browser) -> None:
    browser.evaluate(HELD)
    click(browser, "#hits .picture")
    browser.wait_for(PLAYS)
    browser.wait_for(f"{CLIP}.currentTime > 0.5")
    assert not browser.evaluate(IS_WHOLE)
    browser.evaluate(f"{CLIP}.pause(), {CLIP}.currentTime = 2")
    browser.press("ArrowRight", "ArrowRight")
    browser.wait_for(f"Math.abs({CLIP}.currentTime - 2.1) < 0.01")
    browser.evaluate("release(true)")
    browser.wait_for(IS_WHOLE)
    assert browser.evaluate(f"{CLIP}.duration") == pytest.approx(16, abs=1.5)
    browser.evaluate(f"{CLIP}.currentTime = 15")
    browser.press("ArrowLeft", "ArrowLeft")
    browser.wait_for(f"Math.abs({CLIP}.currentTime - 14.9) < 0.01")
    assert browser.evaluate(PROBLEM)


def test_a_clip_that_breaks_off_is_said_and_what_came_is_shown(browser: Browser) -> None:
    browser.evaluate(HELD)
    click(browser, "#hits .picture")
    browser.wait_for(PLAYS)
    browser.evaluate("release(false)")
    browser.wait_for(f"!({PROBLEM})")
    assert "끝까지 읽지 못했습니다" in browser.evaluate("document.querySelector('#footage-problem').innerText")
    assert browser.evaluate(f"{PLAYS} && !({IS_WHOLE})")


def test_a_clip_that_is_still_coming_is_closed_or_made_longer(browser: Browser) -> None:
    browser.evaluate(HELD)
    click(browser, "#hits .picture")
    browser.wait_for(PLAYS)
    browser.press("Escape", "Escape")
    browser.wait_for("!document.querySelector('#footage').open")
    click(browser, "#hits .picture")
    browser.wait_for(PLAYS)
    browser.evaluate("release(true)")
    click(browser, "#longer-clip")
    browser.wait_for(f"{IS_WHOLE} && {CLIP}.duration > 18", timeout_s=30)  # the whole recording
    assert browser.evaluate(PROBLEM)


def test_a_browser_without_streams_shows_the_whole_clip(browser: Browser) -> None:
    browser.evaluate("delete window.MediaSource")
    click(browser, "#hits .picture")
    browser.wait_for(f"{PLAYS} && {IS_WHOLE}")
    assert browser.evaluate(f"{CLIP}.duration") == pytest.approx(16, abs=1.5)
    browser.evaluate(f"{CLIP}.pause(), {CLIP}.currentTime = 5")
    browser.press("ArrowRight", "ArrowRight")
    browser.wait_for(f"Math.abs({CLIP}.currentTime - 5.1) < 0.01")


def test_before_and_after_is_a_line_of_time(browser: Browser) -> None:
    click(browser, "#hits .picture")
    browser.wait_for(PLAYS)
    click(browser, "#around")
    browser.wait_for("!document.querySelector('#around-line').hidden")
    times = browser.evaluate("[...document.querySelectorAll('#around-line strong')].map(each => each.textContent)")
    assert len(times) > 2
    assert times == sorted(times)
    assert browser.evaluate("document.querySelectorAll('#around-line [aria-current]').length") == 1
    assert browser.barriers() == []
    click(browser, "#around-line li:not([aria-current]) button")
    browser.wait_for(f"document.querySelector('#clip-status').textContent && {CLIP}.hidden")  # of it there is none


def test_a_wrong_box_is_drawn_anew_or_entered_and_taken_back(browser: Browser) -> None:
    rects = "[...document.querySelectorAll('#full-frame rect')]"
    boxes = f"{rects}.map(each => [each.className.baseVal, each.getAttribute('x')])"
    sides = "['left', 'top', 'right', 'bottom'].map(side => Number(document.querySelector(`#box-${side}`).value))"
    in_view = "document.querySelector('#full-frame div').getBoundingClientRect()"
    click(browser, "#hits .picture")
    browser.wait_for(PLAYS)
    browser.wait_for("document.querySelector('#full-frame rect') && !document.querySelector('#full-frame').hidden")
    [(kind, found)] = browser.evaluate(boxes)
    assert kind == "right"
    click(browser, "#correct-box")
    browser.evaluate("document.querySelector('#full-frame').scrollIntoView()")
    left, top, width, height = browser.evaluate(f"(({{x, y, width, height}}) => [x, y, width, height])({in_view})")
    browser.drag((left + width / 2, top + height / 2), (left + width / 4, top + height / 4))  # towards the upper left
    across, down = browser.evaluate(
        "(({width, height}) => [width, height])(document.querySelector('#full-frame svg').viewBox.baseVal)"
    )
    expected = [across / 4, down / 4, across / 2, down / 2]
    assert browser.evaluate(sides) == pytest.approx(expected, abs=2)
    assert browser.barriers() == []
    click(browser, "#save-box")
    browser.wait_for("document.querySelector('#full-frame fieldset').hidden")
    assert [kind for kind, _ in browser.evaluate(boxes)] == ["found", "right"]
    assert "바로잡았습니다" in browser.evaluate("document.querySelector('#full-frame figcaption').innerText")

    browser.press("Enter", "Enter")  # the button has the focus again
    browser.wait_for("document.activeElement === document.querySelector('#box-left')")
    browser.press("ArrowLeft", "ArrowLeft")  # moves in the number, not in the clip
    fill(browser, "#box-right", "1")
    click(browser, "#save-box")
    assert "너무 작거나" in browser.evaluate("document.querySelector('#full-frame [role=alert]').innerText")
    click(browser, "#box-as-found")
    browser.wait_for("document.querySelector('#full-frame fieldset').hidden")
    assert browser.evaluate(boxes) == [["right", found]]


def test_a_telephone_shows_the_clip_in_its_width(chromium: str, served: Served, browser: Browser) -> None:
    browser.tell("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    click(browser, "#hits .picture")
    browser.wait_for(PLAYS)
    assert browser.evaluate("document.querySelector('#footage').scrollWidth <= innerWidth")


def test_footage_without_a_reason_is_refused(served: Served) -> None:
    with served.client() as client:
        assert client.post("/v1/footage/demo/1/frame", json={"case": 1}).status_code == 400
        answer = client.post("/v1/footage/demo/1/frame", json={"case": 1, "reason": " "})
        assert (answer.status_code, answer.headers["cache-control"]) == (400, "no-store")
        refused = httpx.post(f"{served.address}/v1/footage/demo/1/clip", json={"case": 1, "reason": "x"})
        assert refused.status_code == 401
