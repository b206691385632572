"""The embedded PostgreSQL: who reaches it, what starts it again, what stops it."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from procrastinate.exceptions import ConnectorException

from domain.errors import ArtifactError
from serving.database import embedded, jobs
from serving.database.embedded import TOOLS, EmbeddedServer
from serving.database.store import Store, open_store
from tests.helpers.other_user import NOBODY, opened_by_nobody, reached_by_nobody, require_root
from tests.helpers.project import ROOT
from tests.helpers.sockets import listening_sockets

OPEN_AND = "import os, signal, sys, time, pathlib; from serving.database.store import open_store\n"
KINDS_OF_PATH = ["with blank and 'quote' and $HOME/store", f"{'x' * 100}/{'y' * 100}/store"]


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter and read, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that is closed; its path is long and has blanks."""
    return tmp_path_factory.mktemp("embedded") / "with blank" / ("x" * 100) / "store"


def answer(store: Store) -> int:
    with store.begin() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM accounts").scalar_one())


def postmaster(store: Store) -> int:
    return int((store.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def processes(store: Store) -> set[int]:
    return EmbeddedServer(store.folder / "postgres")._processes()


def kill(*numbers: int) -> None:
    for number in numbers:
        with suppress(ProcessLookupError):  # a backend ends when it sees that the first process of the server is gone
            os.kill(number, signal.SIGKILL)


def run(code: str, folder: Path, **options: Any) -> "subprocess.Popen[str]":
    """A process that opens the store in `folder` and does `code` with it."""
    command = [sys.executable, "-c", OPEN_AND + code, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("path", KINDS_OF_PATH, ids=["blank", "long"])
def test_no_other_user_reaches_the_database(public: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require_root()
    monkeypatch.setattr(tempfile, "tempdir", str(public))
    folder = public / path
    with open_store(folder) as store:
        assert answer(store) == 0
        listening = {each.address for each in listening_sockets(map(psutil.Process, processes(store)))}
        assert listening == {"./.s.PGSQL.5432"}, "one socket, in the folder in which the server works"
        data = folder / "postgres"
        assert data.stat().st_mode & 0o777 == 0o700
        assert (data / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700
        assert reached_by_nobody(data / ".s.PGSQL.5432", Path(f"/proc/{postmaster(store)}/cwd/.s.PGSQL.5432")) == []
        assert opened_by_nobody(data, folder / "postgres.lock", folder / "postgres.users") == []
        data.chmod(0o755)  # a folder that somebody has opened is not enough
        assert reached_by_nobody(data / ".s.PGSQL.5432") == []
        data.chmod(0o700)
        assert "trust" not in (data / "pg_hba.conf").read_text()


def test_an_ordinary_user_is_let_in_by_name_and_no_other(public: Path) -> None:
    require_root()
    owner = pwd.getpwnam("games")
    folder = public / ("x" * 100) / "store"
    folder.mkdir(parents=True)
    for each in (folder.parent, folder):
        os.chown(each, owner.pw_uid, owner.pw_gid)
    code = (
        "open_store(pathlib.Path(sys.argv[1]).parents[1] / 'imports').close()\n"
        f"os.setgroups([]); os.setgid({owner.pw_gid}); os.setuid({owner.pw_uid})\n"
        "with open_store(pathlib.Path(sys.argv[1])) as store:\n"
        "    with store.begin() as c: print(c.exec_driver_sql('SHOW is_superuser').scalar_one(), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    opened = run(code, folder, stdin=subprocess.PIPE)
    assert opened.stdout is not None
    assert opened.stdout.readline() == "on\n"
    assert reached_by_nobody(folder / "postgres" / ".s.PGSQL.5432") == []
    assert opened_by_nobody(folder / "postgres.lock") == []
    with open_store(folder) as store:  # root looks in, and leaves the folder to its owner
        assert answer(store) == 0
    assert {file.stat().st_uid for file in (folder / "postgres").rglob("*")} == {owner.pw_uid}
    opened.communicate("", timeout=60)
    assert opened.returncode == 0


def test_a_lock_that_others_hold_delays_no_start(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_root()
    (public / ".lockfile").touch()
    os.chown(public / ".lockfile", NOBODY, NOBODY)
    hold = (
        f"import fcntl, os, sys; os.setuid({NOBODY}); file = open(sys.argv[1], 'r+')\n"
        "for lock in (fcntl.flock, fcntl.lockf): lock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(public / ".lockfile")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    code = "with open_store(pathlib.Path(sys.argv[1])) as store: print('opened')\n"
    opened = run(code, public / "store", env=os.environ | {"TMPDIR": str(public)})
    assert opened.communicate(timeout=60)[0] == "opened\n"
    holder.communicate("")


def test_folders_above_the_store_keep_their_modes(public: Path, caplog: pytest.LogCaptureFixture) -> None:
    require_root()
    private = public / "private"
    private.mkdir(mode=0o700)
    embedded._warned.clear()
    with open_store(private / "deeper" / "store") as store:
        assert answer(store) == 0
        assert "root is not advised" in caplog.text
        for folder, mode in ((public, 0o755), (private, 0o700)):
            assert folder.stat().st_mode & 0o777 == mode


def test_tools_that_the_user_of_the_server_cannot_reach_are_named(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_root()
    (public / "private").mkdir(mode=0o700)
    monkeypatch.setattr(embedded, "TOOLS", public / "private")
    shutil.copy(TOOLS / "initdb", public / "private")
    with pytest.raises(ArtifactError, match=r"must be able to enter .*private: install the software elsewhere"):
        open_store(public / "store")


def test_a_killed_server_starts_again_for_whoever_needs_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_store(folder) as store:
        for victims in (lambda: [postmaster(store)], lambda: sorted(processes(store))):
            before = postmaster(store)
            kill(*victims())
            assert embedded._comes_true(lambda: not processes(store), 60)
            assert answer(store) == 0
            assert postmaster(store) != before
    assert not EmbeddedServer(store.folder / "postgres").is_listening()


def test_jobs_find_a_server_that_was_started_again(folder: Path) -> None:
    async def wait_for_jobs(store: Store) -> int:
        async with jobs.open_jobs(store.engine.url).open_async() as app:
            assert await jobs.num_unfinished(app) == 0
            kill(postmaster(store))
            while True:
                try:
                    return await jobs.num_unfinished(app)
                except ConnectorException:
                    answer(store)  # as the transactions of the worker do

    with open_store(folder) as store:
        assert asyncio.run(asyncio.wait_for(wait_for_jobs(store), 60)) == 0


def test_a_process_number_that_another_process_got_is_not_the_server(folder: Path) -> None:
    with open_store(folder) as store:
        data = store.folder / "postgres"
        kill(*processes(store))
        owner = data.stat()
        is_root = os.geteuid() == 0
        user, group = (owner.st_uid, owner.st_gid) if is_root else (None, None)
        other = subprocess.Popen(["sleep", "1000"], user=user, group=group, extra_groups=[] if is_root else None)
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            lines = (data / name).read_text().splitlines()
            (data / name).write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
    with open_store(store.folder) as again:
        assert answer(again) == 0
        assert other.poll() is None, "the other process is none of ours"
        other.kill()
        other.wait()


def test_a_power_cut_after_which_processes_have_other_numbers(folder: Path) -> None:
    """Two process namespaces one after the other, as a container that is killed and starts again."""
    alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not make namespaces of processes")
    before = (
        "store = open_store(pathlib.Path(sys.argv[1]))\n"
        "with store.begin() as c: c.exec_driver_sql('CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS number')\n"
        "print((store.folder / 'postgres' / 'postmaster.pid').read_text().split()[0], flush=True); time.sleep(1000)\n"
    )
    first = subprocess.Popen(
        [*alone, sys.executable, "-c", OPEN_AND + before, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    number = int(first.stdout.readline())
    first.kill()
    first.wait()
    after = (
        "import subprocess, pwd\n"
        "owner = (pathlib.Path(sys.argv[1]) / 'postgres').stat().st_uid\n"
        "others = [subprocess.Popen(['sleep', '1000'], user=owner) for _ in range(int(sys.argv[2]) + 20)]\n"
        "assert int(sys.argv[2]) in [one.pid for one in others], 'the number is in use again'\n"
        "with open_store(pathlib.Path(sys.argv[1])) as store, store.begin() as c:\n"
        "    print(c.exec_driver_sql('SELECT number FROM kept').scalar_one())\n"
        "for one in others: one.kill()\n"
    )
    second = subprocess.run(
        [*alone, sys.executable, "-c", OPEN_AND + after, str(folder), str(number)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert second.stdout == "7\n", second.stderr
    with open_store(folder) as store, store.begin() as connection:
        connection.exec_driver_sql("DROP TABLE kept")


def test_a_process_of_a_killed_server_that_hangs_is_ended(folder: Path) -> None:
    with open_store(folder) as store, closing(store.engine.raw_connection()) as other:
        backend = other.execute("SELECT pg_backend_pid()").fetchone()[0]
        os.kill(backend, signal.SIGSTOP)
        kill(postmaster(store))
        assert answer(store) == 0
        assert backend not in processes(store)
        other.invalidate()


def test_processes_that_were_killed_do_not_keep_the_server(folder: Path) -> None:
    code = "store = open_store(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)\n"
    assert run(code, folder).wait(60) == -signal.SIGKILL
    server = EmbeddedServer(folder / "postgres")
    assert server.is_listening()
    with open_store(folder) as store, open_store(folder) as other:
        other.close()
        assert answer(store) == 0
    assert not server.is_listening()
    with pytest.raises(ArtifactError, match="its store was closed"):
        server.start_again()


def test_a_creation_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    half = tmp_path / "store" / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with open_store(tmp_path / "store") as store:
        assert answer(store) == 0
    assert not half.exists()


def test_a_database_that_is_gone_is_not_replaced_by_an_empty_one(folder: Path) -> None:
    with open_store(folder) as store:
        kill(*processes(store))
        data = store.folder / "postgres"
        data.rename(store.folder / "elsewhere")
        for _ in range(2):
            with pytest.raises(sa.exc.OperationalError, match="must hold the database, it is gone"):
                answer(store)
        (store.folder / "elsewhere").rename(data)
        store.engine.dispose()
        time.sleep(embedded._PAUSE_S)
        assert answer(store) == 0


def test_another_postgresql_that_was_away_is_used_again(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "server")
    server.open()
    address = server.url.set(drivername="postgresql").render_as_string()
    with open_store(tmp_path / "store", address) as store:
        server.close()
        with pytest.raises(sa.exc.OperationalError):
            answer(store)
        server.open()
        assert answer(store) == 0
        with store.begin() as connection:
            backends = connection.exec_driver_sql("SELECT pid FROM pg_stat_activity WHERE datname = 'postgres'").all()
        kill(*(row.pid for row in backends))  # for which the server ends all others, and begins anew
        assert embedded._comes_true(lambda: answers(store), 60)
    server.close()


def answers(store: Store) -> bool:
    try:
        return answer(store) == 0
    except sa.exc.OperationalError:
        return False
