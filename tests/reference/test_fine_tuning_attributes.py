"""The benchmark of fine-tuning attributes: it scores weights, random weights and the constant answer alike."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.crops import HEIGHT, WIDTH, write_attribute_set
from tests.helpers.project import ROOT
from training.crops.backbone import build_backbone


@pytest.mark.slow
def test_both_trainings_are_scored_beside_the_constant_answer(tmp_path: Path) -> None:
    write_attribute_set(tmp_path / "town")
    backbone, _ = build_backbone("osnet_x0_25", stripes=1)
    torch.save(backbone.state_dict(), tmp_path / "start.pth")
    command = [sys.executable, "-m", "benchmarks.fine_tuning_attributes", str(tmp_path / "town"), "--on", "val"]
    command += ["--weights", str(tmp_path / "start.pth"), "attributes.schema=null", "attributes.minutes=0.02"]
    command += [f"attributes.input_height_px={HEIGHT}", f"attributes.input_width_px={WIDTH}"]
    results = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))["results"]
    assert results["crops"] == {"train": 48, "scored": 48}
    assert set(results["minutes"]) == {"from_random", "from_weights"}
    for side in ("constant", "from_random", "from_weights"):
        value, low, high = results[side]["instance_f1"]
        assert 0 < low <= value <= high <= 1
    rise = results["weights_above_random"]["instance_f1"]
    assert rise["change"] == pytest.approx(
        results["from_weights"]["instance_f1"][0] - results["from_random"]["instance_f1"][0]
    )
