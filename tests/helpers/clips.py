"""What a clip shows, and a recording behind a sighting that is stored."""

from datetime import timedelta
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import sqlalchemy as sa

from domain.images import encode_jpeg
from serving.database import tables
from serving.database.crops import frame_path
from serving.database.store import Store
from tests.helpers.sightings import NOON
from tests.helpers.walkers import RED, picture, write_video

_MARK = (255, 196, 0)


def pictures_of(mp4: bytes) -> list[np.ndarray]:
    """Its pictures: `uint8 [height, width, 3]` RGB."""
    with av.open(BytesIO(mp4)) as container:
        return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]


def times_of(mp4: bytes) -> list[float]:
    """Time of each of its pictures in seconds."""
    with av.open(BytesIO(mp4)) as container:
        return [picture.time for picture in container.decode(video=0)]


def box_of(image: np.ndarray, colour: tuple[int, int, int], tolerance: int = 90) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what has this colour; None if there is little of it."""
    rows, columns = np.nonzero(np.abs(image.astype(int) - colour).max(axis=2) < tolerance)
    if len(rows) < 20:
        return None
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def mark_of(image: np.ndarray) -> tuple[int, int, int, int] | None:
    """The frame round the person; None without one."""
    return box_of(image, _MARK, tolerance=70)


def add_footage(store: Store, file: Path) -> None:
    """A recording and a full frame of the stored tracklet 1 of `demo`."""
    write_video(file, [RED], seconds=8)
    seen, segment = tables.tracklets, tables.segments
    is_first = (seen.c.district == "demo") & (seen.c.id == 1)
    with store.begin() as connection:
        row = connection.execute(sa.update(seen).where(is_first).values(full_frame=1).returning(seen)).one()
        recorded = {"source": str(file), "start": NOON - timedelta(seconds=1)}
        connection.execute(sa.update(segment).where(segment.c.id == row.segment_id).values(recorded))
    store.crops.write_files({frame_path(row.crop): encode_jpeg(picture([RED], 1))})
