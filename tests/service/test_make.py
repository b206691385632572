import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> said
case " $BROKEN " in *" $2 "*) exit 1;; esac
"""


def serve(folder: Path, *broken: str) -> tuple[int, list[str]]:
    """What `make serve` ends with and runs, where these modules fail."""
    shutil.copy(ROOT / "Makefile", folder)
    for file in ("requirements.lock", "bento/bento.yaml", ".venv/.installed"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / ".venv" / "bin").mkdir()
    for name in ("python", "bentoml"):
        (folder / ".venv" / "bin" / name).write_text(STUB)
        (folder / ".venv" / "bin" / name).chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "BROKEN": " ".join(broken)}
    ended = subprocess.run(["make", "serve"], cwd=folder, env=environment, capture_output=True, check=False)
    return ended.returncode, (folder / "said").read_text().splitlines()


@pytest.mark.parametrize("broken", [[], ["serving.ingest", "serving.retention"]])
def test_videos_that_cannot_be_taken_in_do_not_keep_the_service_down(tmp_path: Path, broken: list[str]) -> None:
    ended, said = serve(tmp_path, *broken)
    assert ended == 0
    assert [line.split()[2] for line in said[:-1]] == [
        "serving.accounts",
        "serving.ingest",
        "serving.worker",
        "serving.retention",
    ]
    assert said[-1].startswith("bentoml serve")


def test_without_a_worker_that_ends_well_nothing_is_served(tmp_path: Path) -> None:
    ended, said = serve(tmp_path, "serving.worker")
    assert (ended, said[-1].split()[2]) == (2, "serving.worker")
