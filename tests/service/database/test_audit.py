import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from domain.errors import InputError
from serving.database import audit
from serving.database.audit import Action, BrokenAuditError, Head
from serving.database.store import Store
from tests.helpers.project import ROOT

# What JSON in the database brings back in another form: 1e22 as a whole number, 1.0, a tiny number, keys in any order.
DETAILS = {"reason": "실종 아동", "b": 1e22, "a": [1.0, 1e-7, None, True], "nested": {"z": 1, "y": -0.0}}


@pytest.fixture
def filled(store: Store) -> Store:
    """Ten records."""
    for number in range(10):
        with store.begin() as connection:
            audit.append(connection, f"person{number % 3}", Action.SEARCH, DETAILS | {"number": number})
    return store


def head_of(store: Store, noted: Head | None = None) -> Head:
    with store.begin() as connection:
        return audit.verify(connection, noted)


def tamper(store: Store, *statements: str) -> None:
    """As a superuser who switched the triggers off."""
    with store.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_what_was_recorded_is_whole_and_in_order(filled: Store) -> None:
    assert head_of(filled).number == 10
    with filled.begin() as connection:
        kept = list(audit.records(connection))
    assert [record.number for record in kept] == list(range(1, 11))
    assert kept[4].details == DETAILS | {"number": 4}
    assert (kept[4].account, kept[4].action) == ("person1", "search")
    assert sorted(kept, key=lambda record: record.at) == kept


def test_an_empty_audit_is_whole(store: Store) -> None:
    assert head_of(store).number == 0


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        pytest.param(
            ["""UPDATE audit SET details = details || '{"reason": "other"}' WHERE number = 4"""],
            "record 4 was changed or moved",
            id="details",
        ),
        pytest.param(
            ["UPDATE audit SET account = 'nobody' WHERE number = 1"], "record 1 was changed or moved", id="first"
        ),
        pytest.param(
            ["UPDATE audit SET at = at + interval '1 microsecond' WHERE number = 9"],
            "record 9 was changed or moved",
            id="time",
        ),
        pytest.param(["UPDATE audit SET action = 'route' WHERE number = 10"], "record 10 was changed", id="last"),
        pytest.param(["DELETE FROM audit WHERE number = 5"], "record 5 is missing: record 6 follows 4", id="taken out"),
        pytest.param(["DELETE FROM audit WHERE number = 1"], "record 1 is missing: record 2 follows 0", id="beginning"),
        pytest.param(
            ["DELETE FROM audit WHERE number = 5", "UPDATE audit SET number = number - 1 WHERE number > 5"],
            "record 5 was changed or moved",
            id="taken out, the rest moved up",
        ),
        pytest.param(
            [
                "UPDATE audit SET number = 0 WHERE number = 3",
                "UPDATE audit SET number = 3 WHERE number = 4",
                "UPDATE audit SET number = 4 WHERE number = 0",
            ],
            "record 3 was changed or moved",
            id="two swapped",
        ),
    ],
)
def test_verify_names_the_first_record_that_is_not_as_recorded(
    filled: Store, statements: list[str], message: str
) -> None:
    tamper(filled, *statements)
    with pytest.raises(BrokenAuditError, match=message):
        head_of(filled)


def test_what_is_cut_off_at_the_end_shows_against_a_noted_head(filled: Store) -> None:
    noted = head_of(filled)
    tamper(filled, "DELETE FROM audit WHERE number > 8")
    assert head_of(filled).number == 8
    with pytest.raises(BrokenAuditError, match="record 9 is missing: the noted head is record 10"):
        head_of(filled, noted)
    with filled.begin() as connection:
        for _ in range(3):
            audit.append(connection, "thief", Action.ROUTE, {})
    assert head_of(filled).number == 11  # whole in itself
    with pytest.raises(BrokenAuditError, match="record 10 has another hash than the noted head"):
        head_of(filled, noted)


def test_a_noted_head_stays_good_while_records_are_added(filled: Store) -> None:
    noted = Head.parse(str(head_of(filled)))
    with filled.begin() as connection:
        audit.append(connection, "kim", Action.ROUTE, {})
    assert head_of(filled, noted).number == 11


def test_records_of_many_threads_make_one_chain(store: Store) -> None:
    def record(number: int) -> None:
        with store.begin() as connection:
            audit.append(connection, "kim", Action.VIEW, {"number": number})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(record, range(80)))
    assert head_of(store).number == 80


