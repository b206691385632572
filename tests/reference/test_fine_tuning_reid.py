"""The benchmark beside torchreid's engine: both sides learn a few drawn people, and are scored on others alike."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.crops import HEIGHT, WIDTH, write_reid_set
from tests.helpers.project import ROOT


@pytest.mark.slow
def test_both_sides_are_trained_and_scored_on_the_same_people(tmp_path: Path) -> None:
    folder = write_reid_set(tmp_path / "town", num_train=16, num_val=8)
    for place, file in enumerate(sorted((folder / "bounding_box_val").iterdir())):
        part = folder / ("query" if place % 4 == 0 else "bounding_box_test")
        part.mkdir(exist_ok=True)
        (part / file.name).symlink_to(file)
    small = [f"reid.input_height_px={HEIGHT}", f"reid.input_width_px={WIDTH}", "reid.hardware.num_workers=0"]
    command = [sys.executable, "-m", "benchmarks.fine_tuning_reid", str(tmp_path / "town"), "--minutes", "0.1", *small]
    results = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))["results"]
    assert "as_it_is" not in results, "no weights to start from were named"
    for side in ("ours", "theirs"):
        assert results[side]["epochs"] >= 1
        assert results[side]["plain/map"] > 0.2  # by chance 0.125
    change, low, high = results["ours_above_theirs"]["plain/map"]
    assert change == pytest.approx(results["ours"]["plain/map"] - results["theirs"]["plain/map"])
    assert low <= change <= high
