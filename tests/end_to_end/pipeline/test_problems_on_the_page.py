"""Every problem of the demo, searched on the page as by hand, in the service that the pipeline has packaged."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from districts.layout import read_problems
from tests.end_to_end.conftest import free_port, server, succeed
from tests.helpers.browser import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the pipeline may run first
CARDS = "[...document.querySelectorAll('#hits > li')]"


@pytest.fixture(scope="module")
def page(smoke: Path, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Signed in as a reviewer, with a case and a reason."""
    clean, port = tmp_path_factory.mktemp("clean"), free_port()
    address = f"http://127.0.0.1:{port}"
    bento, store = str(smoke / "bento" / "demo"), f"DONGSEON_STORE={smoke / 'store'}"
    command = ["env", store, "bentoml", "serve", bento, "--host", "127.0.0.1", "--port", str(port)]
    with server(clean, command, f"{address}/readyz"):
        made = succeed(smoke, "python", "-m", "serving.accounts", "create", "finder", "--role", "reviewer")
        token = re.findall(r"dongseon_\S+", made)[0]
        with Browser(chromium) as browser:
            browser.open(f"{address}/sign-in")
            browser.evaluate("document.querySelector('[name=token]').focus()")
            browser.type(token)
            browser.press("Enter", "Enter")
            browser.wait_for("document.querySelector('#search') && document.readyState === 'complete'")
            browser.evaluate("document.querySelector('.case details').open = true")
            browser.evaluate("document.querySelector('#title').focus()")
            browser.type("시험 문제")
            browser.evaluate("document.querySelector('#open-case').focus()")
            browser.press("Enter", "Enter")
            browser.wait_for("!document.querySelector('[data-view=case]').disabled")
            browser.evaluate("document.querySelector('[name=reason]').focus()")
            browser.type("열 문제 모두")
            yield browser


def test_every_problem_is_searched_and_shows_pictures(page: Browser, smoke: Path) -> None:
    folder = smoke / "data" / "demo"
    problems = read_problems(folder)
    assert len(problems) == len(list((folder / "videos" / "problems").glob("*_1.jpg"))) > 0
    for problem in problems:
        page.evaluate("document.querySelector('#search [type=reset]').click()")
        page.wait_for("!document.querySelector('#photos li')")
        page.choose_files("[name=photo]", *(folder / "videos" / crop for crop in problem.crops))
        page.wait_for(f"document.querySelectorAll('#photos svg').length === {len(problem.crops)}")
        page.evaluate("document.querySelector('#search .primary').focus()")
        page.press("Enter", "Enter")
        page.wait_for(f"{CARDS}.length && document.querySelector('#status').textContent.startsWith('찾은 장면')")
        page.evaluate(f"{CARDS}.forEach(card => card.scrollIntoView())")  # pictures come when they are in view
        page.wait_for(f"{CARDS}.every(card => card.querySelector('img').naturalWidth > 0)")
        shown = page.evaluate(f"{CARDS}.map(card => card.querySelector('[data-slot=probability]').textContent)")
        assert all(re.fullmatch(r"\d+%", each) for each in shown), problem.id
        assert page.evaluate("document.querySelectorAll('#photos .searched').length") <= len(problem.crops)
        page.evaluate(f"{CARDS}.forEach(card => card.remove())")  # none of these may count for the next problem
    asked = [address for address in page.requests if "/v1/search" in address]
    assert len(asked) == len(problems)
    assert page.complaints == [], json.dumps(page.complaints)
