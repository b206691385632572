import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from domain.files import sha256_of
from serving import ingest
from serving.database import audit, segments, tables
from serving.database.commands import run_command
from serving.database.crops import segment_of
from serving.database.districts import stored_districts
from serving.database.retention import remove_before
from serving.database.store import Store, open_store
from serving.video.files import VideoReader
from tests.helpers.deployments import BLUE, GREEN, RED, write_deployment
from tests.helpers.recordings import START, segment_states, write_district, write_recording
from tests.helpers.sightings import in_transaction, put_into_case, tracklet, unit_vectors

EMBEDDINGS = unit_vectors(seed=0, number=3, feature=16)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Store]]:
    folder = tmp_path_factory.mktemp("deployment")
    write_deployment(folder)
    with open_store(folder / "store") as store:
        yield folder, store


@pytest.fixture
def store(deployment: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch) -> Store:
    """Without any district."""
    folder, store = deployment
    monkeypatch.chdir(folder)
    with store.begin() as connection:
        connection.execute(sa.delete(tables.cases))
        connection.execute(sa.delete(tables.districts))
        connection.execute(sa.text("TRUNCATE jobs.procrastinate_jobs CASCADE"))
    return store


def jobs(store: Store) -> list[tuple[str, str]]:
    """File and status of each job."""
    with store.begin() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT source, status::text FROM jobs.procrastinate_jobs "
                "JOIN segments ON segments.id = (args->>'segment_id')::bigint ORDER BY source"
            )
        )
        return [(Path(source).name, status) for source, status in rows]


def rows(store: Store) -> list[sa.Row[Any]]:
    with store.begin() as connection:
        return list(connection.execute(sa.select(tables.segments).order_by("id")))


def set_state(store: Store, state: str) -> None:
    """Of all segments, their jobs ended."""
    with store.begin() as connection:
        connection.execute(sa.update(tables.segments).values(state=state))
    end_jobs(store)


