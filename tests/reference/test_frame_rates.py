"""People of a real street camera that is looked at ever more seldom, with published weights, against ground truth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.frame_rates import main, scores_of
from districts.box_files import read_tracks
from export.import_weights import main as import_weights


@pytest.fixture(scope="module")
def engines(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, weights = tmp_path_factory.mktemp("engines"), real_data / "weights"
    detector = [f"cfg={weights}/yolov4-tiny.cfg", f"weights={weights}/yolov4-tiny.weights", f"out={folder}/coco"]
    import_weights(["task=detector", *detector])
    reid = ["backbone=osnet_x0_25", f"weights={weights}/osnet_x0_25_msmt17.pth", f"out={folder}/msmt17"]
    import_weights(["task=reid", *reid])
    return folder


def rows(
    real_data: Path, engines: Path, capsys: pytest.CaptureFixture[str], *looks_per_s: float
) -> list[dict[str, Any]]:
    """Rows that the command prints."""
    files = {
        "--video": real_data / "video" / "vtest.avi",
        "--truth": real_data / "mot" / "PETS09-S2L1" / "gt.txt",
        "--detector": engines / "coco",
        "--reid": engines / "msmt17",
    }
    named = [word for name, file in files.items() for word in (name, str(file))]
    main([*named, "--beginnings", "1", "--looks-per-s", *map(str, looks_per_s)])
    printed: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return printed


@pytest.mark.slow
def test_at_once_a_second_everybody_is_found(
    real_data: Path, engines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [row] = rows(real_data, engines, capsys, 1)
    assert row["half_covered"] == [10]
    assert row["mixed"] == [0]
    assert row["idf1"][0] >= 0.7


@pytest.mark.soak
def test_seldom_looks_cost_little(real_data: Path, engines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured = rows(real_data, engines, capsys, 10, 5, 2, 1, 0.5)
    idf1 = {row["looks_per_s"]: row["idf1"][0] for row in measured}
    assert idf1[1] >= idf1[10] - 0.1
    assert min(idf1.values()) >= 0.5
    assert [row["mixed"] for row in measured] == [[0]] * 5


def test_without_tracklets_nobody_is_found(real_data: Path) -> None:
    truth = read_tracks(real_data / "mot" / "PETS09-S2L1" / "gt.txt")
    assert len(np.unique(truth.tracks)) == 10
    assert scores_of(truth, []) == {"idf1": 0, "tracklets": 0, "least_covered": 0, "half_covered": 0, "mixed": 0}
