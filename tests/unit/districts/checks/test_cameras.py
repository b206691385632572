"""Cameras without data, and several at one place."""

from pathlib import Path

import pytest

from tests.helpers.damages import Damage, more_cameras, require_warning

pytestmark = pytest.mark.slow

WARNINGS = [
    pytest.param(
        more_cameras(2, latitude=36.0),
        "district.yaml: 2 of 4 cameras have no video, re-ID crop or row of attributes: x0, x1",
        id="cameras without data",
    ),
    pytest.param(
        more_cameras(1),
        "district.yaml: 3 cameras are all at 35.8, 128.6; walking times between them would be 0: c1, c2, x0",
        id="cameras at one place",
    ),
]


@pytest.mark.parametrize(("damage", "message"), WARNINGS)
def test_a_lesser_defect_is_a_warning(district: Path, damage: Damage, message: str) -> None:
    require_warning(district, damage, message)