def end_jobs(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(sa.text("SET LOCAL search_path TO jobs"))  # its triggers name no schema
        connection.execute(sa.text("UPDATE procrastinate_jobs SET status = 'succeeded'"))


def take_in(*arguments: object) -> None:
    ingest.main([*map(str, arguments), "--district", "demo"])


def test_a_districts_folder_makes_cameras_segments_and_jobs(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take_in(write_district(tmp_path / "demo"))
    assert [(one.name, one.time_zone, len(one.cameras)) for one in in_transaction(store, stored_districts)] == [
        ("demo", "Asia/Seoul", 3)
    ]
    assert segment_states(store) == {"c1.mp4": "waiting", "c2.mp4": "waiting", "c3.mp4": "waiting"}
    assert jobs(store) == [("c1.mp4", "todo"), ("c2.mp4", "todo"), ("c3.mp4", "todo")]
    assert "3 new videos" in capsys.readouterr().out


def test_a_file_is_taken_once_whatever_it_is_called(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    take_in(district)
    copy = shutil.copy(district / "videos" / "c1.mp4", tmp_path / "c1_20200101T000000.mp4")
    take_in(district, copy)
    assert "0 new videos, 0 already done, 2 already waiting" in capsys.readouterr().out
    assert len(jobs(store)) == 1
    set_state(store, "done")
    take_in(district)
    assert "0 new videos, 1 already done" in capsys.readouterr().out
    assert [status for _, status in jobs(store)] == ["succeeded"]


def test_a_file_that_failed_is_tried_again_and_waits_from_then_on(store: Store, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    take_in(district)
    set_state(store, "failed")
    with store.begin() as connection:
        connection.execute(sa.update(tables.segments).values(created=START, postponed_since=START, error="gone"))
    take_in(district)
    assert segment_states(store) == {"c1.mp4": "waiting"}
    assert sorted(jobs(store)) == [("c1.mp4", "succeeded"), ("c1.mp4", "todo")]
    [row] = rows(store)
    assert datetime.now(UTC) - row.created < timedelta(minutes=1)
    assert (row.postponed_since, row.error) == (None, None)


def test_a_segment_that_waits_ends_where_its_file_says(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    take_in(district)
    [row] = rows(store)
    assert row.end - row.start == timedelta(seconds=9)  # two people, each for a second, and 3.5 seconds without
    for lie in (None, 1e15):
        monkeypatch.setattr(VideoReader, "declared_s", lie)
        take_in(district)
        assert rows(store)[0].end is None


class TestAgain:
    """Sightings of a file are replaced when it is processed again."""

    @pytest.fixture
    def district(self, store: Store, tmp_path: Path) -> Path:
        """Two cameras; the video of c1 is done, and a case has one of its two sightings."""
        district = write_district(tmp_path / "demo", num_cameras=2)
        take_in(district)
        self.finish(store, "net-1", 2)
        [done] = [row.id for row in rows(store) if row.camera_id == "c1"]
        put_into_case(store, "demo", [done * 1_000_000 + 1], legal_hold=False)
        return district

    def finish(self, store: Store, model: str, number: int) -> int:
        """As a worker does with the segment of c1 that waits; its number."""
        [segment] = [row for row in rows(store) if (row.state, row.source[-6:]) == ("waiting", "c1.mp4")]
        seen = [replace(tracklet(i + 1, EMBEDDINGS[i]), camera_id=segment.camera_id) for i in range(number)]
        store.add_segment(segment.id, seen, model, frames=90, end=segment.end)
        end_jobs(store)
        return int(segment.id)

    def seen(self, store: Store) -> list[tuple[int, str, str]]:
        table = tables.tracklets
        with store.begin() as connection:
            found = sa.select(table.c.segment_id, table.c.camera_id, table.c.model_version).order_by(table.c.id)
            return [tuple(row) for row in connection.execute(found)]

    def test_what_is_seen_then_takes_the_place_of_what_was_seen_at_once(
        self, store: Store, district: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        [(before, *_), _] = self.seen(store)
        take_in(district / "videos" / "c1.mp4", "--camera", "c1", "--start", START.isoformat(), "--again")
        assert "1 already done and processed again" in capsys.readouterr().out
        assert self.seen(store) == [(before, "c1", "net-1")] * 2  # until then
        take_in(district / "videos" / "c1.mp4", "--camera", "c1", "--start", START.isoformat(), "--again")
        after = self.finish(store, "net-2", 3)
        assert self.seen(store) == [(after, "c1", "net-2")] * 3
        assert [(row.id, row.state, row.replaces) for row in rows(store) if row.camera_id == "c1"] == [
            (after, "done", None)
        ]
        assert {segment_of(path) for path in store.crops.of_district("demo")} == {after}
        with store.begin() as connection:
            assert connection.execute(sa.select(tables.case_sightings)).all() == []
            [removal] = connection.execute(sa.select(tables.removals).order_by(sa.desc("id")).limit(1)).all()
            audit.verify(connection)
            *_, asked, again, done = audit.records(connection)
        assert (removal.tracklets, removal.crops, removal.cutoff) == (2, 2, None)
        assert removal.reason == f"segment {before} of demo was processed again"
        assert {asked.action, again.action, done.action} == {"replacement"}
        assert (asked.details["again"], asked.details["as"]) == (before, after)
        assert done.details["segment"] == {
            "id": before,
            "camera_id": "c1",
            "source": str(district / "videos" / "c1.mp4"),
            "start": (START + timedelta(minutes=1)).isoformat(),
            "model_version": "net-1",
        }
        assert (done.details["tracklets"], len(done.details["cases"])) == (2, 1)

    def test_a_wrong_camera_is_mended(self, store: Store, district: Path) -> None:
        file = district / "videos" / "c1.mp4"
        start = (START + timedelta(hours=1)).isoformat()
        with pytest.raises(InputError, match=r"c1\.mp4 must be of a camera of demo"):
            take_in(file, "--camera", "c9", "--start", start, "--again")
        take_in(file, "--camera", "c2", "--start", start, "--again")
        after = self.finish(store, "net-1", 1)
        assert self.seen(store) == [(after, "c2", "net-1")]
        take_in(file, "--camera", "c2", "--start", start)
        assert sorted((row.camera_id, row.state) for row in rows(store)) == [("c2", "done"), ("c2", "waiting")]

    def test_a_wrong_start_of_what_waits_is_mended_at_once(self, store: Store, district: Path) -> None:
        file, right = district / "videos" / "c1.mp4", START + timedelta(hours=2)
        for start in (START, right):
            take_in(file, "--camera", "c1", "--start", start.isoformat(), "--again")
        waiting = [row for row in rows(store) if row.camera_id == "c1" and row.state == "waiting"]
        assert [(row.start, row.end - row.start) for row in waiting] == [(right, timedelta(seconds=9))]
        self.finish(store, "net-1", 1)
        assert len(self.seen(store)) == 1

    def test_what_fails_leaves_what_was_seen(self, store: Store, district: Path) -> None:
        before = self.seen(store)
        take_in(district, "--again")
        [waiting] = [row.id for row in rows(store) if row.camera_id == "c1" and row.state == "waiting"]
        in_transaction(store, segments.fail, waiting, "no video stream")
        assert self.seen(store) == before
        take_in(district)  # it is done
        assert [row.state for row in rows(store) if row.id == waiting] == ["failed"]
        take_in(district, "--again")
        assert self.finish(store, "net-1", 1) == waiting

    def test_a_legal_hold_forbids_it_until_the_end(self, store: Store, district: Path) -> None:
        take_in(district, "--again")
        before = self.seen(store)
        with store.begin() as connection:
            connection.execute(sa.update(tables.cases).values(legal_hold=True))
        with pytest.raises(InputError, match=r"sightings of the segment \d+ of demo can be replaced only when no case"):
            self.finish(store, "net-1", 1)
        assert self.seen(store) == before
        with store.begin() as connection:
            connection.execute(sa.delete(tables.segments).where(tables.segments.c.replaces.is_not(None)))
        with pytest.raises(InputError, match="lift the hold, or leave the segment as it is"):
            take_in(district, "--again")

    def test_what_the_retention_takes_away_needs_no_replacing(self, store: Store, district: Path) -> None:
        take_in(district, "--again")
        remove_before(store, datetime.now(UTC), "old")
        assert [(row.state, row.replaces) for row in rows(store)] == [("waiting", None)] * 2
        after = self.finish(store, "net-2", 1)
        assert self.seen(store) == [(after, "c1", "net-2")]

    def test_a_file_of_several_other_cameras_is_refused(self, store: Store, district: Path) -> None:
        other = district / "videos" / "c2.mp4"
        shutil.copy(district / "videos" / "c1.mp4", other)
        with pytest.raises(
            InputError, match=r"c2\.mp4 must be a recording of one camera: .*c1\.mp4, of c1, has the same"
        ):
            take_in(other, "--camera", "c2", "--start", START.isoformat())
        in_transaction(store, segments.register, "demo", "c2", str(other), sha256_of(other), START)
        extra = write_district(district.parent / "three" / "demo", num_cameras=3)
        take_in(extra)
        with pytest.raises(InputError, match=r"must be registered for one camera to be processed again, got c1, c2"):
            take_in(other, "--camera", "c3", "--start", START.isoformat(), "--again")


def test_files_that_cannot_be_taken_are_all_named_and_the_others_taken(store: Store, tmp_path: Path) -> None:
    take_in(write_district(tmp_path / "demo", num_cameras=1))
    folder = tmp_path / "recordings"
    write_recording(folder / "c1_20260512T184000.mkv.mp4", [RED]).rename(folder / "c1_20260512T184000.mkv")
    write_recording(folder / "holiday.mp4", [GREEN])
    write_recording(folder / "c9_20260512T184000.mp4", [BLUE])
    (folder / "c1_20260512T190000.avi").write_bytes(b"this is no video")
    with pytest.raises(InputError) as refused:
        take_in(folder, tmp_path / "c1_20260512T200000.mp4")
    for complaint in (
        "4 are not:",
        "holiday.mp4 must have a known camera and start",
        "c9_20260512T184000.mp4 must be of a camera of demo (c1), got 'c9'",
        "c1_20260512T190000.avi must be a video that PyAV can read",
        "c1_20260512T200000.mp4 must be a video file; it is missing",
    ):
        assert complaint in str(refused.value)
    assert ("c1_20260512T184000.mkv", "todo") in jobs(store)


def test_a_disk_that_is_full_when_a_job_is_added_is_a_line(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    full = "RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'"
    monkeypatch.setattr(sys, "argv", ["ingest", str(district), "--district", "demo"])
    with store.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {full}; END $$;"
            "CREATE TRIGGER full_disk BEFORE INSERT ON jobs.procrastinate_jobs EXECUTE FUNCTION is_full()"
        )
    try:
        with pytest.raises(SystemExit):
            run_command(ingest.main)
    finally:
        with store.begin() as connection:
            connection.exec_driver_sql("DROP FUNCTION is_full CASCADE")
    said = capsys.readouterr().err
    assert said.startswith("error: the database must answer until the command ends, it did not: No space left")
    assert rows(store) == []
    take_in(district)
    assert jobs(store) == [("c1.mp4", "todo")]


def test_a_file_that_goes_away_before_its_checksum_is_named_and_the_others_taken(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LosesItsShare(VideoReader):
        """Once it has read the first recording, that file is away."""

        def __exit__(self, *raised: Any) -> None:
            super().__exit__(*raised)
            if self.file.name == "c1_20260512T184000.mp4":
                self.file.unlink()

    take_in(write_district(tmp_path / "demo", num_cameras=1))
    folder = tmp_path / "recordings"
    write_recording(folder / "c1_20260512T184000.mp4", [RED])
    write_recording(folder / "c1_20260512T190000.mp4", [GREEN])
    monkeypatch.setattr("serving.ingestion.registration.VideoReader", LosesItsShare)
    with pytest.raises(InputError, match=r"1 are not:\n +\S+c1_20260512T184000\.mp4 must stay readable: No such file"):
        take_in(folder)
    assert ("c1_20260512T190000.mp4", "todo") in jobs(store)


@pytest.mark.parametrize("which", ["video", "sidecar"])
def test_a_file_for_which_memory_does_not_suffice_is_named_and_the_others_taken(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    class NeedsMuch(VideoReader):
        """Has not enough memory for the first recording."""

        def __init__(self, file: Path, *given: Any, **more: Any) -> None:
            if which == "video" and file.name == "c1_20260512T184000.mp4":
                raise MemoryError
            super().__init__(file, *given, **more)

    def read_much(*given: Any, **more: Any) -> Any:
        raise MemoryError

    take_in(write_district(tmp_path / "demo", num_cameras=1))
    folder = tmp_path / "recordings"
    write_recording(folder / "c1_20260512T184000.mp4", [RED])
    write_recording(folder / "c1_20260512T190000.mp4", [GREEN])
    monkeypatch.setattr("serving.ingestion.registration.VideoReader", NeedsMuch)
    if which == "sidecar":
        (folder / "c1_20260512T184000.mp4.yaml").write_text("camera: c1\n")
        monkeypatch.setattr("serving.video.recordings.read_yaml", read_much)
    with pytest.raises(InputError, match=r"1 are not:\n +\S+c1_20260512T184000\.mp4 .* it ended with MemoryError"):
        take_in(folder)
    assert ("c1_20260512T190000.mp4", "todo") in jobs(store)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["a.mp4", "--district", "elsewhere"], r"must be a stored district \(demo\), got elsewhere"),
        (["demo", "--district", "other"], "--district must be demo, as .* says, got other"),
        (["a.mp4", "b.mp4", "--start", "2026-05-12", "--district", "demo"], "with a single video file, got 2"),
    ],
)
def test_calls_that_make_no_sense_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], complaint: str
) -> None:
    take_in(write_district(tmp_path / "demo", num_cameras=1))
    full = [
        str(tmp_path / one) if (tmp_path / one).exists() and before != "--district" else one
        for before, one in pairwise(["", *arguments])
    ]
    with pytest.raises(InputError, match=complaint):
        ingest.main(full)


def test_a_camera_that_is_described_anew_keeps_its_segments(store: Store, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    take_in(district)
    file = district / "district.yaml"
    file.write_text(file.read_text().replace("Gate 1", "North gate").replace("Asia/Seoul", "Asia/Tokyo"))
    take_in(district)
    [stored] = in_transaction(store, stored_districts)
    assert (stored.time_zone, [camera.name for camera in stored.cameras]) == ("Asia/Tokyo", ["North gate"])
    assert segment_states(store) == {"c1.mp4": "waiting"}
