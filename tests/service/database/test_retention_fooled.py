"""Retention believes neither a wrong clock nor a wrong start, and a strange name stops it for nobody else."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from domain.errors import ArtifactError, InputError
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.retention import RetentionSettings, is_due, remove_before, remove_old
from serving.database.store import Store
from serving.ingestion.segment_work import SegmentWork
from tests.helpers.sightings import CAMERAS, tracklet, unit_vectors

SETTINGS = RetentionSettings(days=30, kept_districts=(), case_days=365, most_days=7, most_share=0.5)
FAR = datetime(2150, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(shared_store: Store) -> Store:
    """A store with a record of a minute ago, no sighting and no case."""
    with shared_store.begin() as connection:
        for table in (tables.cases, tables.removals, tables.districts):
            connection.execute(sa.delete(table))
        audit.append(connection, "kim", Action.SIGN_IN, {})
    remove_before(shared_store, datetime(1900, 1, 1, tzinfo=UTC), "-")
    return shared_store


def fill(store: Store, ages: Mapping[int, float], *, last_seen: datetime | None = None) -> None:
    """Store tracklets (number -> days since it was last seen), registered now."""
    now = datetime.now(UTC)
    vectors = unit_vectors(seed=0, number=len(ages), feature=16)
    seen = {number: last_seen or now - timedelta(days=age) for number, age in ages.items()}
    found = [
        replace(tracklet(number, vectors[i]), first_seen=seen[number], last_seen=seen[number])
        for i, number in enumerate(ages)
    ]
    store.replace_sightings("suseong", CAMERAS, "net-1", found)


def date_back(store: Store, days: float, *names: str) -> None:
    """Move what these tables recorded into the past, which is as if this machine's clock ran ahead since."""
    columns = {"audit": "at", "segments": "created", "removals": "removed"}
    with store.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # the audit refuses changes
        for name in names or columns:
            column = columns[name]
            connection.exec_driver_sql(
                f"UPDATE {name} SET {column} = {column} - make_interval(days => %(days)s)", {"days": days}
            )


def rows(store: Store) -> set[int]:
    with store.begin() as connection:
        return set(connection.execute(sa.select(tables.tracklets.c.id)).scalars())


@pytest.mark.parametrize("days", [40, 400, -40, 2])
def test_a_clock_far_from_every_record_removes_nothing_until_a_person_insists(store: Store, days: int) -> None:
    fill(store, dict.fromkeys(range(1, 21), 40))
    date_back(store, days)
    with pytest.raises(InputError, match=r"clock must agree with the newest record .*--clock-is-right"):
        remove_old(store, SETTINGS)
    assert rows(store) == set(range(1, 21))
    assert remove_old(store, SETTINGS, clock_is_right=True).tracklets == 20
    fill(store, {1: 40, 2: 0})
    assert remove_old(store, SETTINGS).tracklets == 1  # what was insisted on is a record


@pytest.mark.parametrize("name", ["audit", "removals", "segments"])
def test_one_new_record_of_any_kind_shows_that_the_clock_is_right(store: Store, name: str) -> None:
    fill(store, {1: 40, 2: 0})
    date_back(store, 40, *({"audit", "removals", "segments"} - {name}))
    assert remove_old(store, SETTINGS).tracklets == (2 if name != "segments" else 1)


def test_a_wrong_hour_of_the_past_does_not_count_for_ever(store: Store) -> None:
    date_back(store, -400, "audit")
    with store.begin() as connection:
        audit.append(connection, "kim", Action.SIGN_IN, {})  # once the clock was set right
    fill(store, {1: 40, 2: 0})
    assert remove_old(store, SETTINGS).tracklets == 1


@pytest.mark.parametrize(
    ("ages", "message"),
    [
        pytest.param(
            {n: 31 + n for n in range(1, 10)} | dict.fromkeys(range(10, 40), 1), "at most 7 days.*got 9", id="days"
        ),
        pytest.param({1: 31.5, 2: 33, 3: 35, 4: 1, 5: 1}, "at most 50% of the sightings.*got 3 of 5", id="share"),
    ],
)
def test_a_run_that_would_remove_very_much_removes_nothing_until_a_person_insists(
    store: Store, ages: dict[int, float], message: str
) -> None:
    fill(store, ages)
    with pytest.raises(InputError, match=message):
        remove_old(store, SETTINGS)
    assert rows(store) == set(ages)
    remove_old(store, SETTINGS, clock_is_right=True)
    assert rows(store) == {number for number, age in ages.items() if age < 30}


def test_the_last_day_of_a_store_goes_as_every_day_did(store: Store) -> None:
    fill(store, {1: 31, 2: 31})
    assert remove_old(store, SETTINGS).tracklets == 2


def test_a_start_in_the_future_keeps_nobody_longer_than_the_registration(store: Store) -> None:
    fill(store, {1: 0, 2: 0}, last_seen=FAR)
    assert remove_old(store, SETTINGS).tracklets == 0
    date_back(store, 31, "segments")
    assert remove_old(store, SETTINGS).tracklets == 2
    with store.begin() as connection:
        assert connection.execute(sa.select(tables.segments.c.id)).all() == []


