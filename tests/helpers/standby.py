"""A PostgreSQL and a standby that follows it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from serving.database.embedded import TOOLS

_USER = "nobody"  # a user whom every Linux has; PostgreSQL does not run as root


@dataclass(frozen=True)
class Server:
    """A PostgreSQL with its data in `folder`, which listens on a socket in the folder above."""

    folder: Path

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder.parent}"

    def ask(self, query: str) -> str:
        """The one value that `query` gives."""
        engine = sa.create_engine(sa.make_url(self.url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
        with engine.connect() as connection:
            return str(connection.exec_driver_sql(query).scalar_one())

    def start(self) -> None:
        options = f"-h '' -k {self.folder.parent} -c fsync=off"
        _run("pg_ctl", "start", "-w", "-D", self.folder, "-l", self.folder / "log", "-o", options)

    def stop(self) -> None:
        _run("pg_ctl", "stop", "-m", "immediate", "-D", self.folder)


@contextmanager
def primary_and_standby() -> Iterator[tuple[Server, Server]]:
    """Both run until the block ends. Their folder is outside of pytest's, which other users cannot enter."""
    folder = Path(tempfile.mkdtemp(prefix="standby-"))
    primary, standby = Server(folder / "primary" / "data"), Server(folder / "standby" / "data")
    for made in (folder, primary.folder.parent, standby.folder.parent):
        made.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(made, _USER)
    try:
        _run("initdb", "-D", primary.folder, "-U", "postgres", "-A", "trust", "--no-sync")
        primary.start()
        try:
            copy = ("-D", standby.folder, "-R", "-X", "stream", "-c", "fast", "--no-sync")
            _run("pg_basebackup", "-h", primary.folder.parent, "-U", "postgres", *copy)
            standby.start()
            try:
                yield primary, standby
            finally:
                if (standby.folder / "postmaster.pid").exists():  # the test may have stopped it
                    standby.stop()
        finally:
            primary.stop()
    finally:
        shutil.rmtree(folder)


def _run(tool: str, *arguments: str | Path) -> None:
    user = pwd.getpwnam(_USER) if os.geteuid() == 0 else None
    as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()} if user is not None else {}
    subprocess.run([TOOLS / tool, *arguments], cwd="/", stdout=subprocess.DEVNULL, check=True, **as_user)  # type: ignore[call-overload]
