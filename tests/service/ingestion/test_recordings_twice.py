"""Nobody is in the store twice: files that grow, overlap, are copied, or have another name or container."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from serving import ingest, worker
from serving.database import tables
from serving.database.store import Store, open_store
from serving.search.coverage import coverage_of
from tests.helpers.deployments import BLUE, GREEN, RED, write_deployment
from tests.helpers.recordings import START, write_district, write_recording
from tests.helpers.sightings import put_into_case
from tests.helpers.stamped_videos import remux

EACH_S = 4.5  # a person and the dark after them, see `write_recording`


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Store]]:
    folder = tmp_path_factory.mktemp("deployment")
    write_deployment(folder)
    with open_store(folder / "store") as store:
        yield folder, store


@pytest.fixture
def store(deployment: tuple[Path, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """With two cameras that recorded nothing yet."""
    folder, store = deployment
    monkeypatch.chdir(folder)
    with store.begin() as connection:
        connection.execute(sa.delete(tables.cases))
        connection.execute(sa.delete(tables.districts))
        connection.execute(sa.text("TRUNCATE jobs.procrastinate_jobs CASCADE"))
    district = write_district(tmp_path / "demo", num_cameras=2)
    shutil.rmtree(district / "videos")
    with pytest.raises(InputError, match="2 are not"):
        ingest.main([str(district), "--district", "demo"])
    return store


def take_in(*arguments: object) -> None:
    ingest.main([*map(str, arguments), "--district", "demo"])


def work() -> None:
    worker.main(["--until-empty"])


def named(start: datetime, suffix: str = ".ts", camera: str = "c1") -> str:
    return f"{camera}_{start:%Y%m%dT%H%M%SZ}{suffix}"


def segments(store: Store) -> list[sa.Row[Any]]:
    with store.begin() as connection:
        return list(connection.execute(sa.select(tables.segments).order_by("id")))


def sightings(store: Store) -> list[float]:
    """Seconds since `START` at which people are seen first."""
    with store.begin() as connection:
        seen = connection.execute(sa.select(tables.tracklets.c.first_seen).order_by("first_seen")).scalars()
        return [(moment - START).total_seconds() for moment in seen]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, one after the other, as a transport stream."""
    folder = tmp_path_factory.mktemp("whole")
    return remux(write_recording(folder / "whole.mp4", [RED, GREEN, BLUE]), folder / "whole.ts")


