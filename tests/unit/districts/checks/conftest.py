"""A sound district to damage."""

from pathlib import Path

import pytest

from tests.helpers.districts import write_district


@pytest.fixture
def district(tmp_path: Path) -> Path:
    """A district of two cameras and six people in which nothing is wrong."""
    return write_district(tmp_path)
