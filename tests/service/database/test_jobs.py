import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from procrastinate.jobs import Status
from procrastinate.schema import SchemaManager

from domain.errors import InputError
from serving.database import jobs
from serving.database.store import Store, open_store

OLDEST = "03.00.00_50_post_cancel_notification.sql"  # of procrastinate 3.0, before workers had heartbeats


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(tmp_path_factory.mktemp("jobs") / "store") as store:
        yield store


def described(connection: sa.Connection) -> list[tuple[str, ...]]:
    """Tables with their columns, functions and triggers in the schema of the jobs."""
    queries = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'jobs'",
        "SELECT proname, pg_get_function_arguments(pg_proc.oid), prosrc FROM pg_proc "
        "WHERE pronamespace = 'jobs'::regnamespace",
        "SELECT event_object_table, trigger_name, action_statement FROM information_schema.triggers "
        "WHERE trigger_schema = 'jobs'",
        "SELECT indexname, '', '' FROM pg_indexes WHERE schemaname = 'jobs'",
    )
    rows = [tuple(map(str, row)) for query in queries for row in connection.execute(sa.text(query))]
    return sorted((*row[:2], " ".join(row[2].split())) for row in rows)


def test_tables_of_an_older_procrastinate_become_those_of_today(store: Store) -> None:
    with store.begin() as connection:
        today = described(connection)
        connection.execute(sa.text("DROP SCHEMA jobs CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA jobs"))
        connection.execute(sa.text("CREATE TABLE jobs.revisions (name text PRIMARY KEY)"))
    with store.begin() as connection:
        connection.execute(sa.text("SET LOCAL search_path TO jobs"))
        for file in sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql")):
            if file.name <= OLDEST:
                connection.execution_options(no_parameters=True).exec_driver_sql(file.read_text())
                connection.execute(sa.text("INSERT INTO revisions VALUES (:name)"), {"name": file.name})
    with store.begin() as connection:
        assert described(connection) != today
        jobs.upgrade(connection)
        assert described(connection) == today
        jobs.upgrade(connection)
        assert described(connection) == today


def test_tables_of_a_newer_procrastinate_are_refused(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(sa.text("INSERT INTO jobs.revisions VALUES ('99.00.00_01_pre_new.sql')"))
        with pytest.raises(
            InputError, match=r"older, they have 99\.00\.00_01_pre_new\.sql, which a newer version made"
        ):
            jobs.upgrade(connection)
        connection.rollback()


def test_workers_who_take_over_at_once_do_not_disturb_each_other(store: Store) -> None:
    with store.begin() as connection:
        url = connection.engine.url
        for segment_id in range(20):
            jobs.defer_segment(connection, segment_id)
    with store.begin() as connection:
        connection.execute(sa.text("SET LOCAL search_path TO jobs"))
        connection.execute(sa.text("UPDATE procrastinate_jobs SET status = 'doing'"))  # of a worker that is no more

    async def take_over() -> list[int]:
        async with jobs.open_jobs(url).open_async() as one, jobs.open_jobs(url).open_async() as other:
            taken = await asyncio.gather(jobs.take_over(one, 5), jobs.take_over(other, 5))
            assert await jobs.num_unfinished(one) == 20
            return list(taken)

    assert sum(asyncio.run(take_over())) == 20
    with store.begin() as connection:
        states = connection.execute(sa.text("SELECT DISTINCT status::text FROM jobs.procrastinate_jobs")).scalars()
        assert list(states) == ["todo"]
        connection.execute(sa.text("TRUNCATE jobs.procrastinate_jobs CASCADE"))


def test_of_jobs_that_a_dead_worker_had_each_runs_without_the_others_and_after_the_rest(store: Store) -> None:
    with store.begin() as connection:
        url = connection.engine.url
        for segment_id in range(4):
            jobs.defer_segment(connection, segment_id)
    with store.begin() as connection:
        connection.execute(sa.text("SET LOCAL search_path TO jobs"))  # two have seen another worker die
        connection.execute(sa.text("UPDATE procrastinate_jobs SET status = 'doing' WHERE args->>'segment_id' < '3'"))
        connection.execute(sa.text("UPDATE procrastinate_jobs SET priority = -1 WHERE args->>'segment_id' = '0'"))

    async def fetched() -> list[object]:
        async with jobs.open_jobs(url).open_async() as app:
            assert await jobs.take_over(app, 5) == 3
            worker = await app.job_manager.register_worker()
            found: list[object] = []
            for _ in range(3):
                job = await app.job_manager.fetch_job(queues=None, worker_id=worker)
                found.append((job.task_kwargs["segment_id"], jobs.num_deaths(job)) if job else None)
                if job and len(found) == 2:  # the first suspect is done
                    await app.job_manager.finish_job(job, Status.SUCCEEDED, delete_job=True)
            alone = await app.job_manager.fetch_job(queues=None, worker_id=worker)
            return [*found, alone]

    assert asyncio.run(fetched()) == [(3, 0), (1, 1), (2, 1), None]
    with store.begin() as connection:
        jobs.defer_segment(connection, 0)
        left = "SELECT count(*) FROM jobs.procrastinate_jobs WHERE args->>'segment_id' = '0'"
        assert connection.execute(sa.text(left)).scalar_one() == 1  # it is known under its name still
        connection.execute(sa.text("TRUNCATE jobs.procrastinate_jobs CASCADE"))


def test_a_job_is_made_once_and_only_with_its_segment(store: Store) -> None:
    def count() -> int:
        with store.begin() as connection:
            return connection.execute(sa.text("SELECT count(*) FROM jobs.procrastinate_jobs")).scalar_one()

    with store.begin() as connection:
        jobs.defer_segment(connection, 7)
        connection.rollback()
    assert count() == 0
    with store.begin() as connection:
        jobs.defer_segment(connection, 7)
        jobs.defer_segment(connection, 7)
    with store.begin() as connection:
        jobs.defer_segment(connection, 7)
        assert connection.execute(sa.text("SHOW search_path")).scalar_one() == '"$user", public'
    assert count() == 1
