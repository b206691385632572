import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from serving.database import segments, tables
from serving.database.store import Store
from serving.ingestion import outbox as module
from serving.ingestion.outbox import DROPPED, LiveSegment, LiveSightings, Outbox
from tests.helpers.rtsp import until
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, tracklet, unit_vectors

CROP_BYTES = 16 * 8 * 3


@pytest.fixture
def store(shared_store: Store) -> Store:
    """With three cameras that nobody has followed yet."""
    shared_store.replace_sightings("demo", CAMERAS, "m", [])
    return shared_store


@pytest.fixture
def outbox(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outbox]:
    monkeypatch.setattr(module, "_RETRY_S", 0.3)
    outbox = Outbox(store, "demo", "m", max_bytes=100_000)
    yield outbox
    outbox.close(5)


def minute(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def segment(number: int, *, camera: int = 0, people: int = 1, crop_bytes: int = CROP_BYTES) -> LiveSegment:
    """The minute `number` after noon."""
    crop = np.zeros((crop_bytes // 24, 8, 3), np.uint8)
    seen = [
        replace(tracklet(i + 1, unit_vectors(i, 1, 4)[0], camera=camera, after_s=60 * number), crops=[crop])
        for i in range(people)
    ]
    return LiveSegment(CAMERAS[camera].id, minute(number), minute(number + 1), 600, seen, None)


def rows(store: Store, table: sa.Table, *columns: str) -> list[tuple[object, ...]]:
    with store.begin() as connection:
        query = sa.select(*(table.c[name] for name in columns)).order_by(*(table.c[name] for name in columns))
        return [tuple(row) for row in connection.execute(query)]


def segment_rows(store: Store) -> list[tuple[object, ...]]:
    return rows(store, tables.segments, "camera_id", "start", "end", "state", "frames", "source")


def gaps(store: Store) -> list[tuple[object, ...]]:
    return rows(store, tables.gaps, "camera_id", "since", "until", "reason")


@contextmanager
def away(store: Store) -> Iterator[None]:
    """The database lets nobody in; the server itself goes on, so that it can be told to."""
    elsewhere = sa.create_engine(store.engine.url.set(database="template1"), isolation_level="AUTOCOMMIT")
    name = store.engine.url.database

    def allow(is_open: bool) -> None:
        with elsewhere.connect() as connection:
            connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {is_open}"))
            others = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
            if not is_open:
                connection.execute(others, {"name": name})

    allow(False)
    try:
        yield
    finally:
        allow(True)
        elsewhere.dispose()


def test_segments_and_gaps_are_stored_in_order(store: Store, outbox: Outbox) -> None:
    outbox.put(segment(0, people=2))
    outbox.begin_gap("cam0", minute(1), "the stream ended")
    until(lambda: gaps(store) == [("cam0", minute(1), None, "the stream ended")])
    outbox.end_gap("cam0", minute(2))
    outbox.put(segment(2))
    assert outbox.close(5) == 0
    assert segment_rows(store) == [
        ("cam0", minute(0), minute(1), "done", 600, "stream cam0"),
        ("cam0", minute(2), minute(3), "done", 600, "stream cam0"),
    ]
    assert gaps(store) == [("cam0", minute(1), minute(2), "the stream ended")]
    assert len(rows(store, tables.tracklets, "id")) == 3


def test_another_reason_is_another_gap(store: Store, outbox: Outbox) -> None:
    outbox.begin_gap("cam0", minute(0), "not running")
    outbox.begin_gap("cam0", minute(1), "connection refused")
    outbox.end_gap("cam0", minute(2))
    outbox.end_gap("cam0", minute(3))  # none is open
    outbox.close(5)
    assert gaps(store) == [
        ("cam0", minute(0), minute(1), "not running"),
        ("cam0", minute(1), minute(2), "connection refused"),
    ]


def test_what_is_seen_waits_while_the_database_is_away(
    store: Store, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    with away(store):
        outbox.put(segment(0))
        outbox.begin_gap("cam0", minute(1), "the stream ended")
        until(lambda: "the store cannot be written" in caplog.text)
        outbox.end_gap("cam0", minute(2))
        outbox.put(segment(2))
        outbox.put(segment(0, camera=1))
        time.sleep(0.7)
        assert caplog.text.count("the store cannot be written") == 1
    until(lambda: len(segment_rows(store)) == 3)
    outbox.close(5)
    assert {state for *_, state, _, _ in segment_rows(store)} == {"done"}
    assert gaps(store) == [("cam0", minute(1), minute(2), "the stream ended")]
    assert len(rows(store, tables.tracklets, "id")) == 3
    assert "can be written again" in caplog.text


def test_too_much_is_dropped_oldest_first_and_becomes_one_gap(
    store: Store, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    with away(store):
        outbox.put(segment(0, crop_bytes=24_000))
        until(lambda: "the store cannot be written" in caplog.text)  # what is being written is never dropped
        for number in range(1, 20):
            outbox.put(segment(number, crop_bytes=24_000))
        outbox.put(segment(3, camera=1))
        held = sum(one.num_bytes for queue in outbox._queues.values() for one in queue if isinstance(one, LiveSegment))
        assert held < 100_000
        assert sum(map(len, outbox._queues.values())) <= 6
    until(lambda: len(segment_rows(store)) == 4)
    outbox.close(5)
    assert [(camera, start) for camera, start, *_ in segment_rows(store)] == [
        ("cam0", minute(17)),
        ("cam0", minute(18)),
        ("cam0", minute(19)),
        ("cam1", minute(3)),
    ]
    assert gaps(store) == [("cam0", minute(0), minute(17), DROPPED)]


def test_gaps_between_dropped_segments_do_not_pile_up(
    store: Store, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    with away(store):
        outbox.put(segment(99, camera=1, people=0))
        until(lambda: "the store cannot be written" in caplog.text)
        for number in range(0, 60, 2):
            outbox.put(segment(number, crop_bytes=60_000))
            outbox.begin_gap("cam0", minute(number + 1), "the stream ended")
            if number < 58:
                outbox.end_gap("cam0", minute(number + 2))
        assert len(outbox._queues["cam0"]) == 3
    until(lambda: len(segment_rows(store)) == 2)
    until(lambda: len(gaps(store)) == 2)
    outbox.end_gap("cam0", minute(61))
    outbox.close(5)
    assert gaps(store) == [
        ("cam0", minute(0), minute(58), DROPPED),
        ("cam0", minute(59), minute(61), "the stream ended"),
    ]


def test_closing_while_the_database_is_away_says_what_is_lost(store: Store, outbox: Outbox) -> None:
    with away(store):
        outbox.put(segment(0))
        outbox.put(segment(1))
        began = time.monotonic()
        assert outbox.close(0.5) == 2
        assert time.monotonic() - began < 2
    until(lambda: not outbox._thread.is_alive())


def test_what_the_store_refuses_is_logged_and_holds_nobody_up(
    store: Store, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    twisted = segment(0, people=2)
    twisted = replace(
        twisted, tracklets=[twisted.tracklets[0], replace(twisted.tracklets[1], embedding=np.ones(3, np.float32))]
    )
    outbox.put(twisted)
    outbox.put(segment(1))
    outbox.put(replace(segment(0), camera_id="cam9"))  # its district was replaced by one without it
    with caplog.at_level(logging.ERROR):
        assert outbox.close(5) == 0
    assert [start for _, start, _, state, *_ in segment_rows(store) if state == "done"] == [minute(1)]
    assert [gap[:3] for gap in gaps(store)] == [("cam0", minute(0), minute(1))]
    assert "camera cam0: LiveSegment cannot be stored: embeddings of one model must have one length" in caplog.text
    assert "camera cam9: LiveSegment cannot be stored" in caplog.text
    assert "INSERT" not in caplog.text


class TestResumingAStream:
    def test_one_that_was_never_followed_has_no_past(self, store: Store) -> None:
        assert in_transaction(store, segments.resume_stream, "demo", "cam0", "stream cam0") is None

    def test_it_goes_on_where_the_last_segment_ended(self, store: Store, outbox: Outbox) -> None:
        outbox.begin_gap("cam0", minute(-1), "connection refused")
        outbox.end_gap("cam0", minute(0))
        outbox.put(segment(0))
        outbox.put(segment(5, camera=1))
        outbox.close(5)
        assert in_transaction(store, segments.resume_stream, "demo", "cam0", "stream cam0") == minute(1)

    def test_it_goes_on_after_a_gap_that_is_later(self, store: Store, outbox: Outbox) -> None:
        outbox.put(segment(0))
        outbox.begin_gap("cam0", minute(1), "connection refused")
        outbox.end_gap("cam0", minute(2))
        outbox.close(5)
        assert in_transaction(store, segments.resume_stream, "demo", "cam0", "stream cam0") == minute(2)

    def test_an_open_gap_goes_on(self, store: Store, outbox: Outbox) -> None:
        outbox.put(segment(0))
        outbox.begin_gap("cam0", minute(1), "connection refused")
        outbox.close(5)
        assert in_transaction(store, segments.resume_stream, "demo", "cam0", "stream cam0") == minute(1)
        later = Outbox(store, "demo", "m", max_bytes=1000)
        later.begin_gap("cam0", minute(1), "not running")
        later.end_gap("cam0", minute(9))
        later.close(5)
        assert gaps(store) == [("cam0", minute(1), minute(9), "connection refused")]

    def test_a_video_file_is_no_past_of_the_stream(self, store: Store) -> None:
        known = in_transaction(store, segments.register, "demo", "cam0", "gate.mp4", "abc", minute(0))
        store.add_segment(known.id, [], "m", frames=1, end=minute(1))
        assert in_transaction(store, segments.resume_stream, "demo", "cam0", "stream cam0") is None

    def test_what_was_registered_but_not_finished_has_failed(self, store: Store) -> None:
        in_transaction(store, segments.register, "demo", "cam0", "stream cam0", "stream cam0@x", minute(0))
        in_transaction(store, segments.register, "demo", "cam0", "gate.mp4", "abc", minute(0))
        in_transaction(store, segments.resume_stream, "demo", "cam0", "stream cam0")
        assert rows(store, tables.segments, "source", "state") == [("gate.mp4", "waiting"), ("stream cam0", "failed")]


class TestSightingsOfASegmentThatGoesOn:
    def part(self, number: int, people: range, crop_bytes: int = CROP_BYTES) -> LiveSightings:
        whole = segment(number, people=people.stop, crop_bytes=crop_bytes)
        return LiveSightings(whole.camera_id, whole.start, whole.tracklets[people.start :])

    def test_they_are_stored_before_it_ends_and_not_again_with_it(self, store: Store, outbox: Outbox) -> None:
        outbox.put(self.part(0, range(2)))
        until(lambda: len(rows(store, tables.tracklets, "id")) == 2)
        assert [state for *_, state, _, _ in segment_rows(store)] == ["waiting"]
        outbox.put(replace(segment(0), tracklets=self.part(0, range(2, 3)).tracklets))
        assert outbox.close(5) == 0
        [number] = {one // segments.IDS_A_SEGMENT for [one] in rows(store, tables.tracklets, "id")}
        assert [one % segments.IDS_A_SEGMENT for [one] in rows(store, tables.tracklets, "id")] == [1, 2, 3]
        assert rows(store, tables.segments, "id", "state", "frames") == [(number, "done", 600)]
        assert gaps(store) == []

    def test_written_twice_they_are_stored_once(self, store: Store, outbox: Outbox) -> None:
        """As when the database's answer is lost."""
        for _ in range(2):
            outbox.put(self.part(0, range(2)))
        outbox.put(replace(segment(0), tracklets=[]))
        outbox.close(5)
        assert len(rows(store, tables.tracklets, "id")) == 2

    def test_where_some_were_dropped_their_segment_is_a_gap(
        self, store: Store, outbox: Outbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        outbox.put(self.part(0, range(1)))
        until(lambda: len(rows(store, tables.tracklets, "id")) == 1)
        with away(store):
            outbox.put(self.part(0, range(1, 2)))
            until(lambda: "the store cannot be written" in caplog.text)
            for number in range(2, 9):
                outbox.put(self.part(0, range(number, number + 1), crop_bytes=48_000))
            outbox.put(replace(segment(0), tracklets=[]))
        outbox.put(segment(1))
        outbox.close(5)
        assert gaps(store) == [("cam0", minute(0), minute(1), DROPPED)]
        assert rows(store, tables.segments, "start", "state") == [(minute(0), "failed"), (minute(1), "done")]

    def test_a_killed_process_leaves_those_that_it_stored(self, store: Store, outbox: Outbox) -> None:
        outbox.put(self.part(0, range(2)))
        outbox.close(5)  # nothing ends the segment
        assert in_transaction(store, segments.resume_stream, "demo", "cam0", "stream cam0") == minute(0)
        assert len(rows(store, tables.tracklets, "id")) == 2
        assert rows(store, tables.segments, "state", "error") == [
            ("failed", "it ended before all of its sightings were stored")
        ]
