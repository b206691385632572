"""The report has the backbones that were evaluated, whatever their number and names."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.intervals.bootstrap import Sample, ratios, resample
from evaluation.past import Run
from evaluation.reporting import rows
from evaluation.reporting.comparisons import Comparison
from evaluation.reporting.parts import Evaluated
from evaluation.reporting.sections import glance, sections
from evaluation.show_results import terminal_table


def reid_metrics(reranked_map: float, width: float = 0.02) -> dict[str, Any]:
    """Metrics of a backbone to whose mAP re-ranking adds 10 points."""

    def variant(value: float) -> dict[str, float]:
        return {row.key: value for row in rows.REID} | {"map_low": value - width / 2, "map_high": value + width / 2}

    return {
        "plain": variant(reranked_map - 0.1),
        "reranked": variant(reranked_map),
        "num_query": 10,
        "num_gallery": 200,
        "reranking_s": 0.5,
        "time": {"left_out": "the crops have no times"},
    }


def evaluated(metrics: dict[str, dict[str, Any]], folder: Path) -> dict[str, Evaluated]:
    """What evaluations with these metrics and one plot left."""
    for name in metrics:
        (folder / name).mkdir()
        (folder / name / "cmc.png").touch()
    return {name: Evaluated(values, folder / name) for name, values in metrics.items()}


FIGURES = {"osnet": 0.8, "resnet50": 0.6, "osnet_x0_5": 0.7}
TITLES = {"osnet": "OSNet", "resnet50": "ResNet-50", "osnet_x0_5": "osnet_x0_5"}


@pytest.mark.parametrize("backbones", [["resnet50"], ["osnet", "resnet50"], ["osnet", "osnet_x0_5", "resnet50"]])
def test_every_backbone_has_its_columns_rows_and_sentence(backbones: list[str], tmp_path: Path) -> None:
    metrics = {f"reid-{backbone}": reid_metrics(FIGURES[backbone]) for backbone in backbones}
    parts = {section.title.partition(" (")[0]: section for section in sections(evaluated(metrics, tmp_path), {})}
    reid, speed = parts["Re-identification"], parts["Speed"]
    titles = [TITLES[backbone] for backbone in backbones]
    ours = [f"this run: {title}{variant}" for title in titles for variant in ("", " + re-ranking")]
    study = ["study: OSNet", "study: OSNet + re-ranking", "study: ResNet-50 + re-ranking"]
    assert list(reid.tables[0].columns) == ["", *study, *ours]
    assert {len(row) for row in reid.tables[0].rows} == {4 + len(ours)}
    assert [row[0] for row in speed.tables[0].rows] == [f"{title} re-ranking" for title in titles]
    assert [picture.caption.partition(":")[0] for picture in reid.pictures] == titles
    for title in titles:
        assert f"Re-ranking changes the mAP of {title} by +10.0 points." in reid.text
    assert ("has the highest mAP" in reid.text) == (len(backbones) > 1)
    assert [row[2] for row in glance(metrics) if row[0].startswith("re-ID mAP")] == [
        f"{100 * (FIGURES[backbone] - drop):.1f}" for backbone in backbones for drop in (0.1, 0)
    ]


def run_of(precisions: np.ndarray) -> Run:
    """A run on people whose queries have these average precisions."""
    sample = Sample("people", len(precisions), len(precisions), ratios(
        {"reranked/map": precisions}, {"reranked/map": np.ones(len(precisions))}
    ))  # fmt: skip
    return Run("id", "one test set", {}, resample(sample, 500))


@pytest.mark.parametrize(
    ("worse_by", "expected"),
    [
        (0.1, r"OSNet has the highest mAP\. It is (9|10)\.\d points \(9\.\d to 10\.\d\) above ResNet-50\."),
        (0.0, r"It is -?0\.\d points \(-\d\.\d to \d\.\d\) above ResNet-50, so they may be alike\."),
    ],
)
def test_the_best_backbone_is_compared_over_the_same_people(worse_by: float, expected: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hard = rng.uniform(0.4, 0.9, 60)  # for both: alone, the intervals overlap
    runs = {"osnet": run_of(hard), "resnet50": run_of(hard - worse_by + rng.normal(0, 0.01, 60))}
    figures = {backbone: run.resampled.values["reranked/map"] for backbone, run in runs.items()}
    figures["osnet"] = max(figures.values())
    metrics = {f"reid-{backbone}": reid_metrics(value) for backbone, value in figures.items()}
    parts = {
        name: replace(each, comparison=Comparison(ours=runs[name.removeprefix("reid-")]))
        for name, each in evaluated(metrics, tmp_path).items()
    }
    text = next(section.text for section in sections(parts, {}) if section.title[:5] == "Re-id")
    assert re.search(expected, text)


def test_rankings_with_times_have_columns_of_their_own(tmp_path: Path) -> None:
    without = reid_metrics(0.6)
    assert "Times are not used: the crops have no times." in text_and_columns(without, tmp_path / "without")[0]
    time = {"distance_of_a_nat": 0.0526, "calibration_error": 0.028, "misleading_cameras": "c3"}
    timed = without | {"with_time": without["plain"], "time": time}
    text, columns = text_and_columns(timed, tmp_path / "with")
    assert columns[-1] == "this run: OSNet + times"
    assert "counts 0.053 of distance a nat" in text
    assert "off by 2.8 points" in text
    assert "Times of c3 contradict what was learnt" in text
    assert [row[2] for row in glance({"reid-osnet": timed}) if row[0] == "re-ID mAP, OSNet + times"] == ["50.0"]


def text_and_columns(metrics: dict[str, Any], folder: Path) -> tuple[str, tuple[str, ...]]:
    folder.mkdir()
    found = sections(evaluated({"reid-osnet": metrics}, folder), {})
    section = next(each for each in found if each.title.startswith("Re-id"))
    return section.text, section.tables[0].columns


def test_a_backbone_that_the_study_lacks_has_a_dash_beside_it() -> None:
    table = terminal_table(glance({"reid-osnet_x0_5": reid_metrics(0.7)}))
    assert "re-ID mAP, osnet_x0_5 + re-ranking       –    70.0" in table


def test_a_backbone_with_a_part_of_the_training_says_so_in_each_cell(tmp_path: Path) -> None:
    metrics = {"reid-osnet": reid_metrics(0.8), "reid-resnet50": reid_metrics(0.1) | {"share_of_epochs": 0.05}}
    parts = {section.title.partition(" (")[0]: section for section in sections(evaluated(metrics, tmp_path), {})}
    table = parts["Re-identification"].tables[0]
    few = [place for place, column in enumerate(table.columns) if column.startswith("this run: ResNet-50")]
    for row in table.rows:
        assert [place for place, cell in enumerate(row) if cell.endswith(" [5 % of the epochs]")] == few
    assert "That says nothing of ResNet-50" in parts["Re-identification"].text
    named = [row for row in parts["At a glance"].tables[0].rows if row[0] == "re-ID mAP, ResNet-50 + re-ranking"]
    assert named[0][4] == "10.0 (9.0–11.0) [5 % of the epochs]"
    assert ("re-ID mAP, ResNet-50", "–", "0.0 [5 % of the epochs]") in glance(metrics)
