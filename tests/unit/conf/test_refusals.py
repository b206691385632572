"""What Hydra does not know is one line with the likely spelling, from our command and in DVC's process."""

import subprocess
import sys
from pathlib import Path

import pytest

from conf.compose import compose
from domain.errors import InputError
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow

PAPER = "experiment must be one of demo, finetune, finetune_cpu, paper, scratch, smoke, got papr; did you mean paper?"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("experiment=papr", PAPER),
        ('district="수성"', "district must be one of base, demo, market1501, pa100k, peta, suseong, got 수성"),
        ("lrr=0.1", "unknown configuration key lrr; did you mean detector.lr or attributes.lr or reid.lr?"),
        ("reid.lrr=0.1", "unknown configuration key reid.lrr; did you mean reid.lr?"),
        ("tracking.video.max_frames_=1", "unknown configuration key tracking.video.max_frames_"),
        ("zzzzzz=1", "unknown configuration key zzzzzz"),
        ("reid.lr=a[", "Error parsing override 'reid.lr=a['"),
        (
            "district=수성",
            "LexerNoViableAltException: district=수성; values with blanks, #, ( or Korean need double quotes",
        ),
        ("sed=2", "unknown configuration key sed; did you mean seed?"),
    ],
)
def test_a_wrong_override_is_one_line(override: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        compose([override], tmp_path / "params.yaml")
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_dvc_says_the_same_line(tmp_path: Path) -> None:
    script = f"""
import sys
from dvc.utils.hydra import compose_and_dump
compose_and_dump("params.yaml", {str(ROOT / "conf")!r}, None, "config", {str(ROOT / "conf")!r}, ["experiment=papr"])
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stderr.splitlines()[-1] == f"dvc.exceptions.DvcException: {PAPER}"
