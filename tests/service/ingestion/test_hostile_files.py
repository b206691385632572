"""Files of others, by the thousand: documented errors only, bounded memory, no other file, no socket, nothing left."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.hostile_videos import encoded, opened_names
from tests.helpers.project import ROOT

MOST_GROWN_MB = 500  # beyond what the process has after its imports; a video may have frames of a million pixels
MOST_ADDRESSES = 16 << 30  # torch alone takes some of them


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "count"),
    [
        pytest.param(1, 360, id="some hundred"),
        pytest.param(2, 10_000, id="ten thousand", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
    ],
)
def test_hostile_files_are_refused_as_documented_and_do_nothing_else(tmp_path: Path, seed: int, count: int) -> None:
    (tmp_path / "files").mkdir()
    encoded(tmp_path / "files" / "canary.mp4")
    (tmp_path / "files" / "secret.bin").write_bytes(bytes(16))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))

    with opened_names(tmp_path / "files") as names:
        done = subprocess.run(
            [sys.executable, "-m", "tests.helpers.hostile_files", str(tmp_path), str(seed), str(count)],
            cwd=tmp_path / "files", env=environment, preexec_fn=limit, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["wrong"] == []
    assert result["grown_mb"] < MOST_GROWN_MB
    assert result["num_sockets"] <= 1
    assert not names & {"canary.mp4", "secret.bin"}
    refused = sum(number for what, number in result["read"].items() if what.endswith("refused"))
    assert refused > count / 2
    assert not list(tmp_path.glob("wrong-*"))
