import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from domain.errors import InputError
from serving.database import tables
from serving.database.connection import connect
from serving.database.embedded import TOOLS
from serving.database.store import open_store
from tests.helpers.project import ROOT


@pytest.fixture
def opened(database: str, tmp_path: Path) -> Iterator[sa.Engine]:
    """The database of today."""
    engine, _ = connect(tmp_path, database)
    yield engine
    engine.dispose()


def dump(database: str) -> str:
    """All of the database as SQL."""
    command = [TOOLS / "pg_dump", "--restrict-key=none", database]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def differences(connection: sa.Connection) -> list[Any]:
    """Between the database and `serving.database.tables`; indices of embeddings and partitions come with the rows."""

    def is_listed(one: Any, name: str | None, kind: str, *_: object) -> bool:
        made_with_rows = r"embeddings_of_|tracklet(s|_embeddings)_\d{8}"
        referred = one.elements[0].target_fullname if kind == "foreign_key_constraint" else str(name)
        return re.match(made_with_rows, referred) is None

    options = {"compare_type": True, "compare_server_default": True, "include_object": is_listed}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata))


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


def test_opening_twice_changes_nothing(database: str, tmp_path: Path) -> None:
    dumps = []
    for _ in range(2):
        connect(tmp_path, database)[0].dispose()
        dumps.append(dump(database))
    assert "CREATE TABLE public.cases" in dumps[0]
    assert dumps[0] == dumps[1]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    database: str, opened: sa.Engine, tmp_path: Path
) -> None:
    with opened.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '99'; DROP TABLE removals")
    before = dump(database)
    with pytest.raises(InputError, match=r"a schema revision up to \d+, it has 99.*update the software"):
        open_store(tmp_path, database)
    assert dump(database) == before


def test_processes_that_open_a_new_database_at_once(database: str, tmp_path: Path) -> None:
    code = "import sys, pathlib; from serving.database.connection import connect; connect(pathlib.Path(), sys.argv[1])"
    opening = [subprocess.Popen([sys.executable, "-c", code, database], cwd=ROOT) for _ in range(2)]
    assert [process.wait(60) for process in opening] == [0, 0]
    engine, _ = connect(tmp_path, database)
    with engine.connect() as connection:
        assert differences(connection) == []
    engine.dispose()
