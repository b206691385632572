"""Works on the jobs that `serving.ingest` makes: follows everybody in each segment and stores what was seen.

    python -m serving.worker [--until-empty] [serving.ingest.cameras_at_once=8 …]

`serving.ingest.cameras_at_once` segments at the same time, a thread each, which share the engines' batches. A segment
is stored as a whole or not at all, so a worker may be killed at any moment: it, or another one, begins its segments
anew. SIGTERM and SIGINT give segments in work back and end within seconds. Any number of workers may run. When the
database goes away, the worker ends with an error; start it again. Once a day one of them removes what is older than the
retention. Settings: sections `serving` and `tracking` of params.yaml in the current folder.
"""

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import procrastinate
import sqlalchemy as sa
from procrastinate.exceptions import ConnectorException, JobAborted
from procrastinate.jobs import Job

from domain.errors import ArtifactError, DongseonError, InputError
from domain.stage import run_stage
from export.engines.onnx_runtime import available_cores
from serving.database import jobs, retention, tables
from serving.database.retention import RetentionSettings
from serving.database.store import Store, open_store, version_of_model
from serving.deployment import Deployment, IngestSettings
from serving.ingestion.following import CameraVideo, StageClock, TrackingSettings, follow
from serving.perception.batching import GatheredPerception

_MAY_PASS = (sa.exc.InterfaceError, sa.exc.OperationalError, OSError)  # database gone, disk full, network share away
_MAX_PAUSE_S = 60  # between two tries of what may pass
_HOURLY = "17 * * * *"  # as cron has it
_log = logging.getLogger(__name__)


def main(argv: Sequence[str] = ()) -> None:
    """Load the engines, work until told to stop, or until nothing is left.

    Raises:
        InputError: if a setting is wrong, or the database does not answer or goes away.
        ArtifactError: if an engine is missing.
    """
    arguments = _arguments(argv)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    _log.setLevel(logging.INFO)
    deployment = Deployment.read(Path(), arguments.overrides)
    tracking = TrackingSettings.from_params("tracking", arguments.overrides)
    with open_store(deployment.store) as store:
        work = SegmentWork.load(store, deployment, tracking)
        asyncio.run(work_on_jobs(work, until_empty=arguments.until_empty))


