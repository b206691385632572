"""Small videos of coloured people for the tiny engines, in a district's folder, and what a store holds of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
import yaml

from serving.database import tables
from serving.database.crops import crop_paths, frame_path
from serving.database.store import Store
from serving.video.files import video_writer
from tests.helpers.deployments import BLUE, GREEN, RED

FPS = 10
START = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)
DARK = (0, 0, 0)
_DARK_S = 3.5  # long enough for a tracklet to end


def write_recording(file: Path, people: Sequence[tuple[int, int, int]] = (RED, GREEN), *, seed: int = 0) -> Path:
    """People of these colours, one after the other, each seen for a second."""
    rng = np.random.default_rng(seed)
    with video_writer(file, FPS) as write:
        for colour in people:
            for shown, seconds in ((colour, 1.0), (DARK, _DARK_S)):
                for _ in range(round(FPS * seconds)):
                    noise = rng.integers(0, 20, (48, 64, 3)) * (shown != DARK)
                    write(np.clip(np.array(shown) + noise, 0, 255).astype(np.uint8))
    return file


def write_district(folder: Path, num_cameras: int = 3, *, name: str = "demo") -> Path:
    """district.yaml and a video of each camera c1, c2, …, all beginning at `START`."""
    cameras = []
    for number in range(1, num_cameras + 1):
        people = [(RED, GREEN, BLUE)[(number + turn) % 3] for turn in range(1 + number % 2)]
        write_recording(folder / "videos" / f"c{number}.mp4", people, seed=number)
        cameras.append(
            {
                "id": f"c{number}",
                "name": f"Gate {number}",
                "latitude": 35.85 + number / 1000,
                "longitude": 128.6,
                "fps": FPS,
                "width_px": 64,
                "height_px": 48,
                "start": (START + timedelta(minutes=number)).isoformat(),
            }
        )
    described = {
        "name": name,
        "time_zone": "Asia/Seoul",
        "attribute_schema": "bags",
        "source": "tests",
        "licence": "CC0",
    }
    (folder / "district.yaml").write_text(yaml.safe_dump({**described, "cameras": cameras}))
    return folder


def segment_states(store: Store) -> dict[str, str]:
    """State of each segment by its source's file name."""
    with store.begin() as connection:
        rows = connection.execute(sa.select(tables.segments.c.source, tables.segments.c.state))
        return {Path(source).name: state for source, state in rows}


def contents(store: Store) -> list[Any]:
    """Segments with their tracklets and crops, all but ids and times of writing, in an order of their own."""
    with store.begin() as connection:
        segments = connection.execute(sa.select(tables.segments)).mappings().all()
        tracklets = connection.execute(sa.select(tables.tracklets)).mappings().all()
        seen_by = {
            table.name: connection.execute(sa.select(table)).mappings().all()
            for table in (tables.tracklet_embeddings, tables.tracklet_attributes)
        }
    without_id = {"id", "created", "ended"}

    def learnt(tracklet_id: int) -> list[str]:
        """What models say of a tracklet."""
        others = {"tracklet_id", "segment_id"}
        return sorted(
            f"{name}: { {key: str(value) for key, value in row.items() if key not in others} }"
            for name, rows in seen_by.items()
            for row in rows
            if row["tracklet_id"] == tracklet_id
        )

    held = [
        (
            sorted((key, str(value)) for key, value in segment.items() if key not in without_id),
            sorted(
                (
                    sorted((key, str(value)) for key, value in one.items() if key not in {"id", "segment_id", "crop"}),
                    learnt(one["id"]),
                    store.crops.read(one["crop"]),
                )
                for one in tracklets
                if one["segment_id"] == segment["id"]
            ),
        )
        for segment in segments
    ]
    crops = {path for one in tracklets for path in crop_paths(one["crop"], one["num_crops"])}
    frames = {frame_path(one["crop"]) for one in tracklets if one["full_frame"] is not None}
    assert crops | frames == store.crops.of_district("demo"), "every file has its row and every row its files"
    return sorted(held)
