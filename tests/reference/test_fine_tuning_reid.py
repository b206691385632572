"""The benchmark beside torchreid's engine: both sides learn a few drawn people, and are scored on others alike."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fine_tuning_reid import with_people
from districts.layout import read_reid_folder
from tests.helpers.crops import HEIGHT, WIDTH, write_reid_set
from tests.helpers.project import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("minutes", "learnt"),
    [("0.02", False), pytest.param("1", True, marks=pytest.mark.soak)],  # in a second a busy machine learns nothing
)
def test_both_sides_are_trained_and_scored_on_the_same_people(tmp_path: Path, minutes: str, learnt: bool) -> None:
    folder = write_reid_set(tmp_path / "town", num_train=32, num_val=8)
    for place, file in enumerate(sorted((folder / "bounding_box_val").iterdir())):
        part = folder / ("query" if place % 4 == 0 else "bounding_box_test")
        part.mkdir(exist_ok=True)
        (part / file.name).symlink_to(file)
    small = [f"reid.input_height_px={HEIGHT}", f"reid.input_width_px={WIDTH}", "reid.hardware.num_workers=0"]
    command = [sys.executable, "-m", "benchmarks.fine_tuning_reid", str(tmp_path / "town"), "--minutes", minutes]
    printed = json.loads(subprocess.check_output([*command, "--every", "2", *small], cwd=ROOT, text=True))
    results = printed["results"]
    assert printed["metadata"]["people"] == 16
    assert "as_it_is" not in results, "no weights to start from were named"
    for side in ("ours", "theirs"):
        assert results[side]["epochs"] >= 1
        assert results[side]["plain/map"] > (0.2 if learnt else 0)  # by chance 0.125
    change, low, high = results["ours_above_theirs"]["plain/map"]
    assert change == pytest.approx(results["ours"]["plain/map"] - results["theirs"]["plain/map"])
    assert low <= change <= high


def test_people_are_held_out_of_both_parts_and_nobody_is_in_two(tmp_path: Path) -> None:
    write_reid_set(tmp_path / "town", num_train=12, num_val=4)
    shown = {name: people_in(tmp_path / "town", name) for name in ("bounding_box_train", "bounding_box_val")}
    assert with_people(tmp_path / "town", 1, None, tmp_path / "same") == tmp_path / "town"
    other = with_people(tmp_path / "town", 2, 4, tmp_path / "other")
    train, val = (people_in(other, name) for name in shown)
    assert len(val) == 4
    assert len(train) == 6, "every second one of the other twelve"
    assert not train & val
    assert train | val < set().union(*shown.values())
    assert len(read_reid_folder(other, "bounding_box_val").images) == 4 * 8  # crops of each


def people_in(district: Path, part: Any) -> set[int]:
    return set(read_reid_folder(district, part).identities.tolist())
