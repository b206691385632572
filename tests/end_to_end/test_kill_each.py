"""Each process is killed, and the clock stepped, while searches and segments are in work; nobody helps but systemd.

`tests.helpers.units` starts the service, the worker and the live cameras again when they end, as systemd does.
"""

import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from serving.database import audit
from serving.database.embedded import EmbeddedServer
from serving.database.store import open_store
from tests.end_to_end.conftest import free_port, wait_until
from tests.helpers.killed import CAMERAS, QUICK, READY_S, answers, reviewer_with_case, take_in, taken_in_peace
from tests.helpers.other_user import reached_by_nobody, require_root
from tests.helpers.project import ROOT
from tests.helpers.recordings import contents, segment_states
from tests.helpers.sockets import listening_sockets
from tests.helpers.units import Unit, kill, victims

ASK_EVERY_S = 1.2  # a load that leaves the cores to what is killed
CLOCK = "the clock"
AHEAD = struct.Struct("q")
STEPS_S = (3 * 86400, -3 * 86400, 400 * 86400)
SOME = ("the postmaster", "a backend", "everything", CLOCK)  # the others have tests of their own
ALL = ("the service", "the engines", "the supervisor", "a worker", "the live cameras", *SOME)


@dataclass(frozen=True)
class Running:
    """A deployment in work."""

    folder: Path
    address: str
    token: str
    service: Unit
    worker: Unit
    streams: Unit
    clock: Path | None

    def step_clock(self, rng: random.Random) -> None:
        """Let the clock of all processes jump; the time since they began goes on."""
        if self.clock is not None:
            with self.clock.open("r+b") as file:
                file.write(AHEAD.pack(rng.choice(STEPS_S)))
            told = float(subprocess.check_output([sys.executable, "-c", "import time; print(time.time())"]))
            assert abs(told - time.time()) > min(map(abs, STEPS_S)) - 60

    def victims(self, name: str) -> Sequence[psutil.Process]:
        """Processes to kill; none if they are just not there."""
        others = {"a worker": self.worker, "the live cameras": self.streams}
        return victims(name, self.service, others, self.folder / "store")

    def answers(self) -> bool:
        """Whether it is ready, and a search is answered."""
        return answers(self.address, self.token)

    def log(self) -> str:
        return "".join(one.log.read_text()[-2000:] for one in (self.service, self.worker, self.streams))


def _says(unit: Unit, line: str) -> bool:
    return line in unit.log.read_text()


def _has(running: Running, name: str) -> bool:
    return len(running.victims(name)) > 0


def _log_after(name: str, running: Running) -> str:
    return f"after {name}\n{running.log()}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    return taken_in_peace(tmp_path_factory.mktemp("each"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path | None]:
    """A file with the seconds that the clock of new processes runs ahead; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        library, file = Path(folder, "stepped_clock.so"), Path(folder, "clock")
        source = ROOT / "tests" / "helpers" / "stepped_clock.c"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        file.write_bytes(AHEAD.pack(0))
        for one, mode in ((Path(folder), 0o755), (library, 0o755), (file, 0o644)):
            one.chmod(mode)  # the database of root is another user's
        monkeypatch.setenv("STEPPED_CLOCK", str(file))
        monkeypatch.setenv("LD_PRELOAD", str(library))
        yield file


@pytest.fixture
def running(
    undisturbed: tuple[Path, list[object]], clock: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    folder = take_in(tmp_path / "killed", undisturbed[0], monkeypatch)
    token, port = reviewer_with_case(folder), free_port()
    (folder / "cameras.yaml").write_text(CAMERAS)
    address = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{address}/livez", timeout=5).status_code == 200
        return False

    with ExitStack() as units:

        def start(*command: str) -> Unit:
            return units.enter_context(closing(Unit(folder, *command)))

        service = start("bentoml", "serve", "serving.service:PersonSearch", "--port", str(port))
        wait_until(is_up, 300, service.log.read_text)  # so that segments are in work when the first process is killed
        worker = start("serving.worker", *QUICK, "serving.ingest.max_attempts=100")
        streams = start("serving.streams", "serving.streams.file=cameras.yaml")
        deployment = Running(folder, address, token, service, worker, streams, clock)
        wait_until(deployment.answers, 300, deployment.log)
        yield deployment
    open_store(folder / "store").close()  # the last one to leave stops the database


def test_workers_live_cameras_and_the_database_listen_to_their_owner_alone(
    undisturbed: tuple[Path, list[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_root()
    folder = take_in(tmp_path / "listening", undisturbed[0], monkeypatch)
    (folder / "cameras.yaml").write_text(CAMERAS)
    commands = (("serving.worker", *QUICK), ("serving.streams", "serving.streams.file=cameras.yaml"))
    with ExitStack() as stack:
        units = [stack.enter_context(closing(Unit(folder, *command))) for command in commands]
        for unit, line in zip(units, ("waiting for segments", "c1"), strict=True):
            wait_until(partial(_says, unit, line), 120, unit.log.read_text)
        database = EmbeddedServer(folder / "store" / "postgres")._processes()
        assert listening_sockets(one for unit in units for one in unit.tree()) == []
        assert {each.address for each in listening_sockets(map(psutil.Process, database))} == {"./.s.PGSQL.5432"}
        assert reached_by_nobody(folder / "store" / "postgres" / ".s.PGSQL.5432") == []
    open_store(folder / "store").close()  # the last one to leave stops the database


ROUNDS = [pytest.param(0, SOME, id="some")]
ROUNDS += [pytest.param(seed, ALL, id=f"all-{seed}", marks=pytest.mark.soak) for seed in range(1, 21)]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("seed", "names"), ROUNDS)
def test_each_process_is_killed_and_nobody_helps(
    running: Running, undisturbed: tuple[Path, list[object]], seed: int, names: tuple[str, ...]
) -> None:
    rng, is_over = random.Random(seed), threading.Event()

    def keep_searching() -> None:
        while not is_over.wait(ASK_EVERY_S):
            running.answers()

    searcher = threading.Thread(target=keep_searching)
    searcher.start()
    try:
        for name in rng.sample(names, len(names)):
            is_over.wait(rng.uniform(0, 2))
            if name == CLOCK:
                running.step_clock(rng)
            else:
                wait_until(partial(_has, running, name), READY_S, running.log)
                kill(running.victims(name))
            wait_until(running.answers, READY_S, partial(_log_after, name, running))
        with open_store(running.folder / "store") as store:
            wait_until(lambda: set(segment_states(store).values()) == {"done"}, 300, running.log)
    finally:
        is_over.set()
        searcher.join()
    with open_store(running.folder / "store") as store:
        assert contents(store) == undisturbed[1]
        with store.begin() as connection:
            audit.verify(connection)
    if running.clock is None:
        pytest.skip("all but the clock's steps held: they need a C compiler, which .ci/run installs")
