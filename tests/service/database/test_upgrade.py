"""A store that an earlier version made is brought up to date with all that is in it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from domain.attribute_query import GroupQuery
from serving.access.accounts import Account
from serving.access.roles import Role
from serving.cases.visible import require_in_view
from serving.database import queries
from serving.database.store import open_store
from serving.search.messages import SightingId
from serving.search.service import UnknownSightingError
from tests.helpers.sightings import CAMERAS

LEE = Account("lee", Role.REVIEWER, datetime.now(UTC), expires=None, disabled=None)
MOVED = {
    (name, field) for name in ("tracklets", "tracklets_20260501") for field in ("feature", "embedding", "attributes")
}
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def make_version(
    database: str, revision: str, fill: Callable[[sa.Connection], None]
) -> dict[str, Sequence[sa.Row[Any]]]:
    """A database of a revision with rows; returns the rows of each table that has some."""
    engine = sa.create_engine(sa.make_url(database).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "serving.database:migrations")
        command.upgrade(config, revision)
        fill(connection)
        names = [name for name in sa.inspect(connection).get_table_names() if name != "alembic_version"]
        rows = {name: connection.exec_driver_sql(f"SELECT * FROM {name} ORDER BY 1, 2").all() for name in names}
    engine.dispose()
    return {name: stored for name, stored in rows.items() if stored}


def fill_first_version(connection: sa.Connection) -> None:
    """Tracklets 1 and 2, stored at noon; searches an hour before and after; a verdict, an account, a session."""
    camera = {"district": "demo", **CAMERAS[0].model_dump()}
    connection.exec_driver_sql("INSERT INTO districts VALUES ('demo', 'UTC')")
    connection.execute(sa.insert(sa.table("cameras", *(sa.column(name) for name in camera))), camera)
    connection.exec_driver_sql(
        """
        INSERT INTO segments (district, camera_id, source, checksum, start, "end", state, model_version, created)
        VALUES ('demo', 'cam0', 'a.mp4', 'a', %(noon)s, %(noon)s, 'done', 'net-1', %(noon)s);
        """,
        {"noon": NOON},
    )
    connection.exec_driver_sql("CREATE TABLE tracklets_20260501 PARTITION OF tracklets FOR VALUES IN ('2026-05-01')")
    connection.exec_driver_sql(
        """
        INSERT INTO tracklets SELECT 'demo', id, '2026-05-01', 1, 'cam0', %(noon)s, %(noon)s, '[]', 0.5, 2, '[1,0]',
        '{}', 'net-1', 'crops/demo/1/' || id || '.jpg' FROM generate_series(1, 3) AS id
        """,
        {"noon": NOON},
    )
    connection.exec_driver_sql("INSERT INTO cases (title, legal_hold) VALUES ('Red coat', true), ('Blue coat', false)")
    for case, hours, found in (
        (1, 1, '[["demo", 1], ["demo", 99]]'),
        (1, 2, '[["demo", 1]]'),
        (2, -1, '[["demo", 2]]'),
    ):
        connection.exec_driver_sql(
            "INSERT INTO searches (case_id, account, at, reason, question, model_version, found, coverage) "
            "VALUES (%(case)s, 'lee', %(at)s, 'missing', '{}', 'net-1', %(found)s, '{}')",
            {"case": case, "at": NOON + timedelta(hours=hours), "found": found},
        )
    connection.exec_driver_sql(
        """
        INSERT INTO case_sightings VALUES (1, 'demo', 3, '2026-05-01');
        INSERT INTO verdicts (case_id, district, tracklet_id, verdict, account)
        VALUES (1, 'demo', 3, 'confirmed', 'lee');
        INSERT INTO accounts (name, role, token_id, token_hash) VALUES ('lee', 'reviewer', 'a', 'b');
        INSERT INTO sessions (id_hash, account, expires) VALUES ('c', 'lee', '2100-01-01');
        INSERT INTO removals (tracklets, crops, reason) VALUES (1, 1, 'old');
        INSERT INTO audit VALUES (1, '2026-05-01', 'lee', 'search', '{"reason": "missing"}', 'd')
        """
    )


def test_a_store_of_the_first_version_keeps_every_row(database: str, tmp_path: Path) -> None:
    before = make_version(database, "1", fill_first_version)
    with open_store(tmp_path / "store", database) as store, store.begin() as connection:
        for name, rows in before.items():
            fields = [field for field in rows[0]._fields if (name, field) not in MOVED]
            columns = ", ".join(f'"{column}"' for column in fields)
            kept = connection.exec_driver_sql(f"SELECT {columns} FROM {name} ORDER BY 1, 2").all()
            assert kept == [tuple(row._mapping[field] for field in fields) for row in rows], name
    assert {"tracklets", "cases", "case_sightings", "searches", "verdicts", "sessions", "audit"} <= set(before)


def test_cases_of_the_first_version_show_what_their_searches_found(database: str, tmp_path: Path) -> None:
    make_version(database, "1", fill_first_version)
    with open_store(tmp_path / "store", database) as store, store.begin() as connection:
        shown = [(1, 1), (1, 3)]  # by two searches; by a verdict
        for case, number in shown:
            require_in_view(connection, LEE, case, SightingId(district="demo", tracklet_id=number))
        hidden = [(1, 2), (1, 99), (2, 1), (2, 2)]  # found by none; not stored; of another case; before it was replaced
        for case, number in hidden:
            with pytest.raises(UnknownSightingError):
                require_in_view(connection, LEE, case, SightingId(district="demo", tracklet_id=number))


def fill_one_model(connection: sa.Connection) -> None:
    """The first version's, with attributes of tracklets 1 and 2 as revision 11 keeps them."""
    fill_first_version(connection)
    connection.exec_driver_sql(
        """
        UPDATE tracklets SET attributes = '{"bag": {"none": 0.25, "backpack": 0.75}}' WHERE id = 1;
        UPDATE tracklets SET embedding = '[0,1]', attributes = '{"bag": {"none": 1, "backpack": 0}}' WHERE id = 2;
        INSERT INTO attribute_labels VALUES ('bag', '', 1), ('bag', 'backpack', 2), ('bag', 'none', 3);
        INSERT INTO tracklet_attributes SELECT district, id, day, camera_id, first_seen, last_seen, model_version,
            CASE id WHEN 1 THEN '{750000,750000,250000}'::int[] WHEN 2 THEN '{1000000,0,1000000}' ELSE '{}' END
        FROM tracklets
        """
    )


def test_what_one_model_said_of_sightings_is_kept_in_the_tables_of_several(database: str, tmp_path: Path) -> None:
    make_version(database, "11", fill_one_model)
    backpack = {"bag": GroupQuery(("backpack",), ("none", "backpack"))}
    with open_store(tmp_path / "store", database) as store:
        assert queries.reason_not_ready(store.engine, "net-1") is None
        assert [one.id for one in queries.nearest(store.engine, np.array([0, 1], np.float32), "net-1", 1)] == [2]
        with store.begin() as connection:
            ranked = queries.described(connection, backpack, 3, attributes_version="attributes-1")
            assert [one.id for one in ranked] == [1, 2, 3]
            assert queries.attributes(connection, ranked, "attributes-1") == [
                {"bag": {"none": 0.25, "backpack": 0.75}}, {"bag": {"none": 1, "backpack": 0}}, {},
            ]  # fmt: skip
            index = connection.exec_driver_sql(
                "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%%hnsw%%'"
            ).scalar()
            assert index == 2  # of the table and of its partition
            models = connection.exec_driver_sql("SELECT segment_id, model_version, task FROM segment_models").all()
            assert models == [(1, "net-1", "reid")]
