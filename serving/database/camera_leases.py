"""Leases of live cameras: a camera is followed by one process only, for two would store each person twice.

A lease is a lock that PostgreSQL keeps for a connection, so it ends with the process, however the process ends. The
connection's name tells other processes who holds the camera. Processes that share their cameras have leases, too, and a
lock that all of them hold, by which they count each other.
"""

import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import sqlalchemy as sa
from psycopg.errors import LockNotAvailable

from domain.errors import InputError

_CAMERAS, _PROCESSES = 2028, 2029  # any numbers but those of serving.database.locks
_EVERY_S = 2.0
_DEAD_AFTER_S = 7  # a machine that lost its power closes no connection
_PATIENCE_S = 3  # for a process that is just ending
_LONGEST_NAME = 63  # bytes that PostgreSQL keeps
_HOLDER = sa.text(
    """
    SELECT application_name, client_addr, backend_start FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = :cameras AND objid = hashtext(:camera)::bigint & 4294967295
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)
_TRY_LOCK = sa.text("SELECT pg_try_advisory_lock(:cameras, hashtext(:camera))")
_UNLOCK = sa.text("SELECT pg_advisory_unlock(:cameras, hashtext(:camera))")
_JOIN = sa.text("SELECT pg_advisory_lock_shared(:processes, hashtext(:district))")
_COUNT = sa.text(
    """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = :processes
    AND objid = hashtext(:district)::bigint & 4294967295
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


class _Kept:
    """A connection that a thread keeps alive by `_renew`, and opens again when the database was away."""

    def __init__(self, engine: sa.Engine, district: str, camera_ids: Sequence[str]) -> None:
        self._engine, self._district, self._camera_ids = engine, district, sorted(camera_ids)
        self._connection: sa.Connection | None = None
        self._closing = threading.Event()
        # A daemon: a database that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._keep, name="camera leases", daemon=True)

    def close(self) -> None:
        """Leave the cameras to other processes."""
        self._closing.set()
        self._thread.join(_PATIENCE_S)

    def _begin(self) -> None:
        self._renew()
        self._thread.start()

    def _keep(self) -> None:
        while not self._closing.wait(_EVERY_S):
            try:
                self._renew_later()
            except sa.exc.SQLAlchemyError:  # the database is away: no other process can get a lease now
                self._disconnect()
        self._disconnect()

    def _renew(self) -> None:
        raise NotImplementedError

    def _renew_later(self) -> None:
        self._renew()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _close(connection)


class CameraLeases(_Kept):
    """Leases of the live cameras of this process, held until `close`. Safe to share between threads.

    Args:
        engine: of the database.
        district: district of the cameras.
        camera_ids: ids of the cameras.
        on_lost: called once, from a thread of its own, if another process took a camera while the database was away.

    Raises:
        InputError: if another process holds a lease of one of the cameras; the message names camera and process.
    """

    def __init__(
        self, engine: sa.Engine, district: str, camera_ids: Sequence[str], on_lost: Callable[[], object]
    ) -> None:
        super().__init__(engine, district, camera_ids)
        self._on_lost = on_lost
        self.lost: InputError | None = None
        self._begin()

    def _renew_later(self) -> None:
        try:
            self._renew()
        except InputError as error:
            self.lost = error
            self._on_lost()
            self._closing.set()

    def _renew(self) -> None:
        """Shows that the connection lives, or gets all leases with a new connection."""
        if self._connection is not None:
            self._connection.execute(sa.text("SELECT 1"))
            return
        connection = _connect(self._engine)
        try:
            for camera_id in self._camera_ids:
                self._acquire(connection, camera_id)
        except BaseException:
            _close(connection)
            raise
        self._connection = connection

    def _acquire(self, connection: sa.Connection, camera_id: str) -> None:
        camera = _lock_of(self._district, camera_id)
        try:
            connection.execute(sa.text("SELECT pg_advisory_lock(:cameras, hashtext(:camera))"), camera)
        except sa.exc.OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            raise InputError(
                f"a live camera must be followed by one process only, {camera_id} is followed by "
                f"{_holder(connection, camera)}; end that process, or take the camera out of the file"
            ) from error


class SharedCameras(_Kept):
    """Cameras that several processes share: each follows its part, and the part of a process that ended.

    A process follows the number of cameras divided by that of the processes that live, rounded up. When another process
    begins, it gives up the cameras that it has beyond that, once it has stored what it saw. While the database is away,
    the cameras stay with their processes. Safe to share between threads.

    Args:
        engine: of the database.
        district: district of the cameras.
        camera_ids: ids of all cameras, the same in each process.
    """

    def __init__(self, engine: sa.Engine, district: str, camera_ids: Sequence[str]) -> None:
        super().__init__(engine, district, camera_ids)
        self._held: set[str] = set()
        self._given_up: set[str] = set()
        self._following: frozenset[str] = frozenset()
        self._begin()

    @property
    def following(self) -> frozenset[str]:
        """Cameras that this process follows now."""
        return self._following

    def give_up(self, camera_id: str) -> None:
        """Leave a camera that is no longer in `following` to other processes."""
        self._given_up.add(camera_id)

    def _renew(self) -> None:
        if self._connection is None:
            self._connection = _connect(self._engine)
            self._connection.execute(_JOIN, {"processes": _PROCESSES, "district": self._district})
            self._held = {camera_id for camera_id in self._held if self._acquire(camera_id)}
        while self._given_up:
            camera_id = self._given_up.pop()
            self._connection.execute(_UNLOCK, _lock_of(self._district, camera_id))
            self._held.discard(camera_id)
        num_processes = self._connection.execute(
            _COUNT, {"processes": _PROCESSES, "district": self._district}
        ).scalar_one()
        part = -(-len(self._camera_ids) // num_processes)
        for camera_id in self._camera_ids:
            if len(self._held) < part and camera_id not in self._held and self._acquire(camera_id):
                self._held.add(camera_id)
        self._following = frozenset(sorted(self._held)[:part])

    def _acquire(self, camera_id: str) -> bool:
        assert self._connection is not None
        return bool(self._connection.execute(_TRY_LOCK, _lock_of(self._district, camera_id)).scalar_one())


def _connect(engine: sa.Engine) -> sa.Connection:
    """A connection that ends when this process does not use it for some seconds, named after the process."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        name = f"serving.streams, process {os.getpid()} on {socket.gethostname()}"[:_LONGEST_NAME]
        connection.execute(sa.text("SELECT set_config('application_name', :name, false)"), {"name": name})
        connection.execute(sa.text(f"SET idle_session_timeout = '{_DEAD_AFTER_S}s'"))
        connection.execute(sa.text(f"SET lock_timeout = '{_PATIENCE_S}s'"))
    except BaseException:
        _close(connection)
        raise
    return connection


def _lock_of(district: str, camera_id: str) -> dict[str, object]:
    return {"cameras": _CAMERAS, "camera": f"{district}/{camera_id}"}


def _holder(connection: sa.Connection, camera: dict[str, object]) -> str:
    holder = connection.execute(_HOLDER, camera).first()
    if holder is None:
        return "a process that has just ended"
    return f"{holder[0]} (address {holder[1] or 'of this machine'}, since {holder[2]:%Y-%m-%d %H:%M:%S} UTC)"


def _close(connection: sa.Connection) -> None:
    """Closes the connection instead of returning it to the pool, which ends its leases."""
    with suppress(sa.exc.SQLAlchemyError):
        connection.invalidate()
        connection.close()
