"""What Prometheus can ask of the service, on BentoML's /metrics.

BentoML runs `prometheus_client` over files that all its processes share, so values are written where they change; what
stands in the database is read when somebody asks (`DatabaseFigures`). How long searches take is measured by
`serving.search`, see `serving.search.metrics`.
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
REFUSED = Counter("dongseon_requests_refused", "Requests that were turned away unseen", ["reason"])
SEGMENTS = Gauge("dongseon_segments", "Segments of video by state", ["state"], multiprocess_mode="mostrecent")
QUEUE_AGE = Gauge(
    "dongseon_queue_age_seconds", "How long the oldest segment has waited; 0 if none", multiprocess_mode="mostrecent"
)
FRAMES = Gauge("dongseon_frames", "Frames of the segments that are done", multiprocess_mode="mostrecent")
OPEN_GAPS = Gauge("dongseon_open_gaps", "Cameras whose stream is away now", multiprocess_mode="mostrecent")


def own_metrics_folder() -> TemporaryDirectory[str] | None:
    """A folder in which the processes of this service count, and no others; None in those that were told theirs.

    Without it all services of a user count in one folder below BentoML's home, which each of them empties at its start.
    It goes when the supervising process, which has it, ends.
    """
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return None
    folder = TemporaryDirectory(prefix="dongseon-metrics-")
    BentoMLContainer.prometheus_multiproc_dir.set(folder.name)
    return folder


class DatabaseFigures:
    """Middleware that renews the figures of the database before /metrics is answered."""

    def __init__(self, app: ASGIApp, store: Callable[[], Store]) -> None:
        """Look into the store that `store` opens, or that it cannot open."""
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
            return  # /readyz says so; the other figures are still worth an answer


def read_database_figures(connection: sa.Connection) -> None:
    """Set the gauges to what the database holds now."""
    table, gaps = tables.segments, tables.gaps
    waited_s = sa.extract("epoch", sa.func.now() - sa.func.min(table.c.created))
    columns = table.c.state, sa.func.count(), waited_s, sa.func.coalesce(sa.func.sum(table.c.frames), 0)
    found = {state: figures for state, *figures in connection.execute(sa.select(*columns).group_by(table.c.state))}
    for state in _STATES:
        SEGMENTS.labels(state).set(found[state][0] if state in found else 0)
    QUEUE_AGE.set(found["waiting"][1] if "waiting" in found else 0)
    FRAMES.set(found["done"][2] if "done" in found else 0)
    away = sa.select(sa.func.count()).select_from(gaps).where(gaps.c.until.is_(None))
    OPEN_GAPS.set(connection.execute(away).scalar_one())
