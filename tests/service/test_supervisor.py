"""A child that ends is started again at once, also after the wall clock was set back."""

import time
from collections.abc import Iterator

import psutil
import pytest
from bentoml._internal.utils import circus
from circus import controller
from circus.watcher import Watcher

from serving.supervisor import mend_supervisor
from tests.end_to_end.conftest import wait_until

CHECK_EVERY_S = 0.1
THREE_DAYS_S = 3 * 86400


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    """A child that sleeps, watched by the mended supervisor."""
    for module, name in ((circus, "Arbiter"), (circus, "ThreadedArbiter"), (controller, "AsyncPeriodicCallback")):
        monkeypatch.setattr(module, name, getattr(module, name))  # set back after the test
    mend_supervisor()
    watcher = Watcher("sleeper", "sleep 1000")
    supervisor = circus.ThreadedArbiter([watcher], check_delay=CHECK_EVERY_S)
    supervisor.start()
    yield watcher
    supervisor.stop()


def test_a_child_is_restarted_after_the_clock_was_set_back(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: len(watcher.processes) == 1, 30, watcher.info)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - THREE_DAYS_S)
    time.sleep(3 * CHECK_EVERY_S)  # so that its next look is planned by the clock that was set back
    (killed,) = watcher.processes
    psutil.Process(killed).kill()
    wait_until(lambda: len(watcher.processes) == 1 and killed not in watcher.processes, 30, watcher.info)
