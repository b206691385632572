"""What the manual says beside its commands: places with pictures of people, tests of promises."""

import re

import pytest

from serving.unreached import FOLDERS
from tests.helpers.project import ROOT

DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", FOLDERS)
def test_the_manual_lists_each_place_with_pictures(place: str) -> None:
    assert re.search(rf"^\| .*`{re.escape(place)}`.* \|", DEPLOY, re.MULTILINE)


def test_each_promise_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[^`]+)`", SECURITY)
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]
