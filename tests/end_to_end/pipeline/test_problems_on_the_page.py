"""Every problem of the demo, searched on the page as by hand, in the service that the pipeline has packaged."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from districts.box_files import read_tracks
from districts.layout import read_problems
from domain.paths import DATA, TRACKS
from evaluation.evaluate_tracking import read_result
from evaluation.multi_camera.visits import right_tracklets
from tests.end_to_end.conftest import free_port, server, succeed
from tests.helpers.browser import Browser
from tests.helpers.operator import Operator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the pipeline may run first
CARDS = "[...document.querySelectorAll('#hits > li')]"
MOST_CLICKS = 5  # from the sign-in page to the first picture
LEAST_FIRST = 9  # problems of the demo whose first sighting shows the person
SAME_PERSON_IOU = 0.5


@contextmanager
def searching(project: Path, clean: Path, chromium: str) -> Iterator[Operator]:
    """An operator of the Bento of `project`, with a case and a reason."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    bento, store = str(project / "bento" / "demo"), f"DONGSEON_STORE={project / 'store'}"
    command = ["env", store, "bentoml", "serve", bento, "--host", "127.0.0.1", "--port", str(port)]
    with server(clean, command, f"{address}/readyz"):
        name = f"finder{port}"
        made = succeed(project, "python", "-m", "serving.accounts", "create", name, "--role", "reviewer")
        with Browser(chromium) as browser:
            operator = Operator(browser)
            operator.sign_in(address, re.findall(r"dongseon_\S+", made)[0])
            operator.open_case("시험 문제", "열 문제 모두")
            yield operator


def found_of(project: Path, operator: Operator) -> dict[str, tuple[bool, int]]:
    """Of each problem, whether the first sighting shows the person, and the clicks to its picture."""
    folder = project / DATA.of("demo")
    found = {}
    for problem in read_problems(folder):
        shown = operator.find([folder / "videos" / crop for crop in problem.crops])
        cameras = [file.stem for file in (folder / "videos").glob("*.txt")]
        right = set().union(
            *(
                right_tracklets(
                    problem.identity,
                    read_tracks(folder / "videos" / f"{camera}.txt"),
                    read_result(project / TRACKS.of("demo") / f"{camera}.txt"),
                    SAME_PERSON_IOU,
                )
                for camera in cameras
            )
        )
        found[problem.id] = shown[0][1] in right, operator.clicks
        operator.clear()
        operator.clicks = 0  # of the next problem
    return found


def test_every_problem_is_searched_by_few_clicks_and_shows_pictures(smoke: Path, chromium: str, tmp_path: Path) -> None:
    with searching(smoke, tmp_path, chromium) as operator:
        found = found_of(smoke, operator)
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
    if "DONGSEON_DEMO" not in os.environ:
        pytest.skip("DONGSEON_DEMO must name a repository in which `make demo` has run")
    project = Path(os.environ["DONGSEON_DEMO"])
    with searching(project, tmp_path, chromium) as operator:
        found = found_of(project, operator)
    print(f"first sighting right, clicks: {found}")
    assert sum(is_right for is_right, _ in found.values()) >= LEAST_FIRST, found
    assert max(clicks for _, clicks in found.values()) <= MOST_CLICKS
