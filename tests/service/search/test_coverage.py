"""Coverage of a search: by hand and by laws, on a real database."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import InputError
from serving.database import segments, tables
from serving.database.districts import add_cameras
from serving.database.segments import Looks
from serving.database.store import Store, open_store
from serving.search.coverage import Coverage, coverage_of, shorten_coverage
from tests.helpers.sightings import CAMERAS, NOON, in_transaction


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def add_video(
    store: Store,
    camera: str,
    begin: float,
    end: float | None,
    model: str = "net-1",
    declared: float | None = None,
    looks: Looks | None = None,
) -> int:
    """A segment from `begin` to `end` minutes after noon; waiting without an end, which the file may declare."""
    declared_end = at(declared) if declared is not None else None
    segment = in_transaction(
        store, segments.register, "demo", camera, f"{camera}.mp4", f"{camera}-{begin}", at(begin), declared_end
    )
    if end is not None:
        store.add_segment(segment.id, [], model, frames=10, end=at(end), looks=looks)
    return segment.id


@pytest.fixture(scope="module")
def covered(tmp_path_factory: pytest.TempPathFactory) -> Coverage:
    """From noon to one o'clock: camera 0 with a gap, camera 1 with trouble, camera 2 with nothing."""
    with open_store(tmp_path_factory.mktemp("coverage") / "store") as store:
        in_transaction(store, add_cameras, "demo", CAMERAS, time_zone="UTC")
        for begin, end in ((-60, -30), (-10, 20), (20, 30), (45, 90)):
            add_video(store, "cam0", begin, end)
        in_transaction(store, segments.open_gap, "demo", "cam0", at(25), "cut")
        in_transaction(store, segments.close_gap, "demo", "cam0", at(40))
        add_video(store, "cam1", 0, 6)
        add_video(store, "cam1", 10, 20, model="net-0")
        in_transaction(store, segments.fail, add_video(store, "cam1", 30, None), "no video stream")
        add_video(store, "cam1", 40, None)
        in_transaction(store, segments.open_gap, "demo", "cam1", at(50), "no answer")
        return coverage_of(store, "net-1", since=at(0), until=at(60))


def spans(coverage: Coverage, camera: int, kind: str) -> list[tuple[datetime, datetime | None, str]]:
    return [(span.since, span.until, span.reason) for span in getattr(coverage.cameras[camera], kind)]


def test_searched_is_the_processed_time_in_the_window_without_the_gaps(covered: Coverage) -> None:
    assert spans(covered, 0, "searched") == [(at(0), at(25), ""), (at(45), at(60), "")]
    assert spans(covered, 0, "gaps") == [(at(25), at(40), "cut")]
    assert [camera.share for camera in covered.cameras] == pytest.approx([40 / 60, 6 / 60, 0])
    assert covered.share == pytest.approx(46 / 120)  # of camera 2 no video has ever come
    assert [camera.has_video for camera in covered.cameras] == [True, True, False]
    assert covered.statement.endswith("no video has ever come from 1 other camera.")


def test_missing_times_have_a_reason(covered: Coverage) -> None:
    assert spans(covered, 1, "searched") == [(at(0), at(6), "")]
    assert spans(covered, 1, "waiting") == [(at(40), None, "")]
    assert spans(covered, 1, "failed") == [
        (at(10), at(20), "processed by the model net-0 only"),
        (at(30), None, "no video stream"),
    ]
    assert spans(covered, 1, "gaps") == [(at(50), None, "no answer")]


