"""What a browser keeps of a session after the operator has signed out, and what it sends of a photo."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import Browser
from tests.helpers.served import Served, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TITLE, REASON = "KIM-MINJI-7-YEARS-MISSING", "REASON-OF-THE-TEST"
ORIENTATION, TURNED_RIGHT = 0x0112, 6  # EXIF: the first row is the right side


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def browser(served: Served, chromium: str) -> Iterator[Browser]:
    """Signed in."""
    with Browser(chromium) as opened:
        opened.open(f"{served.client.base_url}/sign-in")
        token = served.client.headers["Authorization"].removeprefix("Bearer ")
        opened.evaluate(f"document.querySelector('[name=token]').value = '{token}'")
        opened.evaluate("document.querySelector('form button').click()")
        opened.wait_for("document.querySelector('#search') && document.readyState === 'complete'")
        yield opened


def choose_case(browser: Browser, case: int) -> None:
    for name, value in (("case", str(case)), ("reason", REASON)):
        changed = f"(field.value = '{value}', field.dispatchEvent(new Event('change')))"
        browser.evaluate(f"(field => {changed})(document.querySelector('[name={name}]'))")
    browser.wait_for("!document.querySelector('[data-view=case]').disabled")


def files_with(folder: Path, text: str) -> list[str]:
    encodings = (text.encode(), text.encode("utf-16-le"))
    kept = [file for file in folder.rglob("*") if file.is_file()]
    assert kept, "the browser's profile"
    return [str(file.relative_to(folder)) for file in kept if any(each in file.read_bytes() for each in encodings)]


def test_after_signing_out_the_browser_keeps_nothing_of_a_case(served: Served, browser: Browser) -> None:
    case = served.client.post("/v1/cases", json={"title": TITLE}).json()["id"]
    browser.open(f"{served.client.base_url}/")
    choose_case(browser, case)
    browser.evaluate("document.querySelector('[data-view=case]').click()")
    browser.wait_for("!document.querySelector('#case').hidden")
    for path in (f"v1/cases/{case}", "v1/cases"):
        assert TITLE in browser.evaluate(f"fetch('{path}').then((answer) => answer.text())")
    assert browser.evaluate("sessionStorage.length") > 0
    browser.evaluate("document.querySelector('#sign-out button').click()")
    browser.wait_for("document.querySelector('[name=token]') && document.readyState === 'complete'")
    assert browser.evaluate("sessionStorage.length + localStorage.length") == 0
    browser.close()
    assert files_with(browser.profile, TITLE) + files_with(browser.profile, REASON) == []


def test_a_large_photo_is_scaled_upright_before_it_is_sent_and_a_small_one_is_not(
    served: Served, browser: Browser, tmp_path: Path
) -> None:
    large, small = tmp_path / "large.jpg", tmp_path / "small.png"
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 3000, 3), np.uint8)
    pixels[:, :1500] = (200, 20, 20)  # the left half, which the turn makes the upper half
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED_RIGHT
    Image.fromarray(pixels).save(large, exif=exif)
    Image.fromarray(pixels[:300, :300]).save(small)
    browser.choose_files("[name=photo]", large, small)
    browser.wait_for("document.querySelectorAll('#photos li').length === 2")
    choose_case(browser, 1)
    browser.evaluate(
        "(send => { window.fetch = (address, request) => request?.body?.getAll?.('photo').length === 2"
        " ? ((window.sent = request.body.getAll('photo')), new Promise(() => {})) : send(address, request); })(fetch)"
    )
    browser.evaluate("document.querySelector('#search .primary').click()")
    browser.wait_for("window.sent?.length === 2")
    width, height, red = browser.evaluate(
        "createImageBitmap(sent[0]).then((picture) => {"
        "const context = new OffscreenCanvas(picture.width, picture.height).getContext('2d');"
        "context.drawImage(picture, 0, 0);"
        "return [picture.width, picture.height, [...context.getImageData(500, 200, 1, 1).data]]; })"
    )
    assert (width, height) == (800, 1600)
    assert red == pytest.approx([200, 20, 20, 255], abs=8)
    assert browser.evaluate("sent[0].size") < large.stat().st_size
    assert browser.evaluate("sent[1].size") == small.stat().st_size
