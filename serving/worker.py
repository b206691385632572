"""Processes the segments that `serving.ingest` registers: tracks the people in each and stores their sightings.

    python -m serving.worker [--until-empty] [serving.ingest.cameras_at_once=8 …]

It processes `serving.ingest.cameras_at_once` segments at the same time, one thread each, in shared batches of the
engines. A segment is stored as a whole or not at all, so a worker may be killed at any moment; the next worker starts
its segments from the beginning. On SIGTERM or SIGINT it gives its segments back and ends within seconds. Any number of
workers may run. When the database goes away, the worker waits for it; with `--until-empty` it ends with an error if the
database stays away for `serving.ingest.patience_s`. Once a day one worker removes sightings older than the retention.
Settings: sections `serving` and `tracking` of params.yaml in the current folder.
"""

import argparse
import asyncio
import logging
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import procrastinate
import sqlalchemy as sa
from procrastinate.exceptions import ConnectorException

from domain.errors import InputError
from serving.database import jobs
from serving.database.commands import run_command
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.ingestion.following import TrackingSettings
from serving.ingestion.segment_work import RetryTransient, SegmentWork
from serving.ingestion.settings import IngestSettings
from serving.logs import write_json_logs

_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.5, 10.0  # between two attempts to reach a database that went away
_HOURLY = "17 * * * *"  # cron syntax
_log = logging.getLogger(__name__)


def main(argv: Sequence[str] = ()) -> None:
    """Load the engines and process segments until a signal, or until none is left.

    Raises:
        InputError: if a setting is invalid, or the database does not answer or goes away.
        ArtifactError: if an engine is missing.
    """
    arguments = _arguments(argv)
    deployment = Deployment.read(Path(), arguments.overrides)
    tracking = TrackingSettings.from_params("tracking", arguments.overrides)
    with open_store(deployment.store) as store:
        deployment.record_in(store)
        settings = deployment.settings
        work = SegmentWork.load(
            store,
            deployment.open_engines,
            tracking,
            settings.ingest,
            settings.retention,
            deployment.version(),
            partial(deployment.open_previous_for, store),
        )
        patience_s = settings.ingest.patience_s if arguments.until_empty else math.inf
        with _watching_database(store, settings.ingest.heartbeat_s):
            while True:
                try:
                    asyncio.run(work_on_jobs(work, until_empty=arguments.until_empty))
                    return
                except DatabaseAwayError as error:
                    _log.warning("%s", error)
                    _wait_for_database(store, patience_s)


class DatabaseAwayError(InputError):
    """The database went away while the worker ran."""


@contextmanager
def _watching_database(store: Store, every_s: float) -> Iterator[None]:
    """Begins a transaction every `every_s` seconds, for which the embedded database is started again if it was killed.

    Procrastinate has connections of its own, which only wait for it.
    """
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(every_s):
            with suppress(sa.exc.SQLAlchemyError), store.begin():
                pass

    watching = threading.Thread(target=watch, daemon=True)  # daemon: a database that hangs keeps no process
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join(every_s)


def _wait_for_database(store: Store, patience_s: float) -> None:
    """Return once a transaction succeeds, for which the embedded database is started again."""
    began, pause_s = time.monotonic(), _FIRST_PAUSE_S
    while True:
        try:
            with store.begin():
                return
        except sa.exc.OperationalError as error:
            if time.monotonic() - began > patience_s:
                raise InputError(
                    f"the database must come back within {patience_s:.0f} s, it is away: {error.orig}"
                ) from error
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _MAX_PAUSE_S)


async def work_on_jobs(work: SegmentWork, *, until_empty: bool) -> None:
    """Run jobs until SIGTERM or SIGINT; with `until_empty`, until neither this worker nor another has one left.

    Raises:
        DatabaseAwayError: if the database goes away.
    """
    loop = asyncio.get_running_loop()
    threads = work.ingest.cameras_at_once
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="segment"))
    stop_requested = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_requested.set)
    app = jobs.open_jobs(work.store.engine.url)
    app.task(name=jobs.FOLLOW_SEGMENT, pass_context=True, retry=RetryTransient())(work.follow_segment)
    removing = app.task(name=jobs.REMOVE_OLD, lock=jobs.REMOVE_OLD, queueing_lock=jobs.REMOVE_OLD)
    app.periodic(cron=_HOURLY)(removing(work.remove_old))
    try:
        async with app.open_async():
            await jobs.give_back(app, work.worker_ids)  # of this process, before the database went away
            worker = asyncio.create_task(
                app.run_worker_async(
                    concurrency=threads,
                    fetch_job_polling_interval=work.ingest.heartbeat_s,
                    update_heartbeat_interval=work.ingest.heartbeat_s,
                    stalled_worker_timeout=work.ingest.dead_after_s,
                    shutdown_graceful_timeout=0,  # gives segments in work back immediately
                    install_signal_handlers=False,
                    delete_jobs="successful",  # the segment has the result
                )
            )
            _log.info("waiting for segments; processing %s at the same time", threads)
            watch = asyncio.create_task(_watch(app, work.ingest, until_empty))
            stopping = asyncio.create_task(stop_requested.wait())
            done, _ = await asyncio.wait((worker, watch, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in (watch, stopping, worker):
                task.cancel()
            results = await asyncio.gather(worker, watch, stopping, return_exceptions=True)
    except ConnectorException as error:
        raise _gone(error) from error
    errors = [error for error in results if isinstance(error, Exception)]
    if errors or worker in done:
        raise _gone(errors[0] if errors else "the connection was lost") from (errors[0] if errors else None)


async def _watch(app: procrastinate.App, ingest: IngestSettings, until_empty: bool) -> None:
    """Take over the jobs of dead workers periodically; with `until_empty`, return once no job is left."""
    while True:
        taken = await jobs.take_over(app, ingest.dead_after_s)
        if taken:
            _log.warning("took over %s segments from workers that died", taken)
        if until_empty and not await jobs.num_unfinished(app):
            return
        await asyncio.sleep(ingest.heartbeat_s)


def _gone(reason: object) -> DatabaseAwayError:
    return DatabaseAwayError(f"the database went away, the worker waits for it ({reason})")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.worker", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--until-empty", action="store_true", help="end once no job is left")
    parser.add_argument("overrides", nargs="*", help="settings, such as tracking.frame_stride=2")
    return parser.parse_args(list(argv))


if __name__ == "__main__":
    write_json_logs()
    run_command(main)
