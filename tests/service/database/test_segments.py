import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from domain.tracklets import Tracklet
from serving.database import queries, segments, tables
from serving.database.locks import hold_removers
from serving.database.orphans import Orphans, delete_orphans
from serving.database.partitions import existing_partitions
from serving.database.segments import ProcessedVideo, RegisteredSegment
from serving.database.store import Store, open_store
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, tracklet, unit_vectors

EMBEDDINGS = unit_vectors(seed=0, number=40, feature=16)
LATER = NOON + timedelta(minutes=5)


@pytest.fixture
def store(shared_store: Store) -> Store:
    """Cameras that saw nobody yet."""
    shared_store.replace_sightings("demo", CAMERAS, "net-1", [])
    return shared_store


def register(store: Store, checksum: str = "ab" * 32, camera: int = 0) -> RegisteredSegment:
    return in_transaction(store, segments.register, "demo", CAMERAS[camera].id, f"{checksum[:2]}.mp4", checksum, NOON)


def segment_rows(store: Store) -> list[dict[str, Any]]:
    with store.begin() as connection:
        return [dict(row) for row in connection.execute(sa.select(tables.segments).order_by("id")).mappings()]


def ids(store: Store) -> list[int]:
    with store.begin() as connection:
        return list(connection.execute(sa.select(tables.tracklets.c.id).order_by("id")).scalars())


def test_a_segment_is_registered_once_and_done_when_its_rows_are_stored(store: Store) -> None:
    segment = register(store)
    assert (segment.district, segment.camera_id, segment.state) == ("demo", "cam0", "waiting")
    assert register(store) == segment
    assert register(store, camera=1).id != segment.id
    seen = [replace(tracklet(9, EMBEDDINGS[0]), first_frame=30), replace(tracklet(4, EMBEDDINGS[1]), first_frame=2)]
    store.add_segment(
        segment.id, seen, "net-1", frames=3000, end=LATER, damage="ends early", deployment_version="0123456789ab"
    )
    first = 1_000_000 * segment.id
    assert ids(store) == [first + 1, first + 2]
    found = queries.nearest(store.engine, EMBEDDINGS[1], "net-1", 1)[0]
    assert (found.id, found.crop) == (first + 1, f"crops/demo/{segment.id}/{first + 1}.jpg")
    assert (found.model_version, found.deployment_version) == ("net-1", "0123456789ab")
    assert store.crops.read(found.crop)
    assert register(store) == replace(segment, state="done")
    done = segment_rows(store)[0]
    assert (done["frames"], done["end"], done["damage"], done["model_version"]) == (3000, LATER, "ends early", "net-1")


def test_adding_a_done_segment_again_changes_nothing(store: Store) -> None:
    segment = register(store)
    store.add_segment(segment.id, [tracklet(1, EMBEDDINGS[0])], "net-1", frames=10, end=LATER)
    before = segment_rows(store), ids(store)
    store.add_segment(segment.id, [tracklet(i, EMBEDDINGS[i]) for i in range(3)], "net-2", frames=20, end=LATER)
    in_transaction(store, segments.fail, segment.id, "too late")
    assert (segment_rows(store), ids(store)) == before


def test_a_segment_that_cannot_be_stored_leaves_no_row_and_may_be_tried_again(store: Store) -> None:
    segment = register(store)
    broken = replace(tracklet(2, EMBEDDINGS[1]), crops=[])
    with pytest.raises(IndexError):
        store.add_segment(segment.id, [tracklet(1, EMBEDDINGS[0]), broken], "net-1", frames=10, end=LATER)
    assert (ids(store), register(store).state) == ([], "waiting")
    in_transaction(store, segments.fail, segment.id, "no crop")
    assert (register(store).state, segment_rows(store)[0]["error"]) == ("failed", "no crop")
    store.add_segment(segment.id, [tracklet(1, EMBEDDINGS[0])], "net-1", frames=10, end=LATER)
    assert (len(ids(store)), segment_rows(store)[0]["state"], segment_rows(store)[0]["error"]) == (1, "done", None)


def test_what_no_segment_can_hold_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="must be of a stored camera, got demo/cam9"):
        in_transaction(store, segments.register, "demo", "cam9", "x.mp4", "x", NOON)
    with pytest.raises(InputError, match="must be registered before tracklets are added to them, got 999999"):
        store.add_segment(999_999, [], "net-1", frames=0, end=LATER)
    segment = register(store)
    with pytest.raises(InputError, match=r"must come from the cameras \['cam0'\], got \['cam2'\]"):
        store.add_segment(segment.id, [tracklet(1, EMBEDDINGS[0], camera=2)], "net-1", frames=1, end=LATER)


def test_a_segment_reaches_as_far_as_its_tracklets(store: Store) -> None:
    segment = register(store)
    early, late = tracklet(1, EMBEDDINGS[0], after_s=-60), tracklet(2, EMBEDDINGS[1], after_s=600)
    store.add_segment(segment.id, [early, late], "net-1", frames=10, end=LATER)
    row = segment_rows(store)[0]
    assert (row["start"], row["end"]) == (early.first_seen, late.last_seen)


