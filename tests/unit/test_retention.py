import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from domain.errors import ArtifactError, InputError
from serving import audit, retention, tables
from serving.retention import Removal, remove_before
from serving.store import Store, open_store
from tests.conftest import ROOT
from tests.sightings import CAMERAS, NOON, put_into_case, tracklet, unit_vectors

CUTOFF = NOON + timedelta(seconds=45)  # tracklet i is last seen 10 i - 5 seconds after noon: the fifth exactly then


class Killed(BaseException):
    """Raised where a process would end."""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(tmp_path_factory.mktemp("retention") / "store") as store:
        yield store


@pytest.fixture
def store(opened: Store) -> Store:
    """Eight tracklets, one every ten seconds; no case, no removal."""
    with opened._engine.begin() as connection:
        connection.execute(sa.delete(tables.cases))
        connection.execute(sa.delete(tables.removals))
    embeddings = unit_vectors(seed=0, number=8, feature=16)
    found = [tracklet(i + 1, embeddings[i], after_s=10 * i) for i in range(8)]
    opened.replace_sightings("demo", CAMERAS, "net-1", found)
    return opened


def rows(store: Store) -> set[int]:
    with store._engine.begin() as connection:
        return set(connection.execute(sa.select(tables.tracklets.c.id)).scalars())


def crops(store: Store) -> set[int]:
    return {int(file.stem) for file in (store.folder / "crops" / "demo").iterdir()}


def records(store: Store) -> list[tuple[datetime, int, int, str]]:
    table = tables.removals
    with store._engine.begin() as connection:
        columns = (table.c.cutoff, table.c.tracklets, table.c.crops, table.c.reason)
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(table.c.id))]


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
    with store._engine.begin() as connection:
        connection.execute(sa.update(tables.cases).values(legal_hold=False))
    remove_before(store, CUTOFF, "old")
    assert rows(store) == crops(store) == {5, 6, 7, 8}
    with store._engine.begin() as connection:
        assert len(connection.execute(sa.select(tables.cases)).all()) == 2  # a case outlives its sightings
        assert connection.execute(sa.select(tables.case_sightings.c.tracklet_id)).scalars().all() == [6]


def test_a_hold_that_comes_at_the_same_moment_is_kept(store: Store) -> None:
    removing = threading.Thread(target=remove_before, args=(store, CUTOFF, "old"))
    with store._engine.begin() as connection:
        case = sa.insert(tables.cases).values(title="-", legal_hold=True).returning(tables.cases.c.id)
        number = connection.execute(case).scalar_one()
        connection.execute(sa.insert(tables.case_sightings).values(case_id=number, district="demo", tracklet_id=3))
        removing.start()
        removing.join(0.5)
        assert removing.is_alive()
    removing.join(10)
    assert rows(store) == crops(store) == {3, 5, 6, 7, 8}


def test_nothing_is_removed_while_another_process_writes(store: Store) -> None:
    removing = threading.Thread(target=remove_before, args=(store, CUTOFF, "old"))
    with store.sole_writer():
        removing.start()
        removing.join(0.5)
        assert rows(store) == crops(store) == set(range(1, 9))
    removing.join(10)
    assert rows(store) == crops(store) == {5, 6, 7, 8}


@pytest.mark.parametrize(
    ("commits", "deletions", "left"),
    [
        pytest.param(0, 9, set(range(1, 9)), id="before the rows are gone"),
        pytest.param(1, 0, {5, 6, 7, 8}, id="before the first crop"),
        pytest.param(1, 2, {5, 6, 7, 8}, id="between two crops"),
        pytest.param(1, 9, {5, 6, 7, 8}, id="before the crops are counted"),
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

    def unlink(file: Path) -> None:
        count("delete")
        file.rename(tmp / file.name)

    tmp = store.folder.parent / "deleted"
    tmp.mkdir(exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        sa.event.listen(store._engine, "commit", commit)
        with pytest.raises(Killed):
            remove_before(store, CUTOFF, "old")
        sa.event.remove(store._engine, "commit", commit)
    assert rows(store) == left <= crops(store)
    remove_before(store, CUTOFF, "old")
    assert rows(store) == crops(store) == {5, 6, 7, 8}
    assert sum(record[1] for record in records(store)) == 4


def test_a_crop_that_cannot_be_deleted_is_named_and_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = Path.unlink

    def refuse(file: Path) -> None:
        if file.name == "000002.jpg":
            raise PermissionError(13, "Permission denied", str(file))
        delete(file)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
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
    serving = yaml.safe_load((ROOT / "conf" / "serving" / "search.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({"serving": serving}))
    retention.main()
    assert rows(store) == {1, 2}
    assert "removed 1 tracklets and 1 crops last seen before" in capsys.readouterr().out
    retention.main(["serving.retention.days=7"])
    assert rows(store) == {1}
    assert [reason for *_, reason in records(store)] == [f"last seen more than {days} days ago" for days in (30, 7)]
    with pytest.raises(InputError, match=r"serving\.retention\.days: Input should be greater than or equal to 1"):
        retention.main(["serving.retention.days=0"])
