"""Leases of live cameras: a camera is followed by one process only, for two would store each person twice.

A lease is a lock that PostgreSQL keeps for a connection, so it ends with the process, however the process ends. The
connection's name tells other processes who holds the camera.
"""

import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import sqlalchemy as sa
from psycopg.errors import LockNotAvailable

from domain.errors import InputError

_CAMERAS = 2028  # any number but those of serving.database.locks
_EVERY_S = 5.0
_DEAD_AFTER_S = 20  # a machine that lost its power closes no connection
_PATIENCE_S = 3  # for a process that is just ending
_LONGEST_NAME = 63  # bytes that PostgreSQL keeps
_HOLDER = sa.text(
    """
    SELECT application_name, client_addr, backend_start FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = :cameras AND objid = hashtext(:camera)::bigint & 4294967295
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


class CameraLeases:
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
        self._engine, self._on_lost = engine, on_lost
        self._district, self._camera_ids = district, sorted(camera_ids)
        self._connection: sa.Connection | None = None
        self._closing = threading.Event()
        self.lost: InputError | None = None
        self._renew()
        # A daemon: a database that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._keep, name="camera leases", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the leases."""
        self._closing.set()
        self._thread.join(_PATIENCE_S)

    def _keep(self) -> None:
        while not self._closing.wait(_EVERY_S):
            try:
                self._renew()
            except sa.exc.SQLAlchemyError:  # the database is away: no other process can get a lease now
                self._disconnect()
            except InputError as error:
                self.lost = error
                self._on_lost()
                return
        self._disconnect()

    def _renew(self) -> None:
        """Shows that the connection lives, or gets all leases with a new connection."""
        if self._connection is not None:
            self._connection.execute(sa.text("SELECT 1"))
            return
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            name = f"serving.streams, process {os.getpid()} on {socket.gethostname()}"[:_LONGEST_NAME]
            connection.execute(sa.text("SELECT set_config('application_name', :name, false)"), {"name": name})
            connection.execute(sa.text(f"SET idle_session_timeout = '{_DEAD_AFTER_S}s'"))
            connection.execute(sa.text(f"SET lock_timeout = '{_PATIENCE_S}s'"))
            for camera_id in self._camera_ids:
                self._acquire(connection, camera_id)
        except BaseException:
            _close(connection)
            raise
        self._connection = connection

    def _acquire(self, connection: sa.Connection, camera_id: str) -> None:
        camera = {"cameras": _CAMERAS, "camera": f"{self._district}/{camera_id}"}
        try:
            connection.execute(sa.text("SELECT pg_advisory_lock(:cameras, hashtext(:camera))"), camera)
        except sa.exc.OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            raise InputError(
                f"a live camera must be followed by one process only, {camera_id} is followed by "
                f"{_holder(connection, camera)}; end that process, or take the camera out of the file"
            ) from error

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _close(connection)


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
