"""Small sightings for the tests of store, search and service."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
import sqlalchemy as sa

from domain.cameras import Camera
from domain.tracklets import Tracklet
from serving.database import queries, tables
from serving.database.store import Store
from serving.database.tracklet_rows import EmbeddedTracklet
from serving.matching.walking import WalkingSettings

P = ParamSpec("P")
T = TypeVar("T")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
CAMERAS = [
    Camera(
        id=f"cam{i}", name=f"Gate {i}", latitude=35.85 + i / 1000, longitude=128.6, fps=10, width_px=64, height_px=48
    )
    for i in range(3)
]
WALKING = WalkingSettings(
    max_walking_speed_m_s=2,
    walking_speed_m_s=1.1,
    walking_speed_spread=0.35,
    view_m=5,
    clock_tolerance_s=3,
    wandering_share=0.5,
    horizon_s=900,
)


def unit_vectors(seed: int, number: int, feature: int) -> np.ndarray:
    """`float32 [number, feature]` of unit length."""
    vectors = np.random.default_rng(seed).normal(size=(number, feature)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def tracklet(
    number: int,
    embedding: np.ndarray,
    *,
    camera: int = 0,
    after_s: float = 0,
    attributes: dict[str, dict[str, float]] | None = None,
) -> Tracklet:
    """Tracklet `number`, seen for five seconds in `CAMERAS[camera]` from `after_s` after noon."""
    first_seen = NOON + timedelta(seconds=after_s)
    return Tracklet(
        id=number,
        camera_id=CAMERAS[camera].id,
        first_frame=1,
        last_frame=2,
        first_seen=first_seen,
        last_seen=first_seen + timedelta(seconds=5),
        frames=np.array([1, 2]),
        boxes_xyxy=np.array([[1, 2, 30, 40], [2, 2, 31, 40]], np.float32),
        scores=np.array([0.9, 0.8], np.float32),
        embedding=embedding,
        attributes=attributes or {},
        quality=0.7,
        crops=[np.full((16, 8, 3), number % 256, np.uint8)],
    )


def put_into_case(
    store: Store, district: str, tracklets: Sequence[int], *, legal_hold: bool, closed: datetime | None = None
) -> None:
    """Open a case with these sightings."""
    cases, seen = tables.cases, tables.tracklets
    with store.begin() as connection:
        insert = sa.insert(cases).values(title="Red coat", legal_hold=legal_hold, closed=closed).returning(cases.c.id)
        number = connection.execute(insert).scalar_one()
        wanted = sa.select(sa.literal(number), seen.c.district, seen.c.id, seen.c.day).where(
            seen.c.district == district, seen.c.id.in_(tracklets)
        )
        columns = ["case_id", "district", "tracklet_id", "day"]
        connection.execute(sa.insert(tables.case_sightings).from_select(columns, wanted))


def embedded_as_made(connection: sa.Connection, *keys: tuple[str, int]) -> list[EmbeddedTracklet]:
    """The sightings, by time, with the embedding by the model that made each."""
    stored = queries.tracklets(connection, keys)
    return [each for one in stored for each in queries.embedded(connection, [one], one.model_version)]


def in_transaction(
    store: Store, operation: Callable[Concatenate[sa.Connection, P], T], *arguments: P.args, **named: P.kwargs
) -> T:
    """The result of `operation` in a transaction of its own."""
    with store.begin() as connection:
        return operation(connection, *arguments, **named)
