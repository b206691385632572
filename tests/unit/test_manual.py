"""What the manual says beside its commands: units of systemd, places with pictures of people, tests of promises."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from serving.unreached import FOLDERS
from tests.helpers.project import ROOT

DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The manual's unit of the service, with a program that exists."""
    (text,) = re.findall(r"```ini\n(.*?)```", DEPLOY, re.DOTALL)
    file = tmp_path / "dongseon.service"
    file.write_text(text.replace("/srv/dongseon/venv/bin/bentoml", "/bin/true"))
    return file


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(unit: Path) -> None:
    ended = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_unit_keeps_files_private_and_starts_the_service_again(unit: Path) -> None:
    said = unit.read_text().splitlines()
    assert {"User=dongseon", "UMask=0077", "Restart=always", "KillMode=control-group", "NoNewPrivileges=yes"} <= {*said}


@pytest.mark.parametrize("place", FOLDERS)
def test_the_manual_lists_each_place_with_pictures(place: str) -> None:
    assert re.search(rf"^\| .*`{re.escape(place)}`.* \|", DEPLOY, re.MULTILINE)


def test_each_promise_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[^`]+)`", SECURITY)
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]
