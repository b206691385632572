import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from domain.errors import ArtifactError, InputError
from serving import retention
from serving.database import audit, queries, segments, tables
from serving.database.locks import hold_removers
from serving.database.partitions import existing_partitions
from serving.database.retention import Removal, is_due, remove_before
from serving.database.store import Store
from tests.helpers.project import ROOT
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, put_into_case, tracklet, unit_vectors

CUTOFF = NOON + timedelta(seconds=45)  # tracklet i is last seen 10 i - 5 seconds after noon: the fifth exactly then


class Killed(BaseException):
    """Raised where a process would end."""


@pytest.fixture
def store(shared_store: Store) -> Store:
    """Eight tracklets, one every ten seconds; no case, no removal."""
    with shared_store.begin() as connection:
        connection.execute(sa.delete(tables.cases))
        connection.execute(sa.delete(tables.removals))
    embeddings = unit_vectors(seed=0, number=8, feature=16)
    found = [tracklet(i + 1, embeddings[i], after_s=10 * i) for i in range(8)]
    shared_store.replace_sightings("demo", CAMERAS, "net-1", found)
    return shared_store


def rows(store: Store) -> set[int]:
    with store.begin() as connection:
        return set(connection.execute(sa.select(tables.tracklets.c.id)).scalars())


def crops(store: Store) -> set[int]:
    return {int(file.stem) for file in (store.folder / "crops" / "demo").rglob("*.jpg")}


def records(store: Store) -> list[tuple[datetime, int, int, str]]:
    """Those of the retention."""
    table = tables.removals
    with store.begin() as connection:
        columns = (table.c.cutoff, table.c.tracklets, table.c.crops, table.c.reason)
        of_retention = sa.select(*columns).where(table.c.cutoff.is_not(None)).order_by(table.c.id)
        return [tuple(row) for row in connection.execute(of_retention)]


def test_what_is_older_goes_with_its_crop_and_is_recorded(store: Store) -> None:
    assert remove_before(store, CUTOFF, "old") == Removal(tracklets=4, crops=4)
    assert rows(store) == crops(store) == {5, 6, 7, 8}
    assert records(store) == [(CUTOFF, 4, 4, "old")]
    with store.begin() as connection:
        last = list(audit.records(connection))[-1]
        audit.verify(connection)
    assert (last.action, last.account[:8]) == ("retention", "command:")
    assert last.details.items() >= {"cutoff": CUTOFF.isoformat(), "tracklets": 4, "reason": "old"}.items()


def test_a_second_run_removes_nothing_more(store: Store) -> None:
    remove_before(store, CUTOFF, "old")
    assert remove_before(store, CUTOFF, "old") == Removal(tracklets=0, crops=0)
    assert rows(store) == crops(store) == {5, 6, 7, 8}


def test_a_legal_hold_keeps_the_sightings_of_its_case_until_it_is_lifted(store: Store) -> None:
    put_into_case(store, "demo", [2, 6], legal_hold=True, closed=NOON)
    put_into_case(store, "demo", [1, 2], legal_hold=False)
    remove_before(store, CUTOFF, "old")
    assert rows(store) == crops(store) == {2, 5, 6, 7, 8}
    with store.begin() as connection:
        connection.execute(sa.update(tables.cases).values(legal_hold=False))
    remove_before(store, CUTOFF, "old")
    assert rows(store) == crops(store) == {5, 6, 7, 8}
    with store.begin() as connection:
        assert len(connection.execute(sa.select(tables.cases)).all()) == 2  # a case outlives its sightings
        assert connection.execute(sa.select(tables.case_sightings.c.tracklet_id)).scalars().all() == [6]


def test_a_hold_that_comes_at_the_same_moment_is_kept(store: Store) -> None:
    removing = threading.Thread(target=remove_before, args=(store, CUTOFF, "old"))
    with store.begin() as connection:
        case = sa.insert(tables.cases).values(title="-", legal_hold=True).returning(tables.cases.c.id)
        number = connection.execute(case).scalar_one()
        connection.execute(
            sa.insert(tables.case_sightings).values(case_id=number, district="demo", tracklet_id=3, day=NOON.date())
        )
        removing.start()
        removing.join(0.5)
        assert removing.is_alive()
    removing.join(10)
    assert rows(store) == crops(store) == {3, 5, 6, 7, 8}