def test_slow_crops_of_one_camera_hold_up_no_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, quick = register(store), register(store, "cd" * 32, camera=1)
    is_there, may_go_on = threading.Event(), threading.Event()
    write = store.crops.write

    def wait(district: str, segment_id: int, tracklets: Sequence[Tracklet]) -> None:
        if segment_id == slow.id:
            is_there.set()
            assert may_go_on.wait(30)
        write(district, segment_id, tracklets)

    monkeypatch.setattr(store.crops, "write", wait)
    with ThreadPoolExecutor(1) as other:
        adding = other.submit(store.add_segment, slow.id, [tracklet(1, EMBEDDINGS[0])], "net-1", frames=10, end=LATER)
        assert is_there.wait(30)
        store.add_segment(quick.id, [tracklet(1, EMBEDDINGS[1], camera=1)], "net-1", frames=10, end=LATER)
        assert ids(store) == [1_000_000 * quick.id + 1]
        may_go_on.set()
        adding.result(30)
    assert len(ids(store)) == 2


def test_two_who_store_the_same_segment_store_it_once(store: Store) -> None:
    segment = register(store)
    seen = [tracklet(i + 1, EMBEDDINGS[i]) for i in range(5)]
    with ThreadPoolExecutor(4) as others:
        adding = [others.submit(store.add_segment, segment.id, seen, "net-1", frames=10, end=LATER) for _ in range(4)]
        assert [one.result(30) for one in adding] == [None] * 4
    assert len(ids(store)) == 5


def test_a_district_that_is_replaced_meanwhile_gets_nothing_of_the_one_before(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = register(store)
    write = store.crops.write

    def replace_first(district: str, segment_id: int, tracklets: Sequence[Tracklet]) -> None:
        monkeypatch.setattr(store.crops, "write", write)
        store.replace_sightings("demo", CAMERAS, "net-1", [])
        write(district, segment_id, tracklets)

    monkeypatch.setattr(store.crops, "write", replace_first)
    with pytest.raises(InputError, match="must be registered before tracklets are added"):
        store.add_segment(segment.id, [tracklet(1, EMBEDDINGS[0])], "net-1", frames=10, end=LATER)
    assert ids(store) == []
    with hold_removers(store.engine):
        assert delete_orphans(store.engine, store.crops, ["demo"]) == Orphans(deleted=1)


def test_replacing_sightings_leaves_a_done_segment_a_video_so_that_the_same_file_is_known(store: Store) -> None:
    videos = {
        camera.id: ProcessedVideo(f"{camera.id}.mp4", camera.id * 2, NOON, LATER, frames=3000) for camera in CAMERAS[:2]
    }
    store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, EMBEDDINGS[0])], videos=videos)
    assert in_transaction(store, segments.register, "demo", "cam0", "cam0.mp4", "cam0cam0", NOON).state == "done"
    assert (
        in_transaction(store, segments.register, "demo", "cam1", "moved.mp4", "cam1cam1", NOON).state == "done"
    )  # saw nobody
    assert in_transaction(store, segments.register, "demo", "cam1", "other.mp4", "other", NOON).state == "waiting"
    assert [row["frames"] for row in segment_rows(store)] == [3000, 3000, None]


def test_a_gap_opens_once_and_ends_not_before_it_began(store: Store) -> None:
    in_transaction(store, segments.open_gap, "demo", "cam0", NOON, "no answer")
    in_transaction(store, segments.open_gap, "demo", "cam0", LATER, "still none")
    in_transaction(store, segments.close_gap, "demo", "cam0", LATER)
    in_transaction(store, segments.close_gap, "demo", "cam0", LATER + timedelta(days=1))
    in_transaction(store, segments.open_gap, "demo", "cam0", LATER, "garbage")
    in_transaction(store, segments.close_gap, "demo", "cam0", NOON)
    in_transaction(store, segments.open_gap, "demo", "cam1", NOON, "no answer")
    table = tables.gaps
    columns = (table.c.camera_id, table.c.since, table.c.until, table.c.reason)
    with store.begin() as connection:
        found = [tuple(row) for row in connection.execute(sa.select(*columns).order_by(table.c.id))]
    assert found == [
        ("cam0", NOON, LATER, "no answer"),
        ("cam0", LATER, LATER, "garbage"),
        ("cam1", NOON, None, "no answer"),
    ]


def test_writers_of_the_same_new_days_do_not_disturb_each_other(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        store.replace_sightings("demo", CAMERAS, "net-1", [])

        def write(number: int) -> None:
            segment = register(store, f"{number}", camera=number % 3)
            seen = [tracklet(i + 1, EMBEDDINGS[i], camera=number % 3, after_s=86400 * i) for i in range(4)]
            store.add_segment(segment.id, seen, "net-1", frames=10, end=LATER)

        with ThreadPoolExecutor(20) as writers:  # more than there are connections
            list(writers.map(write, range(20)))
        assert len(set(ids(store))) == 80
        with store.begin() as connection:
            assert existing_partitions(connection) == [NOON.date() + timedelta(days=i) for i in range(4)]
        assert len(queries.nearest(store.engine, EMBEDDINGS[2], "net-1", 80)) == 80