@pytest.mark.parametrize("is_processed", [True, False], ids=["done", "waiting"])
def test_a_file_that_has_grown_takes_the_place_of_its_beginning(
    store: Store, tmp_path: Path, whole: Path, is_processed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "recordings" / named(START)
    file.parent.mkdir()
    content = whole.read_bytes()
    file.write_bytes(content[: len(content) // 2 // 188 * 188])
    take_in(file.parent)
    if is_processed:
        work()
        assert 1 <= len(sightings(store)) < 3
    file.write_bytes(content)
    take_in(file.parent)
    said = capsys.readouterr().out
    assert "1 changed and processed again" in said
    assert f"{file.name} has changed since it was" in said
    work()
    assert sightings(store) == pytest.approx([0, EACH_S, 2 * EACH_S], abs=0.3)
    [segment] = segments(store)
    assert (segment.state, segment.replaces) == ("done", None)
    assert (segment.end - segment.start).total_seconds() == pytest.approx(3 * EACH_S, abs=0.1)
    take_in(file.parent)
    assert "1 already done" in capsys.readouterr().out


def test_a_changed_file_whose_people_are_in_a_case_is_replaced_only_if_that_is_said(
    store: Store, tmp_path: Path, whole: Path
) -> None:
    file, content = tmp_path / named(START), whole.read_bytes()
    file.write_bytes(content[: len(content) // 2 // 188 * 188])
    take_in(file)
    work()
    [first] = segments(store)
    put_into_case(store, "demo", [first.id * 1_000_000 + 1], legal_hold=False)
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"must not change after .* it has sightings in the cases \d+; give --again"):
        take_in(file)
    file.write_bytes(content[: len(content) // 3 // 188 * 188])
    with pytest.raises(InputError, match=r"it ends at .* instead of .* now and has sightings in the cases"):
        take_in(file)
    file.write_bytes(content)
    take_in(file, "--again")
    work()
    assert len(sightings(store)) == 3


def test_files_that_overlap_are_both_taken_and_looked_at_once(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recordings"
    later = START + timedelta(seconds=2 * EACH_S)
    write_recording(folder / named(START, ".mp4"), [RED, GREEN, BLUE], seed=1)
    write_recording(folder / "sub" / named(later, ".MP4.mp4"), [BLUE, RED], seed=2).rename(
        folder / "sub" / named(later, ".MP4")
    )
    take_in(folder)
    assert f"{named(later, '.MP4')} overlaps {folder / named(START, '.mp4')} by 4 s, in which it is not" in (
        capsys.readouterr().out
    )
    work()
    assert sightings(store) == pytest.approx([0, EACH_S, 2 * EACH_S, 3 * EACH_S], abs=0.3)
    first, second = segments(store)
    assert first.damage is None
    assert "45 frames were not looked at, because another recording of c1 has their times" in second.damage
    assert (second.looked_at, second.due) == (45, 45)
    [covered] = coverage_of(store, second.model_version).cameras[0].searched
    assert (covered.since, covered.until) == (START, START + timedelta(seconds=4 * EACH_S))


def test_a_copy_is_refused_whatever_its_name_and_container(store: Store, tmp_path: Path) -> None:
    first = write_recording(tmp_path / named(START, ".mp4"), [RED, GREEN])
    take_in(first)
    copies = tmp_path / "copies"
    inside = START + timedelta(seconds=2)
    copies.mkdir()
    remux(first, copies / named(START, ".mkv"))
    write_recording(copies / named(inside, ".mp4"), [RED])
    shutil.copy(first, copies / named(START, ".mp4", camera="c2"))
    with pytest.raises(InputError, match="3 are not") as refused:
        take_in(copies)
    assert str(refused.value).count("must add time to the recordings of c1") == 2
    assert "must be a recording of one camera" in str(refused.value)
    assert len(segments(store)) == 1
    link = tmp_path / "linked" / named(START, ".mp4")
    link.parent.mkdir()
    link.symlink_to(first)
    take_in(link.parent)
    assert len(segments(store)) == 1


def test_the_same_path_with_another_recording_at_another_time_is_another_segment(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "latest.mp4"
    for number in range(2):
        write_recording(file, [RED], seed=number)
        take_in(file, "--camera", "c1", "--start", (START + timedelta(hours=number)).isoformat())
    assert [segment.start - START for segment in segments(store)] == [timedelta(), timedelta(hours=1)]


def test_a_done_file_with_another_start_says_so(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_recording(tmp_path / "gate.mp4", [RED])
    take_in(file, "--camera", "c1", "--start", START.isoformat())
    with store.begin() as connection:
        connection.execute(sa.update(tables.segments).values(state="done"))
    take_in(file, "--camera", "c1", "--start", (START + timedelta(hours=1)).isoformat())
    assert "gate.mp4 is done already, with the start 2026-05-01T09:00:00" in capsys.readouterr().out


def test_a_pause_of_a_recording_is_not_covered(store: Store, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "source.mp4", [RED, GREEN])
    remux(source, tmp_path / named(START, ".mkv"), lambda time_s: time_s + 60 * (time_s > EACH_S - 0.05))
    take_in(tmp_path / named(START, ".mkv"))
    work()
    [segment] = segments(store)
    assert sightings(store) == pytest.approx([0, EACH_S + 60], abs=0.3)
    assert "pauses for more than 10 s once, 0:01:00 in all" in segment.damage
    assert (segment.end - segment.start).total_seconds() == pytest.approx(69, abs=0.2)
    searched = coverage_of(store, segment.model_version).cameras[0].searched
    ends = [((part.since - START).total_seconds(), (part.until - START).total_seconds()) for part in searched]
    assert ends == [pytest.approx((0, 4.4), abs=0.15), pytest.approx((64.5, 69), abs=0.15)]


def test_a_recording_that_slows_down_ends_with_its_last_frame(store: Store, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "source.mp4", [RED, GREEN])
    remux(source, tmp_path / named(START, ".mkv"), lambda time_s: time_s + max(0, time_s - 6) * 7)
    take_in(tmp_path / named(START, ".mkv"))
    work()
    [segment] = segments(store)
    assert (segment.end - segment.start).total_seconds() == pytest.approx(6 + 2.9 * 8, abs=1)
