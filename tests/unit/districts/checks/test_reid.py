"""Defects of re-ID crops, each named with its file."""

from pathlib import Path

import pytest

from tests.helpers.damages import GALLERY, QUERY, TRAIN, Damage, rename, require_fatal, require_warning
from tests.helpers.districts import draw_picture

pytestmark = pytest.mark.slow

FATAL = [
    pytest.param(
        rename(TRAIN + "0001_c1s1_000001_00.png", TRAIN + "one.png"),
        "reid/bounding_box_train/one.png",
        "must be named like",
        id="not a Market name",
    ),
    pytest.param(
        rename(GALLERY + "0005_c2s1_000002_00.png", GALLERY + "0006_c2s1_000002_00.png"),
        "reid/query",
        "at least one query must have a match",
        id="no query has a match",
    ),
    pytest.param(
        lambda folder: (folder / "reid" / "times.csv").write_text("image,time_s\na.png,noon\n"),
        "reid/times.csv, line 2",
        "time_s must be seconds",
        id="a time that is none",
    ),
]


WARNINGS = [
    pytest.param(
        lambda folder: [*map(draw_picture, (folder / TRAIN / f"0002_c1s1_00000{number}_00.png" for number in (1, 2)))],
        "bounding_box_train: 1 of 2 identities are seen by one camera only and teach nothing across cameras: 2",
        id="identity of one camera",
    ),
    pytest.param(
        rename(TRAIN + "0001_c2s1_000002_00.png", TRAIN + "0002_c2s1_000002_00.png"),
        "identity 2 has a single picture",
        id="single image",
    ),
    pytest.param(
        lambda folder: draw_picture(folder / QUERY / "0006_c1s1_000001_00.png"),
        "identity 6 must also be in bounding_box_test from another camera",
        id="query without a match",
    ),
    pytest.param(
        lambda folder: draw_picture(folder / QUERY / "0005_c7s1_000001_00.png"),
        "camera must be 1 to 2, got 7",
        id="no such camera",
    ),
]


@pytest.mark.parametrize(("damage", "place", "message"), FATAL)
def test_a_fatal_defect_is_named(district: Path, damage: Damage, place: str, message: str) -> None:
    require_fatal(district, damage, place, message)


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Damage, message: str) -> None:
    require_warning(district, damage, message)
