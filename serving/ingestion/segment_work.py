"""The job of a segment: track the people in its video and store the tracklets."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import procrastinate
import sqlalchemy as sa
from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job

from domain.cores import available_cores
from domain.errors import ArtifactError, DongseonError, InputError
from serving.database import jobs, retention, segments, tables
from serving.database.backlog import times_too_many
from serving.database.overlaps import looked_at_by_others
from serving.database.retention import RetentionSettings
from serving.database.store import Store
from serving.ingestion.following import CameraVideo, StageClock, TrackingSettings, follow
from serving.ingestion.settings import IngestSettings
from serving.perception.batching import SharedPerception
from serving.perception.perception import Engine, Engines
from serving.video.recordings import require_plausible

_log = logging.getLogger(__name__)
# The database or a network share is unreachable, or a disk is full.
_TRANSIENT_ERRORS = (sa.exc.InterfaceError, sa.exc.OperationalError, OSError)
_MAX_PAUSE_S = 60  # between two attempts after transient errors


@dataclass(frozen=True)
class SegmentWork:
    """The jobs of a worker and what they need; safe to share between threads."""

    store: Store
    perception: SharedPerception
    model_version: str
    tracking: TrackingSettings
    ingest: IngestSettings
    retention: RetentionSettings
    deployment_version: str | None = None
    worker_ids: set[int] = field(default_factory=set)  # numbers of this process among procrastinate's workers

    @classmethod
    def load(
        cls,
        store: Store,
        open_engines: Callable[[int], Engines],
        tracking: TrackingSettings,
        ingest: IngestSettings,
        retention: RetentionSettings,
        deployment_version: str | None = None,
        open_previous: Callable[[int], Engine | None] = lambda _: None,
    ) -> "SegmentWork":
        """Open the engines by `open_engines`, which takes the number of threads of each engine.

        `open_previous` opens the re-ID engine that was in use before, by which sightings get embeddings too.

        Raises:
            ArtifactError: if an engine is missing.
        """
        threads = max(1, available_cores() // ingest.batches_at_once)
        engines = open_engines(threads)
        perception = SharedPerception(
            *engines,
            tracking.perception,
            open_previous(threads),
            max_wait_s=ingest.batch_wait_s,
            batches_at_once=ingest.batches_at_once,
        )
        return cls(store, perception, engines.reid.card.version, tracking, ingest, retention, deployment_version)

    def follow_segment(self, context: procrastinate.JobContext, segment_id: int) -> None:
        """Job: store the tracklets of a segment, or the error why it fails. A segment that is done stays unchanged.

        Raises:
            JobAborted: if the worker must end; the next worker starts the segment again.
            OSError, sqlalchemy.exc.OperationalError: after a transient error, so that the job is retried.
        """
        if context.job.worker_id is not None:
            self.worker_ids.add(context.job.worker_id)
        try:
            if jobs.num_deaths(context.job) >= self.ingest.max_attempts:
                raise ArtifactError(
                    f"a segment must be done before {self.ingest.max_attempts} workers died on it; check the file, and "
                    "register it again"
                )
            self._follow(context, segment_id)
        except JobAborted:
            raise
        except _TRANSIENT_ERRORS as error:
            with self.store.begin() as connection:
                postponed = segments.postpone(connection, segment_id, str(error))
            if postponed.total_seconds() < self.ingest.patience_s:
                _log.warning("segment %s will be retried: %s", segment_id, error)
                raise
            self._fail(segment_id, error)
        except DongseonError as error:
            self._fail(segment_id, error)
        except Exception as error:
            self._fail(segment_id, error)
            raise

    def remove_old(self, timestamp: int) -> None:
        """Hourly job: remove sightings and cases older than the retention, if the last removal was a day ago."""
        if retention.is_due(self.store):
            try:
                removal = retention.remove_old(self.store, self.retention)
            except (ArtifactError, InputError) as error:  # InputError: the clock or the number is doubtful
                _log.error("%s", error)
                return
            _log.info("%s and %s cases", removal, removal.cases)
            if removal.strange:
                _log.warning("left alone among the crops, which no district put there: %s", ", ".join(removal.strange))

    def _follow(self, context: procrastinate.JobContext, segment_id: int) -> None:
        table = tables.segments
        with self.store.begin() as connection:
            segment = connection.execute(sa.select(table).where(table.c.id == segment_id)).one_or_none()
            if segment is None or segment.state == "done":  # it was replaced, or a worker died after storing it
                return
            elsewhere = looked_at_by_others(connection, segment)
            shed = times_too_many(connection, segment_id, self.ingest.keep_up_s) if self.ingest.keep_up_s else 1
        video = CameraVideo(segment.camera_id, Path(segment.source), segment.start, segment.checksum, elsewhere, shed)

        def abort_if_requested(num_frames: int) -> None:
            if context.should_abort():
                raise JobAborted

        with self.perception.user():
            [followed] = follow(
                [video], self.perception, self.tracking, on_frames=abort_if_requested, clock=StageClock()
            )
        last_seen = max((tracklet.last_seen for tracklet in followed.tracklets), default=segment.start)
        require_plausible(last_seen, f"the time of each frame of {segment.source}")
        self.store.add_segment(
            segment_id,
            followed.tracklets,
            self.model_version,
            frames=followed.num_frames,
            end=segment.start + timedelta(seconds=followed.end_s),
            damage=followed.damage,
            looks=followed.looks,
            left_out=followed.left_out,
            deployment_version=self.deployment_version,
            attributes_version=self.perception.attributes_version,
            previous_version=self.perception.previous_version,
        )
        _log.info(
            "%s: %s frames, %s tracklets%s%s",
            segment.source,
            followed.num_frames,
            len(followed.tracklets),
            f"; {followed.geometry}" if followed.geometry else "",
            f"; {followed.damage}" if followed.damage else "",
        )

    def _fail(self, segment_id: int, error: Exception) -> None:
        _log.error("segment %s failed: %s", segment_id, error)
        with self.store.begin() as connection:
            segments.fail(connection, segment_id, str(error) or type(error).__name__)


class RetryTransient(procrastinate.BaseRetryStrategy):
    """Retries a job at once if its worker gave it back, and after 1, 2, 4, … up to 60 s if it had a transient error."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> procrastinate.RetryDecision | None:
        """When the job is retried; None if it has failed."""
        if isinstance(exception, JobAborted):
            return procrastinate.RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, _TRANSIENT_ERRORS):
            pause_s = min(_MAX_PAUSE_S, 2 ** min(job.attempts, 10))
            return procrastinate.RetryDecision(retry_in={"seconds": pause_s})
        return None
