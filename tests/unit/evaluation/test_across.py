"""Each model on each district, from what evaluations kept."""

from pathlib import Path

import numpy as np
import pytest

from domain.model_card import ModelCard
from evaluation import across
from evaluation.intervals.bootstrap import Sample, ratios, resample
from evaluation.past import digest_of, keep_run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keep(district: str, model: str, weights: str, trained_on: str, precisions: list[float], source: str = "") -> None:
    card = ModelCard(
        task="reid", architecture="osnet_x0_25", input_height_px=64, input_width_px=32, resize="stretch",
        output_names=("embeddings",), district=trained_on, weights_sha256=weights * 64, source=source,
    )  # fmt: skip
    ones = np.ones(len(precisions))
    sample = Sample("people", len(ones), len(ones), ratios({"plain/map": np.array(precisions)}, {"plain/map": ones}))
    keep_run(district, model, card, digest_of([district]), resample(sample, 200))


def test_a_row_for_each_model_and_a_column_for_each_district(folder: Path, capsys: pytest.CaptureFixture) -> None:
    keep("demo", "reid-osnet", "a", "demo", [0.9] * 6)
    keep("market", "reid-osnet", "b", "market", [0.5, 0.6, 0.7, 0.4, 0.5, 0.6])
    assert across.across_section() is not None
    keep("market", "reid-other", "a", "demo", [0.2] * 6)
    keep("market", "reid-zoo", "c", "", [0.3] * 6, source="zoo.pth")
    (table,) = across.across_tables()
    assert table.columns == ("model", "demo", "market")
    assert [row[0] for row in table.rows] == [
        "osnet_x0_25-aaaaaaaaaaaa, trained on demo",
        "osnet_x0_25-bbbbbbbbbbbb, trained on market",
        "osnet_x0_25-cccccccccccc, from zoo.pth",
    ]
    assert table.rows[0][1] == "90.0"
    assert table.rows[0][2] == "20.0"
    assert table.rows[1][1] == "–"
    assert table.rows[1][2].startswith("55.0 (")
    across.main()
    assert "Re-ID mAP without re-ranking:" in capsys.readouterr().out


def test_one_district_has_no_section_and_no_evaluation_is_said(folder: Path, capsys: pytest.CaptureFixture) -> None:
    across.main()
    assert "no evaluation is kept" in capsys.readouterr().out
    keep("demo", "reid-osnet", "a", "demo", [0.9] * 6)
    assert across.across_section() is None
