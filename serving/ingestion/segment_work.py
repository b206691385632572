"""The job of a segment: follow everybody in its video and store the tracklets."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import procrastinate
import sqlalchemy as sa
from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job

from domain.errors import ArtifactError, DongseonError
from export.engines.onnx_runtime import available_cores
from serving.database import jobs, retention, segments, tables
from serving.database.retention import RetentionSettings
from serving.database.store import Store, version_of_model
from serving.ingestion.following import CameraVideo, StageClock, TrackingSettings, follow
from serving.ingestion.settings import IngestSettings
from serving.perception.batching import SharedPerception
from serving.perception.perception import Engines

_log = logging.getLogger(__name__)
_TRANSIENT_ERRORS = (
    sa.exc.InterfaceError,
    sa.exc.OperationalError,
    OSError,
)  # database gone, disk full, network share away
_MAX_PAUSE_S = 60  # between two tries of what may pass


@dataclass(frozen=True)
class SegmentWork:
    """What is done with a segment, and what it needs; safe to share between threads."""

    store: Store
    perception: SharedPerception
    model_version: str
    tracking: TrackingSettings
    ingest: IngestSettings
    retention: RetentionSettings

    @classmethod
    def load(
        cls,
        store: Store,
        open_engines: Callable[[int], Engines],
        tracking: TrackingSettings,
        ingest: IngestSettings,
        retention: RetentionSettings,
    ) -> "SegmentWork":
        """The work over engines that `open_engines` opens, each on so many threads.

        Raises:
            ArtifactError: if an engine is missing.
        """
        engines = open_engines(max(1, available_cores() // ingest.batches_at_once))
        perception = SharedPerception(
            *engines, tracking.perception, max_wait_s=ingest.batch_wait_s, batches_at_once=ingest.batches_at_once
        )
        return cls(store, perception, version_of_model(engines.reid.card), tracking, ingest, retention)

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
        except _TRANSIENT_ERRORS as error:
            with self.store.begin() as connection:
                postponed = segments.postpone(connection, segment_id, str(error))
            if postponed.total_seconds() < self.ingest.patience_s:
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
        with self.store.begin() as connection:
            segments.fail(connection, segment_id, str(error) or type(error).__name__)


class RetryTransient(procrastinate.BaseRetryStrategy):
    """Retry at once a job that its worker gave back, after 1, 2, 4, … up to 60 s one with a transient error."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> procrastinate.RetryDecision | None:
        """When the job runs again; None if it has failed for good."""
        if isinstance(exception, JobAborted):
            return procrastinate.RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, _TRANSIENT_ERRORS):
            pause_s = min(_MAX_PAUSE_S, 2 ** min(job.attempts, 10))
            return procrastinate.RetryDecision(retry_in={"seconds": pause_s})
        return None
