"""Damaged files of the database: a damaged index is rebuilt once; other damage needs a backup from the operator.

PostgreSQL checks the sum of each page that it reads, so damage shows when a page is read. From then on the store is
not ready, and says what is damaged.
"""

import logging
import re
import threading

import psycopg
import sqlalchemy as sa

_REBUILDS = 2029  # any number but those of serving.database.locks and camera_leases
_DAMAGED = ("XX001", "XX002")  # data, index; a file that is missing is 58P01
_OF_PGVECTOR = ("XX000", "22000")  # it has no state of its own for a broken graph
_BROKEN_GRAPH = re.compile(r"hnsw|different \w+ dimensions")
_FILE = re.compile(r"base/\d+/(\d+)")
_NAME = re.compile(r'index "([^"]+)"')
_RELATION_OF_FILE = sa.text("SELECT pg_filenode_relation(0, :file)::regclass::text")
_IS_INDEX = sa.text("SELECT relkind = 'i' FROM pg_class WHERE oid = to_regclass(:name)")
_GRAPHS = sa.text(  # of each day, with the length of their embeddings, and the condition of those
    "SELECT indexrelid::regclass::text AS name, indrelid::regclass::text AS partition, "
    "substring(pg_get_indexdef(indexrelid) FROM 'halfvec\\((\\d+)\\)')::int AS feature, "
    "pg_get_expr(indpred, indrelid) AS condition "
    "FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam "
    "WHERE amname = 'hnsw' AND relkind = 'i'"
)
_log = logging.getLogger(__name__)


class DamagedError(psycopg.OperationalError):
    """A part of the database is damaged; the message says which, and what is done about it."""


class Damage:
    """Watches the errors of `engine` for damage, and rebuilds what can be rebuilt. Safe to share between threads.

    An error of damage becomes an `sqlalchemy.exc.OperationalError` of a `DamagedError`, so that callers try
    again later.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._message = ""  # of the error that is looked into
        self._is_final = False
        self._repair: threading.Thread | None = None
        self._rebuilt: set[str] = set()
        sa.event.listen(engine, "handle_error", self._look_at, retval=True)

    @property
    def reason(self) -> str | None:
        """Why searches by photo are impossible; None if no index is known to be damaged."""
        if self._reason is not None and not self._is_final:
            self._begin_repair(self._message)  # if the last one ended early, such as by a disk that was full
        return self._reason

    def _look_at(self, context: sa.engine.ExceptionContext) -> BaseException | None:
        error = context.original_exception
        if not isinstance(error, psycopg.Error) or not _is_damage(error):
            return None
        if threading.current_thread() is not self._repair:
            self._begin_repair(str(error))
        damaged = DamagedError(self._reason or f"a part of the database is damaged: {error}")
        return sa.exc.OperationalError(context.statement, None, damaged)

    def _begin_repair(self, message: str) -> None:
        with self._lock:
            if self._repair is None or not self._repair.is_alive():
                self._message = message
                self._repair = threading.Thread(target=self._try_repair, daemon=True)
                self._repair.start()

    def _try_repair(self) -> None:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for name in self._damaged(connection):
                    if connection.execute(_IS_INDEX, {"name": name}).scalar():
                        self._reason = f"the index {name} must be whole, it is damaged and is being built anew"
                connection.execute(sa.select(sa.func.pg_advisory_lock(_REBUILDS)))  # other processes see it too
                try:
                    self._rebuild(connection)
                finally:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(_REBUILDS)))
        except sa.exc.SQLAlchemyError as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            _log.error("the database is damaged (%s) and could not be repaired: %s", self._message, cause)

    def _rebuild(self, connection: sa.Connection) -> None:
        for name in self._damaged(connection):
            if not connection.execute(_IS_INDEX, {"name": name}).scalar():
                _log.error(
                    "%s must be whole, it is damaged (%s); look for a failing disk, and restore the last backup",
                    name,
                    self._message,
                )
                continue
            self._is_final = name in self._rebuilt
            if self._is_final:
                self._reason = (
                    f"the index {name} must stay whole, it is damaged again; look for a failing disk, and start the "
                    "service again"
                )
                _log.error("%s", self._reason)
                return
            _log.error("%s: %s", self._reason, self._message)
            connection.exec_driver_sql(f"REINDEX INDEX {name}")  # as regclass writes it, quoted where it must be
            self._rebuilt.add(name)
            _log.warning("the index %s was damaged and has been built anew", name)
        self._reason = None

    def _damaged(self, connection: sa.Connection) -> list[str]:
        """Names of the relations that the message is about."""
        if match := _FILE.search(self._message):
            name = connection.execute(_RELATION_OF_FILE, {"file": int(match[1])}).scalar()
            return [name] if name is not None else []  # None if another process has just rebuilt it
        if match := _NAME.search(self._message):
            return [match[1]]
        return _broken_graphs(connection)


def _is_damage(error: psycopg.Error) -> bool:
    text = str(error)
    if error.sqlstate == "58P01":
        return _FILE.search(text) is not None
    return error.sqlstate in _DAMAGED or (error.sqlstate in _OF_PGVECTOR and _BROKEN_GRAPH.search(text) is not None)


def _broken_graphs(connection: sa.Connection) -> list[str]:
    """Names of the indexes of embeddings in which a search fails."""
    broken = []
    for name, partition, feature, condition in connection.execute(_GRAPHS).all():
        query = (
            f"SELECT 1 FROM {partition} WHERE {condition} "
            f"ORDER BY embedding::halfvec({feature}) <=> '[1{',0' * (feature - 1)}]' LIMIT 1"
        )
        try:
            connection.exec_driver_sql("SET enable_seqscan = off")
            connection.exec_driver_sql(query).all()
        except sa.exc.DBAPIError:
            broken.append(name)
    connection.exec_driver_sql("RESET enable_seqscan")
    return broken
