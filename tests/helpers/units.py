"""Commands of a deployment that are started again whenever they end, and the processes of them to kill.

What systemd does with `Restart=always` and `KillMode=control-group` (see docs/deploy.md), a thread does here: it starts
a command again when it ends, and ends what is left of it first.
"""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from serving.database.embedded import TOOLS, EmbeddedServer
from tests.helpers.project import ROOT

RESTART_S = 1


class Unit:
    """A command that is started again whenever it ends, until `close`."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.log = folder / f"{command[0].rpartition('.')[2]}.log"
        self._folder, self._command = folder, command
        self._is_over = threading.Event()
        self.process = self._start()
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def tree(self) -> list[psutil.Process]:
        """The command and all its children but the embedded database, which is one while it starts."""
        with suppress(psutil.NoSuchProcess):
            children = self.process.children(recursive=True)
            return [self.process, *(one for one in children if not is_of_database(one))]
        return []

    def restart(self) -> None:
        """End the command as systemd does; it is started again."""
        with suppress(psutil.NoSuchProcess):
            self.process.terminate()

    def close(self) -> None:
        self._is_over.set()
        kill(self.tree())
        self._thread.join()

    def _start(self) -> psutil.Popen:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            return psutil.Popen(
                [sys.executable, "-m", *self._command], cwd=self._folder, env=environment, stdout=log, stderr=log
            )

    def _keep(self) -> None:
        while True:
            children: list[psutil.Process] = []
            while self.process.poll() is None:
                children = self.tree()[1:] or children
                self._is_over.wait(0.1)
            kill(children)
            if self._is_over.wait(RESTART_S):
                return
            self.process = self._start()


def victims(name: str, service: Unit, others: Mapping[str, Unit], store: Path) -> Sequence[psutil.Process]:
    """Processes to kill; none if they are just not there.

    Args:
        name: of one of `others`, or `the service`, `the engines`, `the supervisor`, `the postmaster`, `a backend` or
            `everything`.
        service: the service.
        others: the other commands of the deployment.
        store: folder with the embedded database.
    """
    parts = {"the service": "PersonSearch", "the engines": "BatchedEngines"}
    if name in others:
        return [others[name].process]
    if name == "the supervisor":
        return [service.process]
    if name in parts:
        return [one for one in service.tree()[1:] if parts[name] in arguments_of(one)]
    database = [psutil.Process(number) for number in sorted(EmbeddedServer(store / "postgres")._processes())]
    if name == "the postmaster":
        return database[:1]
    if name == "a backend":
        return [one for one in database if "postgres postgres" in arguments_of(one)][-1:]
    return [*service.tree(), *(one for unit in others.values() for one in unit.tree()), *database]


def arguments_of(process: psutil.Process) -> str:
    """Of its command; empty if it has ended."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def is_of_database(process: psutil.Process) -> bool:
    arguments = arguments_of(process)
    return str(TOOLS) in arguments or arguments.startswith("postgres:")


def kill(processes: Sequence[psutil.Process]) -> None:
    """All, the parents first, so that none of them starts another."""
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.suspend()
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.kill()