def test_times_that_a_wrong_clock_wrote_are_corrected_and_grow_old(store: Store) -> None:
    fill(store, {1: 0}, last_seen=FAR)
    with store.begin() as connection:
        number = connection.execute(sa.select(sa.func.max(tables.segments.c.id))).scalar_one()
        connection.execute(sa.update(tables.segments).where(tables.segments.c.id == number).values(created=FAR))
        connection.execute(sa.insert(tables.cases).values(title="Kim", legal_hold=False, closed=FAR))
    remove_old(store, SETTINGS, clock_is_right=True)
    with store.begin() as connection:
        created = connection.execute(sa.select(tables.segments.c.created)).scalar_one()
        closed = connection.execute(sa.select(tables.cases.c.closed)).scalar_one()
    assert abs(datetime.now(UTC) - created) < timedelta(hours=1) > abs(datetime.now(UTC) - closed)
    date_back(store, 31, "segments")
    assert remove_old(store, SETTINGS).tracklets == 1


def test_a_clock_that_was_set_back_does_not_put_the_next_run_off(store: Store) -> None:
    remove_before(store, datetime.now(UTC), "-")
    assert not is_due(store)
    date_back(store, -40, "removals")  # the last run is still to come
    assert is_due(store)


def test_strange_names_are_named_and_hinder_no_other_district(store: Store) -> None:
    fill(store, {1: 40, 2: 0})
    with store.begin() as connection:
        for name in ("../outside", "a/b", "."):  # from before names were checked
            connection.execute(sa.insert(tables.districts), {"name": name, "time_zone": "UTC"})
    crops = store.folder / "crops"
    outside = store.folder.parent / "outside" / "3" / "000001.jpg"
    for file in (outside, crops / "a" / "b" / "x" / "1.jpg", crops / "old" / "3" / "000001.jpg", crops / "notes.txt"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    (crops / "suseong" / "copy of 1").mkdir()
    (crops / "suseong" / "copy of 1" / "000001.jpg").write_bytes(b"")
    with pytest.raises(ArtifactError, match="must lead into the folder of the crops"):
        remove_old(store, SETTINGS)
    assert rows(store) == {2}
    assert [file.name for file in (crops / "suseong").rglob("*.jpg") if "copy" not in str(file)] == ["000002.jpg"]
    assert outside.exists()
    with store.begin() as connection:
        connection.execute(sa.delete(tables.districts).where(tables.districts.c.name.in_(["../outside", "."])))
    assert set(remove_old(store, SETTINGS).strange) == {
        "crops/a/b/x",
        "crops/old",
        "crops/notes.txt",
        "crops/suseong/copy of 1",
    }
    assert (crops / "old" / "3" / "000001.jpg").exists()


def test_the_daily_job_says_why_it_removed_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    fill(store, {1: 40})
    date_back(store, 40)
    work = cast(SegmentWork, SimpleNamespace(store=store, retention=SETTINGS))
    with caplog.at_level(logging.INFO, "serving.ingestion"):
        SegmentWork.remove_old(work, 0)
    assert "clock must agree" in caplog.text
    assert rows(store) == {1}


# --- cases ---


def add_case(store: Store, title: str, **values: Any) -> int:
    """A case with a search and a verdict."""
    with store.begin() as connection:
        new = sa.insert(tables.cases).values({"title": title, "legal_hold": False, **values})
        number = int(connection.execute(new.returning(tables.cases.c.id)).scalar_one())
        by = {"case_id": number, "account": "kim"}
        search = {"reason": f"{title} is missing", "question": {}, "model_version": "-", "found": [], "coverage": {}}
        connection.execute(sa.insert(tables.searches).values(by | search))
        verdict = {"district": "suseong", "tracklet_id": 1, "verdict": "rejected"}
        connection.execute(sa.insert(tables.verdicts).values(by | verdict))
        return number


def titles(store: Store) -> set[str]:
    with store.begin() as connection:
        return set(connection.execute(sa.select(tables.cases.c.title)).scalars())


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def test_a_closed_case_goes_with_its_reasons_and_verdicts_unless_it_is_held(store: Store) -> None:
    gone = add_case(store, "Kim Minji", closed=ago(366))
    add_case(store, "Lee", closed=ago(364))
    add_case(store, "Park", closed=ago(3660), legal_hold=True)
    add_case(store, "Choi", opened=ago(3660))
    assert remove_old(store, SETTINGS).cases == 1
    assert titles(store) == {"Lee", "Park", "Choi"}
    with store.begin() as connection:
        for table in (tables.searches, tables.verdicts):
            assert len(connection.execute(sa.select(table.c.case_id)).all()) == 3
        kept = [record.details for record in audit.records(connection) if record.action == "retention"]
        assert sum("Kim Minji" in str(details) for details in kept) == 0
    (details,) = [each for each in kept if gone in each.get("cases", [])]
    assert details.items() >= {"cases": [gone], "searches": 1, "verdicts": 1}.items()


def test_cases_closed_on_many_days_or_by_a_wrong_clock_stay_until_a_person_insists(store: Store) -> None:
    for days in range(8):
        add_case(store, f"case {days}", closed=ago(400 + days))
    with pytest.raises(InputError, match=r"cases that were closed on at most 7 days.*got 8 cases of 8 days"):
        remove_old(store, SETTINGS)
    assert len(titles(store)) == 8
    assert remove_old(store, SETTINGS, clock_is_right=True).cases == 8
    add_case(store, "Kim", closed=ago(400))
    date_back(store, 400)
    with pytest.raises(InputError, match="clock must agree"):
        remove_old(store, SETTINGS)
    assert titles(store) == {"Kim"}
