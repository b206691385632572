"""Figures are written and show what they are given."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from domain.boxes import Detections
from domain.cameras import Camera
from evaluation.attributes import GroupScores
from evaluation.detection import precision_recall_curve
from evaluation.reliability import score_reliability
from evaluation.reporting.crop_figures import RankedCrop, RankedRow, plot_ranked_crops
from evaluation.reporting.figures import (
    plot_attribute_bars,
    plot_camera_pairs,
    plot_cmc,
    plot_distances,
    plot_precision_recall,
    plot_reliability,
    plot_route,
)


def require_picture(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file))
    assert picture is not None
    assert picture.std() > 1  # not blank
    return picture


def test_precision_recall_with_and_without_boxes(tmp_path: Path) -> None:
    person = np.array([[0, 0, 10, 20]], np.float32)
    found = Detections(person, np.array([0.9], np.float32), np.zeros(1, np.int64))
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    for name, detections in (("found", found), ("nothing", nothing)):
        plot_precision_recall(precision_recall_curve([detections], [person]), 0.5, tmp_path / f"{name}.png")
    curve, empty = (require_picture(tmp_path / f"{name}.png") for name in ("found", "nothing"))
    assert (curve != empty).any()


@pytest.mark.slow
def test_curves_bars_and_histograms_are_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    groups = {name: GroupScores(0.8, 0.7, 0.1, 12, np.zeros((2, 2), np.int64)) for name in ("view", "bag")}
    plot_attribute_bars(groups, {"view": "view", "bag": "bag"}, tmp_path / "bars.png")
    plot_cmc({"plain": np.linspace(0.5, 1, 30), "re-ranked": np.linspace(0.7, 1, 30)}, 20, tmp_path / "cmc.png")
    plot_distances(rng.random(50), rng.random(500) + 0.3, 0.4, tmp_path / "distances.png")
    plot_camera_pairs(np.array([[np.nan, 0.4], [0.9, np.nan]]), ["c1", "c2"], tmp_path / "pairs.png")
    plot_reliability(score_reliability(rng.random(90), rng.random(90) < 0.5, 10), tmp_path / "reliability.png")
    names = ("bars", "cmc", "distances", "pairs", "reliability")
    pictures = [require_picture(tmp_path / f"{name}.png") for name in names]
    assert all(len(np.unique(picture.reshape(-1, 3), axis=0)) > 10 for picture in pictures)


@pytest.mark.slow
@pytest.mark.parametrize("longitude_step", [0.001, 0.00001], ids=["wide", "tall"])
def test_a_route_and_an_empty_route_are_drawn(tmp_path: Path, longitude_step: float) -> None:
    cameras = [
        Camera(
            id=f"c{i}",
            name="street",
            latitude=35.8 + 0.0001 * i,
            longitude=128.6 + longitude_step * i,
            fps=6,
            width_px=640,
            height_px=360,
        )
        for i in range(3)
    ]
    stops = [("c0", "18:40:00", True), ("c2", "18:41:00", False), ("c0", "18:42:00", True)]
    plot_route(cameras, stops, [("c0", "18:40:00"), ("c1", "18:40:30")], "p01", tmp_path / "route.png")
    plot_route(cameras, [], [], "p02", tmp_path / "empty.png")
    full, empty = (require_picture(tmp_path / f"{name}.png") for name in ("route", "empty"))
    assert full.std() > empty.std()


@pytest.mark.slow
def test_ranked_crops_have_frames_by_right_and_wrong(tmp_path: Path) -> None:
    for name, grey in (("query", 50), ("near", 100), ("far", 150)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((30, 20, 3), grey, np.uint8))
    answers = (RankedCrop(tmp_path / "near.png", True, "c1 0.10"), RankedCrop(tmp_path / "far.png", False))
    rows = [RankedRow(tmp_path / "query.png", answers, "p01"), RankedRow(tmp_path / "query.png", answers[:1])]
    plot_ranked_crops(rows, tmp_path / "ranked.png")
    picture = require_picture(tmp_path / "ranked.png")
    colours = {tuple(colour) for colour in picture[:, :, ::-1].reshape(-1, 3).tolist()}
    assert {(47, 133, 90), (197, 48, 48), (100, 100, 100), (150, 150, 150)} <= colours
