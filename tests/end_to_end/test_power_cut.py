"""The power fails at random moments, and the machine starts again: its processes have other numbers, nobody helps.

A machine is a process namespace whose first process is killed, and with it all others at once. What was written but not
yet synced is not lost with it: the page cache is the host's.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving.database import audit
from serving.database.store import open_store
from tests.end_to_end.conftest import free_port, wait_until
from tests.helpers.killed import CAMERAS, QUICK, READY_S, answers, finish, reviewer_with_case, take_in, taken_in_peace
from tests.helpers.project import ROOT
from tests.helpers.recordings import contents

ALONE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL")
# Numbers that the former start had are others' now; the commands are started again as systemd would.
START = """
for _ in $(seq {before}); do /bin/true; done
keep() {{ while true; do {python} -m "$@"; sleep 1; done; }}
keep bentoml serve serving.service:PersonSearch --port {port} &
keep serving.worker {quick} serving.ingest.max_attempts=100 &
keep serving.streams serving.streams.file=cameras.yaml &
wait
"""


class Machine:
    """A machine that is switched on: service, worker and live cameras of the deployment in `folder`."""

    def __init__(self, folder: Path, port: int, processes_before: int) -> None:
        self.log = folder / "machine.log"
        script = START.format(before=processes_before, python=sys.executable, port=port, quick=" ".join(QUICK))
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self._first = subprocess.Popen(
                [*ALONE, "bash", "-c", script], cwd=folder, env=environment, stdout=log, stderr=log
            )

    def cut(self) -> None:
        """All processes at once end."""
        self._first.kill()
        self._first.wait()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cuts", [pytest.param(1, id="one"), pytest.param(20, id="twenty", marks=pytest.mark.soak)])
def test_the_power_fails_and_nobody_helps(cuts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not make namespaces of processes")
    district, undisturbed = taken_in_peace(tmp_path)
    folder = take_in(tmp_path / "cut", district, monkeypatch)
    token, port, rng = reviewer_with_case(folder), free_port(), random.Random(cuts)
    (folder / "cameras.yaml").write_text(CAMERAS)
    for start in range(cuts + 1):
        began = time.monotonic()
        machine = Machine(folder, port, processes_before=rng.randrange(200))
        try:
            longest_s = READY_S if start else 300  # the first one recovers from nothing
            wait_until(lambda: answers(f"http://127.0.0.1:{port}", token), longest_s, machine.log.read_text)
            print(f"start {start}: ready after {time.monotonic() - began:.1f} s", flush=True)
            time.sleep(rng.uniform(0, 3))
        finally:
            machine.cut()
    finish(folder)
    with open_store(folder / "store") as store:
        assert contents(store) == undisturbed
        with store.begin() as connection:
            audit.verify(connection)
