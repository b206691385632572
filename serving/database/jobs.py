"""Jobs in the store's database, kept by procrastinate: segments of video to process, and the removal of old sightings.

Its tables lie in the PostgreSQL schema `jobs`, apart from ours. A segment and its job are written in one transaction,
so a segment never lacks its job.

When a worker dies, the job that killed it is unknown, so all jobs that it was running become suspects. Suspects run
last, ordered by how few worker deaths they were involved in, one at a time. A job's priority is minus the number of
workers that died while running it.
"""

from contextlib import suppress
from pathlib import Path

import procrastinate
import sqlalchemy as sa
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.schema import SchemaManager
from psycopg.conninfo import make_conninfo
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from domain.errors import InputError

SCHEMA = "jobs"
FOLLOW_SEGMENT = "follow_segment"  # kind of job; its argument is `segment_id`
REMOVE_OLD = "remove_old"  # kind of job
_SUSPECTS = "suspects"  # lock that all suspects share
_UNFINISHED = ("todo", "doing")
_PATIENCE_S = 10.0  # for a connection; then the database counts as unreachable


def upgrade(connection: sa.Connection) -> None:
    """Upgrades procrastinate's tables to its installed version in the transaction of `connection`.

    Procrastinate has an SQL file for each change. `jobs.revisions` names the files that were run here; an empty
    database gets the whole schema at once and counts all files as run.

    Raises:
        InputError: if a newer version of procrastinate made the tables.
    """
    files = {file.name: file for file in sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))}
    connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    connection.execute(sa.text(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.revisions (name text PRIMARY KEY)"))
    done = set(connection.execute(sa.text(f"SELECT name FROM {SCHEMA}.revisions")).scalars())
    if strange := sorted(done - set(files)):
        raise InputError(
            f"the tables of the jobs must be those of procrastinate {procrastinate.__version__} or older, they have "
            f"{strange[-1]}, which a newer version made; update the software, or restore a dump that this version made"
        )
    missing = [name for name in files if name not in done]
    if not missing:
        return
    _in_schema(connection)
    script = connection.execution_options(no_parameters=True)  # several statements, with literal percent signs
    for text in [files[name].read_text(encoding="utf-8") for name in missing] if done else [SchemaManager.get_schema()]:
        script.exec_driver_sql(text)
    connection.execute(sa.text("INSERT INTO revisions SELECT unnest(CAST(:names AS text[]))"), {"names": missing})
    _out_of_schema(connection)


def open_jobs(database: sa.URL) -> procrastinate.App:
    """The jobs in the database at this address; procrastinate's app must be opened before use."""
    _, parameters = PGDialect_psycopg().create_connect_args(database)  # an address of SQLAlchemy may write blanks as +
    conninfo = make_conninfo(**parameters)
    options = {"options": f"-c search_path={SCHEMA} -c timezone=UTC"}
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, kwargs=options, timeout=_PATIENCE_S)
    return procrastinate.App(connector=connector)


def defer_segment(connection: sa.Connection, segment_id: int) -> None:
    """Adds the job of a segment in the transaction of `connection`, unless the segment has an unfinished job."""
    lock = f"segment {segment_id}"
    jobs = sa.table("procrastinate_jobs", sa.column("queueing_lock"), sa.column("status"), schema=SCHEMA)
    unfinished = sa.cast(jobs.c.status, sa.Text).in_(_UNFINISHED)
    if connection.execute(sa.select(jobs.c.status).where(jobs.c.queueing_lock == lock, unfinished)).first():
        return
    _in_schema(connection)
    app = procrastinate.App(connector=procrastinate.PsycopgConnector())
    task = app.configure_task(
        FOLLOW_SEGMENT, lock=lock, queueing_lock=lock, connection=connection.connection.driver_connection
    )
    task.defer(segment_id=segment_id)
    _out_of_schema(connection)


def num_deaths(job: Job) -> int:
    """Number of workers that died while running the job."""
    return -job.priority


async def num_unfinished(app: procrastinate.App) -> int:
    """Number of jobs that wait or are run by any worker."""
    return sum([len(list(await app.job_manager.list_jobs_async(status=status))) for status in _UNFINISHED])


async def take_over(app: procrastinate.App, dead_after_s: float) -> int:
    """Requeues as suspects the jobs of workers without a heartbeat for `dead_after_s`; returns the number of jobs."""
    taken = 0
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=dead_after_s):
        with suppress(ConnectorException):  # another worker was faster; an unreachable database shows at the next try
            await app.job_manager.retry_job(job, priority=job.priority - 1, lock=_SUSPECTS)
            taken += 1
    return taken


async def give_back(app: procrastinate.App, worker_ids: set[int]) -> None:
    """Requeues the jobs that these workers still seem to run; it is no death of a worker."""
    for worker_id in worker_ids:
        for job in await app.job_manager.list_jobs_async(status="doing", worker_id=worker_id):
            await app.job_manager.retry_job(job)
    worker_ids.clear()


def _in_schema(connection: sa.Connection) -> None:
    """Sets the search path, for procrastinate names its tables without a schema."""
    connection.execute(sa.text(f"SET LOCAL search_path TO {SCHEMA}, public"))


def _out_of_schema(connection: sa.Connection) -> None:
    connection.execute(sa.text("SET LOCAL search_path TO DEFAULT"))