def test_nothing_is_removed_while_another_process_removes_or_replaces(store: Store) -> None:
    removing = threading.Thread(target=remove_before, args=(store, CUTOFF, "old"))
    with hold_removers(store.engine):
        removing.start()
        removing.join(0.5)
        assert rows(store) == crops(store) == set(range(1, 9))
    removing.join(10)
    assert rows(store) == crops(store) == {5, 6, 7, 8}


@pytest.mark.parametrize(
    ("commits", "deletions", "left"),
    [
        pytest.param(0, 9, set(range(1, 9)), id="before the rows are gone"),
        pytest.param(1, 9, {5, 6, 7, 8}, id="before the crops are listed"),
        pytest.param(9, 0, {5, 6, 7, 8}, id="before the first crop"),
        pytest.param(9, 2, {5, 6, 7, 8}, id="between two crops"),
        pytest.param(4, 9, {5, 6, 7, 8}, id="before the crops are counted"),
    ],
)
def test_a_killed_run_leaves_no_row_without_its_crop_and_the_next_finishes(
    store: Store, monkeypatch: pytest.MonkeyPatch, commits: int, deletions: int, left: set[int]
) -> None:
    allowed = {"commit": commits, "delete": deletions}

    def count(what: str) -> None:
        allowed[what] -= 1
        if allowed[what] < 0:
            raise Killed(what)

    def commit(_: sa.Connection) -> None:
        count("commit")

    def remove(file: str) -> None:
        count("delete")
        Path(file).unlink()

    with monkeypatch.context() as patch:
        patch.setattr("os.remove", remove)
        sa.event.listen(store.engine, "commit", commit)
        with pytest.raises(Killed):
            remove_before(store, CUTOFF, "old")
        sa.event.remove(store.engine, "commit", commit)
    assert rows(store) == left <= crops(store)
    remove_before(store, CUTOFF, "old")
    assert rows(store) == crops(store) == {5, 6, 7, 8}
    assert sum(record[1] for record in records(store)) == 4


def test_a_crop_that_cannot_be_deleted_is_named_and_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: str) -> None:
        if file.endswith("000002.jpg"):
            raise PermissionError(13, "Permission denied", file)
        Path(file).unlink()

    with monkeypatch.context() as patch:
        patch.setattr("os.remove", refuse)
        with pytest.raises(ArtifactError, match=r"1 of 4 are not: .*000002\.jpg.*run serving\.retention again"):
            remove_before(store, CUTOFF, "old")
    assert crops(store) == {2, 5, 6, 7, 8}
    assert records(store) == [(CUTOFF, 4, 3, "old")]
    assert remove_before(store, CUTOFF, "old") == Removal(tracklets=0, crops=1)
    assert rows(store) == crops(store) == {5, 6, 7, 8}


