"""What tests of every folder share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Tests never time: the first example pays for compilation, and CI must not depend on luck.
settings.register_profile("dongseon", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("dongseon")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Pictures, videos and weights made by others; they are not part of the repository."""
    folder = Path(os.environ.get("DONGSEON_REAL", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip("real pictures and weights are not here; point DONGSEON_REAL at them")
    return folder