def test_without_a_window_it_is_from_the_cameras_own_first_video_to_the_last_of_its_district(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        in_transaction(store, add_cameras, "demo", CAMERAS, time_zone="UTC")
        nothing = coverage_of(store, "net-1")
        assert (nothing.since, nothing.until, nothing.share, len(nothing.cameras)) == (None, None, 0, 3)
        add_video(store, "cam0", 0, 30)
        add_video(store, "cam1", 20, 40)
        found = coverage_of(store, "net-1", cameras=[("demo", "cam0")])
        assert (found.since, found.until, found.share) == (at(0), at(30), 1)
        both = coverage_of(store, "net-1", cameras=[("demo", "cam0"), ("demo", "cam1")])
        assert [camera.share for camera in both.cameras] == pytest.approx([30 / 40, 1])
        assert both.share == pytest.approx(50 / 60)
        assert [(camera.since, camera.until) for camera in both.cameras] == [(at(0), at(40)), (at(20), at(40))]
        with pytest.raises(InputError, match="until must not be before since"):
            coverage_of(store, "net-1", since=at(1), until=at(0))


def test_another_district_and_cameras_without_video_do_not_cry_wolf(store: Store) -> None:
    in_transaction(store, add_cameras, "demo", CAMERAS[:2], time_zone="UTC")
    for camera in ("cam0", "cam1"):
        add_video(store, camera, 0, 100)
    live = [CAMERAS[0].model_copy(update={"id": f"k{number}"}) for number in range(74)]
    in_transaction(store, add_cameras, "live", live, time_zone="UTC")
    in_transaction(store, segments.open_gap, "live", "k0", at(50_000), "no answer")  # the one that ever ran
    in_transaction(store, segments.close_gap, "live", "k0", at(50_010))
    found = coverage_of(store, "net-1")
    of_demo = [camera for camera in found.cameras if camera.district == "demo"]
    assert [(camera.share, camera.until) for camera in of_demo] == [(1, at(100))] * 2
    assert found.share == pytest.approx(200 / 210)
    assert sum(not camera.has_video for camera in found.cameras) == 73
    assert "Of 3 cameras" in found.statement
    assert found.statement.endswith("no video has ever come from 73 other cameras.")


@pytest.fixture
def empty(store: Store) -> Store:
    """With cameras that showed nothing yet."""
    in_transaction(store, add_cameras, "demo", CAMERAS, time_zone="UTC")
    return store


def test_a_camera_that_is_down_is_missing_from_the_window_on_until_now(empty: Store) -> None:
    add_video(empty, "cam0", -60, 0)
    in_transaction(empty, segments.open_gap, "demo", "cam0", at(0), "no answer")
    since = at(60 * 24)
    found = coverage_of(empty, "net-1", cameras=[("demo", "cam0")], since=since)
    assert found.since == since
    assert found.until is not None
    assert abs(found.until - datetime.now(UTC)) < timedelta(minutes=1)
    assert spans(found, 0, "gaps") == [(at(0), None, "no answer")]
    assert found.share == 0


@pytest.mark.parametrize("trouble", ["nothing", "waiting", "failed", "done"])
def test_a_window_after_all_that_is_known_is_empty(empty: Store, trouble: str) -> None:
    if trouble != "nothing":
        number = add_video(empty, "cam0", 0, 5 if trouble == "done" else None)
        if trouble == "failed":
            in_transaction(empty, segments.fail, number, "no video stream")
    found = coverage_of(empty, "net-1", since=at(60))
    assert (found.since, found.until, found.share) == (at(60), at(60), 0)
    before = coverage_of(empty, "net-1", until=at(-60))
    assert (before.since, before.until, before.share) == (at(-60), at(-60), 0)
    assert not any(one.searched or one.waiting or one.failed or one.gaps for one in found.cameras + before.cameras)


def test_a_failed_video_is_missing_only_for_its_own_time(empty: Store) -> None:
    add_video(empty, "cam0", 0, 60)
    for camera, declared in (("cam1", 5), ("cam2", None)):
        in_transaction(empty, segments.fail, add_video(empty, camera, 0, None, declared=declared), "no video stream")
    found = coverage_of(empty, "net-1", since=at(0), until=at(60))
    assert spans(found, 1, "failed") == [(at(0), at(5), "no video stream")]
    assert spans(found, 2, "failed") == [(at(0), None, "no video stream")]  # nobody knows how long it is
    later = coverage_of(empty, "net-1", since=at(6), until=at(60))
    assert [len(one.failed) for one in later.cameras] == [0, 0, 0]
    assert len(coverage_of(empty, "net-1", since=at(4), until=at(60)).cameras[1].failed) == 1


def test_time_that_another_video_covers_is_not_missing(empty: Store) -> None:
    add_video(empty, "cam0", 0, 60)
    in_transaction(empty, segments.fail, add_video(empty, "cam0", 10, None, declared=20), "no video stream")
    add_video(empty, "cam0", 20, None, declared=70)
    add_video(empty, "cam0", 30, None)
    [camera] = coverage_of(empty, "net-1", cameras=[("demo", "cam0")], since=at(0), until=at(60)).cameras
    assert [span.since for span in camera.failed] == []
    assert [span.since for span in camera.waiting] == [at(30)]
    [longer] = coverage_of(empty, "net-1", cameras=[("demo", "cam0")], since=at(0), until=at(65)).cameras
    assert [span.since for span in longer.waiting] == [at(20), at(30)]
    [other] = coverage_of(empty, "net-0", cameras=[("demo", "cam0")], since=at(0), until=at(60)).cameras
    assert [span.since for span in other.failed] == [at(0), at(10)]


def thin_spans(store: Store, **window: datetime) -> list[tuple[datetime, datetime | None, float | None]]:
    [camera] = coverage_of(store, "net-1", cameras=[("demo", "cam0")], **window).cameras
    return [(span.since, span.until, span.looks_per_s) for span in camera.thin]


@pytest.mark.parametrize(
    ("looks", "rate"),
    [
        pytest.param(Looks(600, due=600), None, id="ten a second"),
        pytest.param(Looks(120, due=120), None, id="two a second"),
        pytest.param(Looks(110, due=110), 1, id="less than two a second, as it should"),
        pytest.param(Looks(30, due=30), 0.5, id="every other second"),
        pytest.param(Looks(545, due=600), None, id="one in eleven was skipped"),
        pytest.param(Looks(300, due=600), 5, id="every other frame was skipped"),
        pytest.param(Looks(1400, due=2000, unreadable=600), 20, id="a third cannot be read"),
        pytest.param(Looks(0, due=600), 0, id="never"),
        pytest.param(None, None, id="nobody knows"),
    ],
)
def test_a_minute_that_was_looked_at_too_seldom_is_thin(empty: Store, looks: Looks | None, rate: float | None) -> None:
    add_video(empty, "cam0", 0, 1, looks=looks)
    found = coverage_of(empty, "net-1", cameras=[("demo", "cam0")])
    [camera] = found.cameras
    assert thin_spans(empty) == ([] if rate is None else [(at(0), at(1), rate)])
    assert (camera.share, camera.thin_share) == ((1, 0) if rate is None else (0, 1))
    assert (found.share, found.thin_share) == (camera.share, camera.thin_share)
    assert ("nothing is missing" in found.statement) == (rate is None)
    assert ("seen thinly" in found.statement) == (rate is not None)
    stored = shorten_coverage(found)
    assert (stored.statement, stored.cameras[0].thin) == (found.statement, camera.thin)


def test_the_statement_has_the_rates_and_what_is_missing(empty: Store) -> None:
    add_video(empty, "cam0", 0, 6)
    add_video(empty, "cam1", 0, 3, looks=Looks(180, due=1800))
    add_video(empty, "cam1", 3, 6, looks=Looks(90, due=1800))
    in_transaction(empty, segments.fail, add_video(empty, "cam2", 0, None, declared=6), "no video stream")
    found = coverage_of(empty, "net-1")
    assert found.statement == (
        "Of 3 cameras from 2026-05-01T12:00:00+00:00 to 2026-05-01T12:06:00+00:00, 33.3 % was searched; 33.3 % was "
        "seen thinly (0.5 to 1 looks a second): a person may have passed unseen; failed: 1."
    )
    nothing = coverage_of(empty, "net-1", cameras=[("demo", "cam2")], since=at(60), until=at(70))
    assert nothing.statement.endswith("0 % was searched; of the rest there is no video.")


def test_time_that_another_video_shows_better_is_thin_no_more(empty: Store) -> None:
    add_video(empty, "cam0", 0, 10, looks=Looks(600, due=6000))
    add_video(empty, "cam0", 5, 15, looks=Looks(3000, due=6000))
    assert thin_spans(empty) == [(at(0), at(5), 1), (at(5), at(15), 5)]
    add_video(empty, "cam0", 2, 6)
    assert thin_spans(empty) == [(at(0), at(2), 1), (at(6), at(15), 5)]
    in_transaction(empty, segments.open_gap, "demo", "cam0", at(1), "cut")
    in_transaction(empty, segments.close_gap, "demo", "cam0", at(8))
    assert thin_spans(empty, until=at(12)) == [(at(0), at(1), 1), (at(8), at(12), 5)]


def test_thin_times_that_are_one_after_the_other_are_one_in_an_answer_with_the_lowest_rate(empty: Store) -> None:
    add_video(empty, "cam0", 0, 1, looks=Looks(300, due=600))
    add_video(empty, "cam0", 1, 2, looks=Looks(240, due=600))
    [camera] = shorten_coverage(coverage_of(empty, "net-1", cameras=[("demo", "cam0")])).cameras
    assert [(span.since, span.until, span.looks_per_s) for span in camera.thin] == [(at(0), at(2), 4)]


minutes = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted), max_size=6)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minutes, minutes)
def test_searched_are_the_minutes_of_videos_that_are_in_no_gap(
    store: Store, videos: list[list[int]], silent: list[list[int]]
) -> None:
    with store.begin() as connection:
        connection.execute(sa.text("DELETE FROM districts"))
        connection.execute(sa.text("DELETE FROM gaps"))
    in_transaction(store, add_cameras, "demo", CAMERAS, time_zone="UTC")
    for number, (begin, end) in enumerate(videos):
        segment = in_transaction(store, segments.register, "demo", "cam0", "cam0.mp4", str(number), at(begin))
        store.add_segment(segment.id, [], "net-1", frames=10, end=at(end))
    for begin, end in silent:
        in_transaction(store, segments.open_gap, "demo", "cam0", at(begin), "cut")
        in_transaction(store, segments.close_gap, "demo", "cam0", at(end))
    searched = coverage_of(store, "net-1", since=at(0), until=at(30)).cameras[0].searched
    found = {minute for minute in range(31) for span in searched if span.since <= at(minute) < (span.until or NOON)}
    seen = {minute for begin, end in videos for minute in range(begin, end)}
    assert found == seen - {minute for begin, end in silent for minute in range(begin, end)}
    assert all(before.until is not None and before.until < after.since for before, after in pairwise(searched))


