"""The process that BentoML starts and restarts the service's other processes from (circus): private and steady.

Everyone who reaches circus's endpoints may let it run any command, and BentoML puts them on ports of 127.0.0.1. Here
they are sockets in a folder of the service's user alone.
"""

import os
from tempfile import TemporaryDirectory
from typing import Any

from bentoml._internal.utils import circus
from circus import controller
from circus.watcher import Watcher
from tornado.ioloop import PeriodicCallback

from domain.processes import die_with


class _Private:
    """Mixin for BentoML's arbiters: private endpoints, and children that are restarted and end with the supervisor."""

    def __init__(self, watchers: list[Watcher], **options: Any) -> None:
        self._endpoints = TemporaryDirectory(prefix="dongseon-supervisor-")  # mode 0700; removed with the arbiter
        for watcher in watchers:
            watcher.respawn = True  # BentoML leaves it to the container's own supervisor, which sees the front only
        options["endpoint"] = f"ipc://{self._endpoints.name}/control"
        options["pubsub_endpoint"] = f"ipc://{self._endpoints.name}/events"
        super().__init__(watchers, **options)  # type: ignore[call-arg]
        supervisor = os.getpid()
        os.register_at_fork(after_in_child=lambda: die_with(supervisor))


class _Arbiter(_Private, circus.Arbiter):
    """For `bentoml serve`."""


class _ThreadedArbiter(_Private, circus.ThreadedArbiter):
    """For `bentoml.serve` within a program."""


class _SteadyPeriodicCallback(PeriodicCallback):
    """Calls back in a period, also after the wall clock was set back; tornado's would wait until it is where it was."""

    def _update_next(self, current_time: float) -> None:
        self._next_timeout = current_time + self.callback_time / 1000


def mend_supervisor() -> None:
    """Let the supervisor of this process, if BentoML makes one later, listen to its own user and watch steadily."""
    circus.Arbiter = _Arbiter  # type: ignore[misc]
    circus.ThreadedArbiter = _ThreadedArbiter  # type: ignore[misc]
    controller.AsyncPeriodicCallback = _SteadyPeriodicCallback