@dataclass(frozen=True)
class SegmentWork:
    """What is done with a segment, and what it needs; safe to share between threads."""

    store: Store
    perception: GatheredPerception
    model_version: str
    tracking: TrackingSettings
    ingest: IngestSettings
    retention: RetentionSettings

    @classmethod
    def load(cls, store: Store, deployment: Deployment, tracking: TrackingSettings) -> "SegmentWork":
        """With the engines of `deployment`; raises `ArtifactError` if one is missing."""
        ingest = deployment.settings.ingest
        engines = deployment.open_engines(threads=max(1, available_cores() // ingest.batches_at_once))
        perception = GatheredPerception(
            *engines, tracking.perception, max_wait_s=ingest.gather_s, batches_at_once=ingest.batches_at_once
        )
        version = version_of_model(engines.reid.card)
        return cls(store, perception, version, tracking, ingest, deployment.settings.retention)

    def follow_segment(self, context: procrastinate.JobContext, segment_id: int) -> None:
        """The job: store all that the segment shows, or why that cannot be. One that is done stays as it is.

        Raises:
            JobAborted: if the worker is told to end; the segment is begun anew by the next one.
            OSError, sqlalchemy.exc.OperationalError: that may pass, so that the job is tried again.
        """
        try:
            if jobs.num_deaths(context.job) >= self.ingest.max_attempts:
                raise ArtifactError(
                    f"a segment must be done before {self.ingest.max_attempts} workers died on it; look whether "
                    "something is wrong with the file, and take it in again"
                )
            self._follow(context, segment_id)
        except JobAborted:
            raise
        except _MAY_PASS as error:
            if self.store.postpone_segment(segment_id, str(error)).total_seconds() < self.ingest.patience_s:
                _log.warning("segment %s is tried again: %s", segment_id, error)
                raise
            self._fail(segment_id, error)
        except DongseonError as error:
            self._fail(segment_id, error)
        except Exception as error:
            self._fail(segment_id, error)
            raise

    def remove_what_is_old(self, timestamp: int) -> None:
        """The other job, once an hour: remove what is older than the retention, if that was not done for a day."""
        if retention.is_due(self.store):
            try:
                _log.info("%s", retention.remove_old(self.store, self.retention))
            except ArtifactError as error:
                _log.error("%s", error)

    def _follow(self, context: procrastinate.JobContext, segment_id: int) -> None:
        table = tables.segments
        with self.store.begin() as connection:
            segment = connection.execute(sa.select(table).where(table.c.id == segment_id)).one_or_none()
        if segment is None or segment.state == "done":  # its district was replaced, or a worker died after storing it
            return
        video = CameraVideo(segment.camera_id, Path(segment.source), segment.start)

        def end_if_told(num_frames: int) -> None:
            if context.should_abort():
                raise JobAborted

        with self.perception.user():
            [followed] = follow([video], self.perception, self.tracking, on_frames=end_if_told, clock=StageClock())
        self.store.add_segment(
            segment_id,
            followed.tracklets,
            self.model_version,
            frames=followed.num_frames,
            end=segment.start + timedelta(seconds=followed.num_frames / followed.fps),
            damage=followed.damage,
        )
        _log.info(
            "%s: %s frames, %s tracklets%s",
            segment.source,
            followed.num_frames,
            len(followed.tracklets),
            f"; {followed.damage}" if followed.damage else "",
        )

    def _fail(self, segment_id: int, error: Exception) -> None:
        _log.error("segment %s failed: %s", segment_id, error)
        self.store.fail_segment(segment_id, str(error) or type(error).__name__)


class _TryAgain(procrastinate.BaseRetryStrategy):
    """Jobs that were given back at once; those whose trouble may pass after 1, 2, 4, … seconds, at most a minute."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> procrastinate.RetryDecision | None:
        if isinstance(exception, JobAborted):
            return procrastinate.RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, _MAY_PASS):
            pause_s = min(_MAX_PAUSE_S, 2 ** min(job.attempts, 10))
            return procrastinate.RetryDecision(retry_in={"seconds": pause_s})
        return None


async def work_on_jobs(work: SegmentWork, *, until_empty: bool) -> None:
    """Work on jobs until SIGTERM or SIGINT, or with `until_empty` until none is left, be it another worker's.

    Raises:
        InputError: if the database goes away.
    """
    loop = asyncio.get_running_loop()
    threads = work.ingest.cameras_at_once
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="segment"))
    told_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    with work.store.begin() as connection:
        app = jobs.open_jobs(connection.engine.url)
    app.task(name=jobs.FOLLOW_SEGMENT, pass_context=True, retry=_TryAgain())(work.follow_segment)
    removing = app.task(name=jobs.REMOVE_OLD, lock=jobs.REMOVE_OLD, queueing_lock=jobs.REMOVE_OLD)
    app.periodic(cron=_HOURLY)(removing(work.remove_what_is_old))
    try:
        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    concurrency=threads,
                    fetch_job_polling_interval=work.ingest.heartbeat_s,
                    update_heartbeat_interval=work.ingest.heartbeat_s,
                    stalled_worker_timeout=work.ingest.dead_after_s,
                    shutdown_graceful_timeout=0,  # segments in work are given back at once
                    install_signal_handlers=False,
                    delete_jobs="successful",  # the segment tells what came of it
                )
            )
            _log.info("looking for segments; %s at the same time", threads)
            watch = asyncio.create_task(_watch(app, work.ingest, until_empty))
            told = asyncio.create_task(told_to_end.wait())
            done, _ = await asyncio.wait((worker, watch, told), return_when=asyncio.FIRST_COMPLETED)
            for task in (watch, told, worker):
                task.cancel()
            results = await asyncio.gather(worker, watch, told, return_exceptions=True)
    except ConnectorException as error:
        raise _gone(error) from error
    errors = [error for error in results if isinstance(error, Exception)]
    if errors or worker in done:
        raise _gone(errors[0] if errors else "it lost the connection") from (errors[0] if errors else None)


async def _watch(app: procrastinate.App, ingest: IngestSettings, until_empty: bool) -> None:
    """Take over the jobs of dead workers again and again; with `until_empty` return when no job is left."""
    while True:
        taken = await jobs.take_over(app, ingest.dead_after_s)
        if taken:
            _log.warning("took over %s segments from workers that died", taken)
        if until_empty and not await jobs.num_unfinished(app):
            return
        await asyncio.sleep(ingest.heartbeat_s)


def _gone(reason: object) -> InputError:
    return InputError(f"the database must stay reachable while a worker runs; start it again ({reason})")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.worker", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--until-empty", action="store_true", help="end when no job is left")
    parser.add_argument("overrides", nargs="*", help="settings, such as tracking.frame_stride=2")
    return parser.parse_args(list(argv))


if __name__ == "__main__":
    run_stage(main)
