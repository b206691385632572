"""Importing ultralytics changes how NumPy prints and how Pillow opens; tests and doctests see both as they were."""

from collections.abc import Iterator

import numpy as np
import PIL.Image
import pytest

collect_ignore = ["serving/migrations/env.py"]  # only Alembic can run it, and it has no examples

_OPEN_PICTURE, _PRINT_OPTIONS = PIL.Image.open, np.get_printoptions()


@pytest.fixture(autouse=True)
def as_without_ultralytics(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service runs where ultralytics is not installed, so its tests must not depend on it."""
    monkeypatch.setattr(PIL.Image, "open", _OPEN_PICTURE)
    with np.printoptions(**_PRINT_OPTIONS):
        yield
