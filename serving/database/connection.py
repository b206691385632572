"""The PostgreSQL of the store: an embedded server in a folder, or the server at an address."""

import logging
import os
import re
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from domain.errors import ArtifactError, InputError
from serving.database import jobs, schema
from serving.database.embedded import EmbeddedServer
from serving.database.replica import Replica

_FORM = "postgresql://user:password@host/database with %40, %2F, %3F and %25 for @, /, ? and % (it is not shown)"
_SCHEMA_LOCK = 2022  # any number: processes that create or change the tables at the same moment wait for each other
_PGVECTOR = (0, 8, 4)  # the first one in which VACUUM and inserts leave HNSW whole
_WATCH = {  # libpq's: a machine that lost its power closes no connection, which is found out after 20 s
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
_log = logging.getLogger(__name__)


def connect(folder: Path, url: str | None = None) -> tuple[sa.Engine, EmbeddedServer | None]:
    """Connects to the database and upgrades its tables; returns the engine, and the embedded server if there is one.

    The engine restarts a dead embedded server when a connection is needed.

    Args:
        folder: for the embedded server's files; its parent must exist. All processes with the same folder share one
            server, which stops when the last of them ends.
        url: of another PostgreSQL with pgvector; the environment's `DATABASE_URL` when None.

    Raises:
        InputError: if the address is malformed, no database answers there, or a newer version made the tables.
        ArtifactError: if the embedded server does not start.
    """
    address = url or os.environ.get("DATABASE_URL")
    if address:
        return _upgraded(_engine(_with_driver(address))), None
    server = EmbeddedServer(folder)
    server.open()
    try:
        engine = _engine(server.url)
        sa.event.listen(engine, "do_connect", _starting_again(server))
        _use_memory(_upgraded(engine))
    except BaseException:
        server.close()
        raise
    return engine, server


def connect_replica(primary: sa.Engine, embedded: EmbeddedServer | None) -> Replica | None:
    """The read replica at the environment's `DATABASE_REPLICA_URL`; None if it names none. Connects only when needed.

    Raises:
        InputError: if the address is malformed, or the database is an embedded one.
    """
    address = os.environ.get("DATABASE_REPLICA_URL")
    if not address:
        return None
    if embedded is not None:
        raise InputError(
            "DATABASE_REPLICA_URL must stand beside DATABASE_URL, which is not set; an embedded PostgreSQL has none"
        )
    return Replica(_engine(_with_driver(address, "DATABASE_REPLICA_URL")), primary)


def old_pgvector(engine: sa.Engine) -> str | None:
    """A warning if the server's pgvector has known faults; None if it has none."""
    query = "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
    with engine.begin() as connection:
        found = str(connection.exec_driver_sql(query).scalar_one())
    if tuple(int(number) for number in re.findall(r"\d+", found)) >= _PGVECTOR:
        return None
    least = ".".join(str(number) for number in _PGVECTOR)
    return (
        f"the database's pgvector must be {least} or newer, it is {found}, whose VACUUM can corrupt HNSW indexes; "
        "update it"
    )


def _engine(where: sa.URL) -> sa.Engine:
    connect_args = {"options": "-c timezone=UTC"}
    engine = sa.create_engine(where, pool_pre_ping=True, connect_args=connect_args, hide_parameters=True)
    sa.event.listen(engine, "handle_error", _leave_out_values)
    return engine


def _upgraded(engine: sa.Engine) -> sa.Engine:
    try:
        with engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS vector"))
            schema.upgrade(connection)
            jobs.upgrade(connection)
        if warning := old_pgvector(engine):
            _log.warning("%s", warning)
    except sa.exc.DBAPIError as error:  # no answer, no such database, or no right to create tables
        shown = engine.url.render_as_string(hide_password=True)
        raise InputError(
            f"a PostgreSQL with pgvector must answer at {shown}; check DATABASE_URL: {error.orig}"
        ) from error
    return engine


def _starting_again(server: EmbeddedServer) -> Any:
    """Listener of SQLAlchemy's event `do_connect`: connects, after it has started a server that is dead."""

    def connect_or_start(dialect: sa.Dialect, _: object, arguments: list[Any], options: dict[str, Any]) -> Any:
        try:
            return dialect.connect(*arguments, **options)
        except psycopg.OperationalError:
            if server.is_listening():
                raise  # it is starting, stopping or full
        try:
            server.start_again()
        except ArtifactError as error:  # callers treat it as a database that is away
            _log.error("%s", error)
            raise psycopg.OperationalError(str(error)) from error
        return dialect.connect(*arguments, **options)

    return connect_or_start


def _leave_out_values(context: sa.engine.ExceptionContext) -> None:
    """Take from an error what it quotes of rows, which hold names and reasons: errors are logged."""
    error, reported = context.original_exception, context.sqlalchemy_exception
    if isinstance(error, psycopg.Error) and error.diag.message_primary is not None:
        whole = str(error)
        error.args = (error.diag.message_primary,)
        if reported is not None:
            reported.args = tuple(str(text).replace(whole, error.diag.message_primary) for text in reported.args)


def _with_driver(address: str, name: str = "DATABASE_URL") -> sa.URL:
    try:
        where = sa.make_url(address).set(drivername="postgresql+psycopg")
    except sa.exc.ArgumentError as error:
        raise InputError(f"{name} must look like {_FORM}") from error
    if "@" in f"{where.host}{where.database}":
        raise InputError(f"{name} must look like {_FORM}, got an @ behind the one before the host")
    return where.update_query_dict({name: value for name, value in _WATCH.items() if name not in where.query})


def _use_memory(engine: sa.Engine) -> None:
    """Sets the embedded server's cache to a quarter of the machine's memory, from its next start on.

    The memory is taken only as it is used. With PostgreSQL's default of 128 MB a search among a million tracklets takes
    three times as long.
    """
    quarter_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 // 2**20
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.exec_driver_sql("SHOW shared_buffers").scalar_one() == "128MB":
            connection.exec_driver_sql(f"ALTER SYSTEM SET shared_buffers = '{quarter_mb}MB'")
