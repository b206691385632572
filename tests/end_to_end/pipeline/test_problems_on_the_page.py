"""Every problem of the demo, searched on the page as by hand, in the service that the pipeline has packaged."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import free_port, server, succeed
from tests.helpers.browser import Browser
from tests.helpers.demo import Demo, finished_demo
from tests.helpers.operator import Operator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the pipeline may run first
CARDS = "[...document.querySelectorAll('#hits > li')]"
MOST_CLICKS = 5  # from the sign-in page to the first picture
LEAST_FIRST = 9  # problems of the demo whose first sighting shows the person


@contextmanager
def serving(project: Path, clean: Path, store: Path | None = None) -> Iterator[tuple[str, str]]:
    """The Bento of `project` from the folder `clean`; its address, and a reviewer's token."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    bento, kept = str(project / "bento" / "demo"), f"DONGSEON_STORE={store or project / 'store'}"
    command = ["env", kept, "bentoml", "serve", bento, "--host", "127.0.0.1", "--port", str(port)]
    with server(clean, command, f"{address}/readyz"):
        create = ["python", "-m", "serving.accounts", "create", f"finder{port}", "--role", "reviewer"]
        yield address, re.findall(r"dongseon_\S+", succeed(project, "env", kept, *create))[0]


@contextmanager
def searching(project: Path, clean: Path, chromium: str) -> Iterator[Operator]:
    """An operator of the Bento of `project`, with a case and a reason."""
    with serving(project, clean) as (address, token), Browser(chromium) as browser:
        operator = Operator(browser)
        operator.sign_in(address, token)
        operator.open_case("시험 문제", "열 문제 모두")
        yield operator


def found_of(demo: Demo, operator: Operator) -> dict[str, tuple[bool, int]]:
    """Of each problem, whether the first sighting shows the person, and the clicks to its picture."""
    found = {}
    for problem in demo.problems:
        shown = operator.find(demo.photos(problem))
        found[problem.id] = shown[0][1] in demo.right(problem.identity), operator.clicks
        operator.clear()
        operator.clicks = 0  # of the next problem
    return found


def test_every_problem_is_searched_by_few_clicks_and_shows_pictures(smoke: Path, chromium: str, tmp_path: Path) -> None:
    with searching(smoke, tmp_path, chromium) as operator:
        found = found_of(Demo(smoke), operator)
        page = operator.browser
        eager = "card.querySelector('img').loading = 'eager'"  # the browser leaves out what is far from what it shows
        page.evaluate(f"{CARDS}.forEach(card => {{ card.hidden = false; {eager}; }})")
        page.wait_for(f"{CARDS}.every(card => card.querySelector('img').naturalWidth > 0)")
        shown = page.evaluate(f"{CARDS}.map(card => card.querySelector('[data-slot=probability]').textContent)")
        assert all(re.fullmatch(r"\d+%", each) for each in shown)
        asked = [address for address in page.requests if "/v1/search" in address]
        assert len(asked) == len(found) > 0
        assert page.complaints == [], json.dumps(page.complaints)
    assert max(clicks for _, clicks in found.values()) <= MOST_CLICKS


@pytest.mark.soak
def test_the_first_sighting_of_the_demos_problems_shows_the_person(chromium: str, tmp_path: Path) -> None:
    demo = finished_demo()
    with searching(demo.project, tmp_path, chromium) as operator:
        found = found_of(demo, operator)
    print(f"first sighting right, clicks: {found}")
    assert sum(is_right for is_right, _ in found.values()) >= LEAST_FIRST, found
    assert max(clicks for _, clicks in found.values()) <= MOST_CLICKS