def test_the_command_takes_the_days_of_the_settings(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    embeddings = unit_vectors(seed=0, number=3, feature=16)
    seen = [now - timedelta(days=days) for days in (6, 8, 31)]
    found = [replace(tracklet(i + 1, embeddings[i]), first_seen=seen[i], last_seen=seen[i]) for i in range(3)]
    store.replace_sightings("demo", CAMERAS, "net-1", found)
    monkeypatch.chdir(store.folder.parent)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("DONGSEON_STORE", raising=False)
    serving = yaml.safe_load((ROOT / "conf" / "serving" / "deployment.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({"serving": serving}))
    retention.main()
    assert rows(store) == {1, 2, 3}  # the demo's people are rendered
    serving["retention"]["kept_districts"] = []
    Path("params.yaml").write_text(yaml.safe_dump({"serving": serving}))
    retention.main()
    assert rows(store) == {1, 2}
    assert "removed 1 tracklets and 1 crops last seen more than 30 days ago" in capsys.readouterr().out
    retention.main(["serving.retention.days=7"])
    assert rows(store) == {1}
    assert [reason for *_, reason in records(store)] == [f"last seen more than {days} days ago" for days in (30, 30, 7)]
    with pytest.raises(InputError, match=r"serving\.retention\.days: Input should be greater than or equal to 1"):
        retention.main(["serving.retention.days=0"])


def on_days(store: Store, days: dict[int, int]) -> None:
    """Fill the store with tracklets (number -> whole days after the first), each of a minute around midday."""
    embeddings = unit_vectors(seed=0, number=len(days), feature=16)
    found = [
        tracklet(number, embeddings[i], after_s=86400 * day, camera=i % 2)
        for i, (number, day) in enumerate(days.items())
    ]
    store.replace_sightings("demo", CAMERAS, "net-1", found)


def partitions(store: Store) -> list[int]:
    """Those of the first four days, by whole days after the first."""
    with store.begin() as connection:
        days = [(day - NOON.date()).days for day in existing_partitions(connection)]
    return [day for day in days if 0 <= day < 4]


def test_a_day_that_is_over_is_dropped_whole_and_one_with_a_held_sighting_is_not(store: Store) -> None:
    on_days(store, {1: 0, 2: 0, 3: 1, 4: 1, 5: 2, 6: 3})
    put_into_case(store, "demo", [3], legal_hold=True)
    put_into_case(store, "demo", [1, 6], legal_hold=False)
    assert partitions(store) == [0, 1, 2, 3]
    assert remove_before(store, NOON + timedelta(days=2, seconds=5), "old") == Removal(tracklets=3, crops=3)
    assert rows(store) == crops(store) == {3, 5, 6}  # the fifth was last seen exactly then
    assert partitions(store) == [1, 2, 3]
    with store.begin() as connection:
        kept = connection.execute(sa.select(tables.case_sightings.c.tracklet_id).order_by("tracklet_id"))
        assert kept.scalars().all() == [3, 6]
        connection.execute(sa.update(tables.cases).values(legal_hold=False))
    assert remove_before(store, NOON + timedelta(days=2, seconds=5), "old") == Removal(tracklets=1, crops=1)
    assert rows(store) == {5, 6}
    assert partitions(store) == [2, 3]


def test_districts_that_are_kept_lose_nothing(store: Store) -> None:
    embeddings = unit_vectors(seed=0, number=2, feature=16)
    store.replace_sightings("other", CAMERAS[:1], "net-1", [tracklet(21, embeddings[0])])
    for district in ("demo", "other"):
        in_transaction(store, segments.open_gap, district, "cam0", NOON, "no answer")
        in_transaction(store, segments.close_gap, district, "cam0", NOON)
    late = NOON + timedelta(days=3)
    assert remove_before(store, late, "old", ["demo"]) == Removal(tracklets=1, crops=1)
    assert rows(store) == crops(store) == set(range(1, 9))
    with store.begin() as connection:
        assert connection.execute(sa.select(tables.gaps.c.district)).scalars().all() == ["demo"]
    assert remove_before(store, late, "old") == Removal(tracklets=8, crops=8)
    store.replace_sightings("other", CAMERAS[:1], "net-1", [])


def slow_crops(store: Store, monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[threading.Event, threading.Event]:
    """The storage of crops stops at this call of fsspec, once, and goes on: two events."""
    is_there, may_go_on = threading.Event(), threading.Event()
    call = getattr(store.crops._files, name)

    def wait(*arguments: object, **more: object) -> object:
        monkeypatch.setattr(store.crops._files, name, call)
        is_there.set()
        assert may_go_on.wait(30)
        return call(*arguments, **more)

    monkeypatch.setattr(store.crops._files, name, wait)
    return is_there, may_go_on


@pytest.mark.parametrize("name", ["find", "rm_file"])
def test_segments_are_stored_while_the_retention_lists_or_deletes_crops(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    is_there, may_go_on = slow_crops(store, monkeypatch, name)
    removing = threading.Thread(target=remove_before, args=(store, CUTOFF, "old"))
    removing.start()
    assert is_there.wait(30)
    segment = in_transaction(store, segments.register, "demo", "cam2", "a.mp4", "a", NOON)
    late = tracklet(1, unit_vectors(1, 1, 16)[0], camera=2, after_s=300)
    store.add_segment(segment.id, [late], "net-1", frames=10, end=NOON)
    may_go_on.set()
    removing.join(30)
    number = segment.id * 1_000_000 + 1
    assert rows(store) == crops(store) == {5, 6, 7, 8, number}
    assert store.crops.read(in_transaction(store, queries.tracklets, [("demo", number)])[0].crop)


def test_crops_of_a_segment_that_is_being_stored_are_no_orphans(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = in_transaction(store, segments.register, "demo", "cam2", "a.mp4", "a", NOON)
    late = tracklet(1, unit_vectors(1, 1, 16)[0], camera=2, after_s=300)
    is_there, may_go_on = slow_crops(store, monkeypatch, "makedirs")
    adding = threading.Thread(
        target=store.add_segment, args=(segment.id, [late], "net-1"), kwargs={"frames": 10, "end": NOON}
    )
    adding.start()
    assert is_there.wait(30)
    store.crops.write("demo", segment.id, [replace(late, id=segment.id * 1_000_000 + 1)])  # its row comes later
    store.crops.write("demo", segment.id + 1, [tracklet(99, late.embedding)])  # a killed process left it
    assert remove_before(store, CUTOFF, "old") == Removal(tracklets=4, crops=5)
    may_go_on.set()
    adding.join(30)
    assert rows(store) == crops(store) == {5, 6, 7, 8, segment.id * 1_000_000 + 1}


def test_it_is_due_once_a_day(store: Store) -> None:
    assert is_due(store)  # what was replaced is no retention
    remove_before(store, CUTOFF, "old")
    assert not is_due(store)
    with store.begin() as connection:
        connection.execute(sa.update(tables.removals).values(removed=datetime.now(UTC) - timedelta(days=1)))
    assert is_due(store)


def test_a_day_that_was_dropped_can_come_again(store: Store) -> None:
    remove_before(store, NOON + timedelta(days=1), "old")
    assert (rows(store), crops(store)) == (set(), set())
    assert 0 not in partitions(store)
    on_days(store, {1: 0, 2: 3})
    assert rows(store) == crops(store) == {1, 2}
    found = queries.nearest(store.engine, unit_vectors(seed=0, number=2, feature=16)[1], "net-1", 1)
    assert [one.id for one in found] == [2]


def test_segments_and_gaps_go_when_nothing_is_left_of_them(store: Store) -> None:
    on_days(store, {1: 0, 2: 0, 3: 5})  # segments of cam0, to the fifth day, and of cam1
    old, late = (NOON + timedelta(days=days) for days in (-1, 4))
    seen_nobody = in_transaction(store, segments.register, "demo", "cam2", "empty.mp4", "a", old)
    store.add_segment(seen_nobody.id, [], "net-1", frames=10, end=old + timedelta(seconds=1))
    waiting = in_transaction(store, segments.register, "demo", "cam2", "waiting.mp4", "b", old)
    failed = in_transaction(store, segments.register, "demo", "cam2", "failed.mp4", "c", old)
    in_transaction(store, segments.fail, failed.id, "no video")
    for camera, since, until in (("cam0", old, old), ("cam1", old, late), ("cam2", old, None)):
        in_transaction(store, segments.open_gap, "demo", camera, since, "no answer")
        if until is not None:
            in_transaction(store, segments.close_gap, "demo", camera, until)
    remove_before(store, NOON + timedelta(days=3), "old")
    table, gaps = tables.segments, tables.gaps
    with store.begin() as connection:
        left = connection.execute(sa.select(table.c.camera_id, table.c.state).order_by(table.c.id)).all()
        assert [tuple(row) for row in left] == [("cam0", "done"), ("cam2", "waiting")]
        assert connection.execute(sa.select(gaps.c.camera_id).order_by(gaps.c.id)).scalars().all() == ["cam1", "cam2"]
    assert in_transaction(store, segments.register, "demo", "cam2", "waiting.mp4", "b", old) == waiting
