"""A disk that is full: commands say so, and when there is room again everything goes on by itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.database import audit, embedded
from serving.database.audit import Action
from serving.database.store import Store, open_store
from tests.helpers.project import ROOT

SIZE = "120m"  # a new database takes 40 MB
FILL = """
import pathlib, secrets
from serving.database import audit
from serving.database.commands import run_command
from serving.database.store import open_store

def main(argv):
    with open_store(pathlib.Path(argv[0])) as store:
        while True:
            with store.begin() as connection:
                audit.append(connection, "test", audit.Action.REFUSED, {"text": secrets.token_hex(7000)})

run_command(main)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def num_records(store: Store) -> int | None:
    """Of the audit; None if the database does not answer."""
    try:
        with store.begin() as connection:
            audit.append(connection, "test", Action.REFUSED, {})
            audit.verify(connection)
            return int(connection.exec_driver_sql("SELECT count(*) FROM audit").scalar_one())
    except sa.exc.OperationalError:
        return None


def test_a_full_disk_is_said_and_nothing_is_lost_when_there_is_room_again(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with open_store(small_disk / "store") as store:
        before = num_records(store)
        assert before is not None
        room = os.statvfs(small_disk)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(0, (room.f_bavail - 256) * room.f_bsize))
        ended = subprocess.run(
            [sys.executable, "-c", FILL, str(small_disk / "store")],
            cwd=ROOT, env=os.environ | {"PYTHONWARNINGS": "ignore"}, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert ended.returncode == 1, ended.stderr
        assert "Traceback" not in ended.stderr
        assert "error: the database must answer until the command ends, it did not" in ended.stderr
        filler.unlink()
        assert embedded._comes_true(lambda: num_records(store) is not None, 60)
        after = num_records(store)
        assert after is not None
        assert after > before
