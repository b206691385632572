"""What tests and doctests share."""

from collections.abc import Iterator

import numpy as np
import PIL.Image
import pytest

collect_ignore = [
    "serving/migrations/env.py",  # only Alembic can run it, and it has no examples
    "tests/rtsp_server.py",  # run by the system's Python
]

_OPEN_PICTURE, _PRINT_OPTIONS = PIL.Image.open, np.get_printoptions()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, those of a file stay together, and all that use one run of the pipeline."""
    for item in items:
        uses_pipeline = {"clone", "smoke"}.intersection(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group("pipeline" if uses_pipeline else item.location[0]))


@pytest.fixture(autouse=True)
def as_without_ultralytics(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Importing it changes how NumPy prints and how Pillow opens; the service runs where it is not installed."""
    monkeypatch.setattr(PIL.Image, "open", _OPEN_PICTURE)
    with np.printoptions(**_PRINT_OPTIONS):
        yield