def test_a_record_falls_with_its_transaction(filled: Store) -> None:
    with filled.begin() as connection:
        audit.append(connection, "kim", Action.ROUTE, {})
        connection.rollback()
    assert head_of(filled).number == 10


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET account = 'nobody'",
        "UPDATE audit SET account = 'nobody' WHERE number = 99",
        "DELETE FROM audit WHERE number = 3",
        "TRUNCATE audit",
    ],
)
def test_the_database_refuses_changes(filled: Store, statement: str) -> None:
    refused = pytest.raises(sa.exc.DBAPIError, match=f"the audit is append-only: {statement.split()[0]} is refused")
    with refused, filled.begin() as connection:
        connection.exec_driver_sql(statement)
    assert head_of(filled).number == 10


def test_readings_are_recorded_but_for_those_of_nothing_else(filled: Store) -> None:
    def read(account: str, after: int) -> list[str]:
        with filled.begin() as connection:
            return [f"{one.number} {one.account}" for one in audit.read_by(connection, account, after, limit=100)]

    assert len(read("choi", after=0)) == 10
    assert read("choi", after=10) == ["11 choi"]
    assert read("choi", after=11) == []
    assert read("park", after=10) == ["11 choi"]  # which is news to park
    assert read("choi", after=11) == ["12 park"]
    with filled.begin() as connection:
        kept = list(audit.records(connection, after=10))
    assert [(one.account, one.action, one.details["after"]) for one in kept] == [
        ("choi", "read audit", 0),
        ("park", "read audit", 10),
        ("choi", "read audit", 11),
    ]


def test_a_user_without_a_name_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987_654)  # as in a container that runs as any number
    assert audit.command_account() == "command:987654"


@pytest.mark.parametrize("text", ["", "12", "12:abc", f"x:{'0' * 64}", f"-1:{'0' * 64}"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a head must be NUMBER:HASH"):
        Head.parse(text)


def test_the_commands(filled: Store, database: str, tmp_path: Path) -> None:
    serving = yaml.safe_load((ROOT / "conf" / "serving" / "deployment.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"serving": serving}))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "serving.audit", *arguments]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "DATABASE_URL": database},
            capture_output=True,
            text=True,
            check=False,
        )

    verified = run("verify")
    assert verified.stdout.startswith("10 records, none changed")
    head = verified.stdout.split("--head ")[1].strip()
    lines = [json.loads(line) for line in run("export").stdout.splitlines()]
    assert [line["number"] for line in lines] == list(range(1, 12))
    assert (lines[-1]["action"], lines[-1]["account"][:8]) == ("export", "command:")
    assert lines[9]["hash"] == head.split(":")[1]
    assert run("verify", "--head", head).returncode == 0
    tamper(filled, "DELETE FROM audit WHERE number >= 10")
    broken = run("verify", "--head", head)
    assert (broken.returncode, "error: record 10 is missing" in broken.stderr) == (1, True)


def test_a_long_record_is_cut_where_it_is_written_and_says_so(store: Store) -> None:
    found = [["demo", number] for number in range(100_000)]
    with store.begin() as connection:
        audit.append(connection, "kim", Action.SEARCH, {"case_id": 7, "reason": "실종", "found": found})
        audit.append_change(connection, Action.CONFIGURATION, {"serving": "x" * 100_000})
        audit.append_change(connection, Action.CONFIGURATION, {"serving": "x" * 100_000})  # the same: no record
        search, configuration = audit.records(connection)
        audit.verify(connection)
    assert (search.details["case_id"], search.details["reason"]) == (7, "실종")
    content = json.dumps(found, separators=(",", ":")).encode()
    assert search.details["found"] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert configuration.details["serving"]["bytes"] == 100_002


def add_long_records(store: Store, number: int, length: int) -> None:
    """Records of a version without a limit, of `length` bytes each; the chain of their hashes is whole."""
    for _ in range(number):
        with store.begin() as connection, pytest.MonkeyPatch.context() as patch:
            patch.setattr(audit, "MOST_DETAILS_BYTES", 10 * length)
            audit.append(connection, "kim", Action.ROUTE, {"cameras": "0" * length})


def test_a_page_of_the_audit_is_bounded_and_all_pages_have_every_record(store: Store) -> None:
    with store.begin() as connection:
        for _ in range(150):
            audit.append(connection, "kim", Action.ROUTE, {"cameras": os.urandom(6000).hex()})
    add_long_records(store, 2, length=3_000_000)
    read: list[int] = []
    while True:
        with store.begin() as connection:
            page = audit.read_by(connection, "choi", read[-1] if read else 0, limit=1000)
        if not page:
            break
        assert sum(len(audit.as_line(record).encode()) for record in page) < 1_100_000
        read += [record.number for record in page]
    assert read[:152] == list(range(1, 153))


def test_long_records_are_verified_and_exported_some_megabytes_at_a_time(store: Store) -> None:
    add_long_records(store, 30, length=3_000_000)  # 90 MB
    tracemalloc.start()
    assert head_of(store).number == 30
    with store.begin() as connection:
        assert [record.number for record in audit.records(connection)] == list(range(1, 31))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 60_000_000
