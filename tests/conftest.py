"""What tests of every folder share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Pictures, videos and weights made by others; they are not part of the repository."""
    folder = Path(os.environ.get("DONGSEON_REAL", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip("real pictures and weights are not here; point DONGSEON_REAL at them")
    return folder
