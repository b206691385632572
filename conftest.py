"""What tests and doctests share."""

from collections.abc import Iterator

import jaxtyping
import numpy as np
import PIL.Image
import pytest
from jaxtyping import install_import_hook
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

import tests.helpers.array_checks  # noqa: F401  # the hook looks it up by name

_CHECKED = [
    "domain",
    "districts.box_files",
    "districts.layout",
    "evaluation",
    "serving.matching",
    "serving.search.search",
    "serving.tracking",
]  # array shapes, at each call
install_import_hook(_CHECKED, "tests.helpers.array_checks.check_arrays")

collect_ignore = [
    "serving/database/migrations/env.py",  # only Alembic can run it, and it has no examples
    "tests/helpers/rtsp_server.py",  # run by the system's Python
]

_PIPELINE = "tests/end_to_end/pipeline/"
_OPEN_PICTURE, _PRINT_OPTIONS = PIL.Image.open, np.get_printoptions()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """How tests are spread over processes with `pytest --numprocesses`."""
    return _ByFile(config, log)


class _ByFile(LoadFileScheduling):
    """Tests of a file stay in one process, and so do all that share one run of the pipeline."""

    def _split_scope(self, nodeid: str) -> str:
        return _PIPELINE if nodeid.startswith(_PIPELINE) else str(super()._split_scope(nodeid))


@pytest.fixture(autouse=True)
def as_without_ultralytics(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Importing it changes how NumPy prints and how Pillow opens; the service runs where it is not installed."""
    monkeypatch.setattr(PIL.Image, "open", _OPEN_PICTURE)
    with np.printoptions(**_PRINT_OPTIONS):
        yield


@pytest.fixture
def unchecked_arrays() -> Iterator[None]:
    """Array annotations are not checked, as in production: for tests of a function's own checks of its input."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
