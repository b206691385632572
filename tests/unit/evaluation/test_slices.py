"""Parts of the test data by camera, light and height."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.intervals.bootstrap import Sample, ratios
from evaluation.slices import by_camera, by_light, by_light_and_height, camera_in_name, score_slices


def test_a_camera_is_the_longest_that_a_name_begins_with() -> None:
    cameras = ["c1", "c1-north", "c12"]
    assert [camera_in_name(name, cameras) for name in ("c1_7.jpg", "c12_7.jpg", "c1-north_7.jpg", "c13_7.jpg")] == [
        "c1",
        "c12",
        "c1-north",
        None,
    ]


def test_pictures_without_a_camera_have_a_part_of_their_own() -> None:
    groups = by_camera(["c1", None, "c1"], "").groups
    assert {name: chosen.tolist() for name, chosen in groups.items()} == {
        "c1": [True, False, True],
        "not known": [False, True, False],
    }


def test_dark_and_bright_pictures_are_told_apart_and_unreadable_ones_are_neither() -> None:
    groups = by_light([79.9, 80.0, np.nan]).groups
    assert {name: chosen.tolist() for name, chosen in groups.items()} == {
        "dark": [True, False, False],
        "bright": [False, True, False],
    }


@pytest.mark.parametrize(
    ("second", "parts"), [(100, {"64 to 128 px": [True, False], "below 64 px": [False, True]}), (32, {})]
)
def test_crops_of_one_height_are_not_divided_by_it(tmp_path: Path, second: int, parts: dict[str, list[bool]]) -> None:
    files = [tmp_path / "one.png", tmp_path / "two.png"]
    for file, height in zip(files, (second, 32), strict=True):
        cv2.imwrite(str(file), np.full((height, 20, 3), 200, np.uint8))
    light, by_height = by_light_and_height(files, heights=True)
    assert list(light.groups) == ["bright"]
    assert {name: chosen.tolist() for name, chosen in by_height.groups.items()} == parts
    assert ("All crops have one height" in by_height.note) == (not parts)


def test_each_part_is_scored_alone() -> None:
    values = np.arange(12.0)

    def sample_of(chosen: np.ndarray) -> Sample:
        count = int(chosen.sum())
        return Sample("people", count, count, ratios({"mean": values[chosen]}, {"mean": np.ones(count)}))

    scored = score_slices([by_camera(["a"] * 10 + ["b"] * 2, "a note")], sample_of, ["mean"], 200)
    assert (scored[0]["by"], scored[0]["note"]) == ("camera", "a note")
    first, second = scored[0]["parts"]["a"], scored[0]["parts"]["b"]
    assert (first["num_items"], first["mean"]) == (10, 4.5)
    assert first["mean_low"] < 4.5 < first["mean_high"]
    assert second == {"num_items": 2, "num_units": 2, "mean": 10.5}