PROCESSED = "SELECT district, camera_id, model_version, looks_per_s, times FROM processed ORDER BY 1, 2, 3, 4"
ADDED_UP = """
    SELECT district, camera_id, model,
        CASE WHEN looked_at = 6 AND "end" > start THEN 0.05 ELSE 'infinity' END::float8,
        range_agg(tstzrange(start, "end"))
    FROM (SELECT segments.*, models.model_version AS model FROM segments
        JOIN segment_models AS models ON segment_id = id WHERE task = 'reid') AS by_model
    WHERE state = 'done' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
changes = st.lists(
    st.tuples(st.sampled_from(["add", "add", "embed", "fail", "remove"]), st.integers(0, 1), st.integers(0, 2)),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes)
def test_processed_times_are_always_the_sum_of_the_segments_that_are_done(
    store: Store, changes: list[tuple[str, int, int]]
) -> None:
    with store.begin() as connection:
        connection.execute(sa.text("DELETE FROM districts"))
    in_transaction(store, add_cameras, "demo", CAMERAS, time_zone="UTC")
    for change, camera, minute in changes:
        segment = in_transaction(store, segments.register, "demo", f"cam{camera}", "a.mp4", str(minute), at(minute))
        if change == "add" and segment.state != "done":
            looks = Looks(6, due=6) if minute == 2 else None
            store.add_segment(segment.id, [], f"net-{minute % 2}", frames=10, end=at(minute + 2), looks=looks)
        with store.begin() as connection:
            its = {"id": segment.id}
            if change == "embed":  # by another model, and what it describes does not count
                again = "INSERT INTO segment_models VALUES (:id, 'net-2', 'reid'), (:id, 'words-1', 'attributes')"
                connection.execute(sa.text(f"{again} ON CONFLICT DO NOTHING"), its)
            if change == "fail":
                connection.execute(sa.text("UPDATE segments SET state = 'failed' WHERE id = :id"), its)
            if change == "remove":
                connection.execute(sa.text("DELETE FROM segments WHERE id = :id"), its)
            assert connection.execute(sa.text(PROCESSED)).all() == connection.execute(sa.text(ADDED_UP)).all()
    with store.begin() as connection:
        connection.execute(sa.text("DELETE FROM cameras WHERE id = 'cam0'"))
        assert connection.execute(sa.text(PROCESSED)).all() == connection.execute(sa.text(ADDED_UP)).all()


def test_segments_of_a_camera_that_end_at_once_are_all_counted(store: Store) -> None:
    in_transaction(store, add_cameras, "demo", CAMERAS, time_zone="UTC")
    ids = [
        in_transaction(store, segments.register, "demo", "cam0", "a.mp4", str(minute), at(minute)).id
        for minute in range(2)
    ]
    with store.begin() as connection:
        made = [{"segment_id": one, "model_version": "net-1", "task": "reid"} for one in ids]
        connection.execute(sa.insert(tables.segment_models), made)
    done = "UPDATE segments SET state = 'done', \"end\" = :end WHERE id = :id"

    def end_second() -> None:
        with store.begin() as connection:
            connection.execute(sa.text(done), {"id": ids[1], "end": at(2)})

    with ThreadPoolExecutor(1) as other:
        with store.begin() as connection:
            connection.execute(sa.text(done), {"id": ids[0], "end": at(1)})
            second = other.submit(end_second)
            assert not wait([second], timeout=1).done  # until this transaction ends
        second.result()
    (camera,) = coverage_of(store, "net-1", cameras=[("demo", "cam0")]).cameras
    assert [(span.since, span.until) for span in camera.searched] == [(at(0), at(2))]


def test_times_are_answered_in_utc(covered: Coverage) -> None:
    assert all(span.since.tzinfo is UTC for camera in covered.cameras for span in camera.searched)
