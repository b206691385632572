"""`--help` of each stage says what it does and takes."""

import subprocess
import sys

import pytest
import yaml

from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow
COMMANDS = sorted(
    {stage["do"]["cmd"].split()[2] for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()}
)


@pytest.mark.parametrize("module", COMMANDS)
def test_help_says_what_a_stage_does_and_takes(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "DVC stage" in ended.stdout
    assert "Arguments are key=value" in ended.stdout
