import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from serving import ingest
from serving.database import tables
from serving.database.store import Store, open_store
from tests.deployments import BLUE, GREEN, RED, write_deployment
from tests.recordings import segment_states, write_district, write_recording


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


def set_state(store: Store, state: str) -> None:
    """Of all segments, their jobs ended."""
    with store.begin() as connection:
        connection.execute(sa.update(tables.segments).values(state=state))
        connection.execute(sa.text("SET LOCAL search_path TO jobs"))  # its triggers name no schema
        connection.execute(sa.text("UPDATE procrastinate_jobs SET status = 'succeeded'"))


def take_in(*arguments: object) -> None:
    ingest.main([*map(str, arguments), "--district", "demo"])


def test_a_districts_folder_makes_cameras_segments_and_jobs(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take_in(write_district(tmp_path / "demo"))
    assert [(one.name, one.time_zone, len(one.cameras)) for one in store.districts()] == [("demo", "Asia/Seoul", 3)]
    assert segment_states(store) == {"c1.mp4": "waiting", "c2.mp4": "waiting", "c3.mp4": "waiting"}
    assert jobs(store) == [("c1.mp4", "todo"), ("c2.mp4", "todo"), ("c3.mp4", "todo")]
    assert "3 videos are new" in capsys.readouterr().out


def test_a_file_is_taken_once_whatever_it_is_called(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    take_in(district)
    copy = shutil.copy(district / "videos" / "c1.mp4", tmp_path / "c1_20300101T000000.mp4")
    take_in(district, copy)
    assert "0 videos are new, 0 were done already, 2 wait already" in capsys.readouterr().out
    assert len(jobs(store)) == 1
    set_state(store, "done")
    take_in(district)
    assert "0 videos are new, 1 were done already" in capsys.readouterr().out
    assert [status for _, status in jobs(store)] == ["succeeded"]


def test_a_file_that_failed_is_tried_again(store: Store, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    take_in(district)
    set_state(store, "failed")
    take_in(district)
    assert segment_states(store) == {"c1.mp4": "waiting"}
    assert sorted(jobs(store)) == [("c1.mp4", "succeeded"), ("c1.mp4", "todo")]


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


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["a.mp4", "--district", "elsewhere"], r"must be one that is stored \(demo\), got elsewhere"),
        (["demo", "--district", "other"], "--district must be demo, as .* says, got other"),
        (["a.mp4", "b.mp4", "--start", "2026-05-12", "--district", "demo"], "with a single video file, got 2"),
    ],
)
def test_calls_that_make_no_sense_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], complaint: str
) -> None:
    take_in(write_district(tmp_path / "demo", num_cameras=1))
    full = [str(tmp_path / one) if (tmp_path / one).exists() else one for one in arguments]
    with pytest.raises(InputError, match=complaint):
        ingest.main(full)


def test_a_camera_that_is_described_anew_keeps_its_segments(store: Store, tmp_path: Path) -> None:
    district = write_district(tmp_path / "demo", num_cameras=1)
    take_in(district)
    file = district / "district.yaml"
    file.write_text(file.read_text().replace("Gate 1", "North gate").replace("Asia/Seoul", "Asia/Tokyo"))
    take_in(district)
    [stored] = store.districts()
    assert (stored.time_zone, [camera.name for camera in stored.cameras]) == ("Asia/Tokyo", ["North gate"])
    assert segment_states(store) == {"c1.mp4": "waiting"}
