"""Metrics of the service for Prometheus, on BentoML's /metrics.

BentoML runs `prometheus_client` over files that all its processes share, so values are written where they change;
figures of the database are read when /metrics is requested (`DatabaseFigures`). Durations of searches are in
`serving.search.metrics`.
"""

import os
from collections.abc import Callable
from tempfile import TemporaryDirectory

import anyio.to_thread
import sqlalchemy as sa
from bentoml._internal.configuration.containers import BentoMLContainer
from prometheus_client import Counter, Gauge
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.errors import DongseonError
from serving.database import tables
from serving.database.store import Store

_STATES = ("waiting", "done", "failed")

REQUESTS = Counter("dongseon_requests", "Requests that were answered", ["method", "route", "status"])
IN_WORK = Gauge("dongseon_requests_in_work", "Requests that are being answered", multiprocess_mode="livesum")
REFUSED = Counter("dongseon_requests_refused", "Requests refused by a limit", ["reason"])
SEGMENTS = Gauge("dongseon_segments", "Segments of video by state", ["state"], multiprocess_mode="mostrecent")
QUEUE_AGE = Gauge(
    "dongseon_queue_age_seconds", "How long the oldest segment has waited; 0 if none", multiprocess_mode="mostrecent"
)
FRAMES = Gauge("dongseon_frames", "Frames of the segments that are done", multiprocess_mode="mostrecent")
OPEN_GAPS = Gauge("dongseon_open_gaps", "Cameras whose stream is away now", multiprocess_mode="mostrecent")


def own_metrics_folder() -> TemporaryDirectory[str] | None:
    """A folder for the metrics of this service's processes; None in a process that inherits it by the environment.

    Without it, all services of a user write to one folder below BentoML's home, which each empties at its start.
    The supervising process owns the folder and removes it when it ends.
    """
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return None
    folder = TemporaryDirectory(prefix="dongseon-metrics-")
    BentoMLContainer.prometheus_multiproc_dir.set(folder.name)
    return folder


class DatabaseFigures:
    """Middleware that reads the database's figures before /metrics is answered; `store` opens the store."""

    def __init__(self, app: ASGIApp, store: Callable[[], Store]) -> None:
        self._app = app
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope["path"] == "/metrics":
            await anyio.to_thread.run_sync(self._renew)
        await self._app(scope, receive, send)

    def _renew(self) -> None:
        try:
            with self._store().begin() as connection:
                read_database_figures(connection)
        except (DongseonError, sa.exc.OperationalError):
            return  # /readyz reports the database; the other figures are still answered


def read_database_figures(connection: sa.Connection) -> None:
    """Set the gauges to what the database holds now."""
    table, gaps = tables.segments, tables.gaps
    waited_s = sa.extract("epoch", sa.func.now() - sa.func.min(table.c.created))
    columns = table.c.state, sa.func.count(), waited_s, sa.func.coalesce(sa.func.sum(table.c.frames), 0)
    figures = {state: row for state, *row in connection.execute(sa.select(*columns).group_by(table.c.state))}
    for state in _STATES:
        SEGMENTS.labels(state).set(figures[state][0] if state in figures else 0)
    QUEUE_AGE.set(figures["waiting"][1] if "waiting" in figures else 0)
    FRAMES.set(figures["done"][2] if "done" in figures else 0)
    away = sa.select(sa.func.count()).select_from(gaps).where(gaps.c.until.is_(None))
    OPEN_GAPS.set(connection.execute(away).scalar_one())
