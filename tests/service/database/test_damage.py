"""A damaged file of the database: an index is built anew by itself, a table makes the answer say why."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.database import connection, embedded, queries
from serving.database.damage import _REBUILDS, DamagedError
from serving.database.store import Store, open_store
from tests.helpers.sightings import CAMERAS, tracklet, unit_vectors

EMBEDDINGS = unit_vectors(seed=0, number=30, feature=16)
INDEX = "SELECT indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam "
INDEX += "WHERE amname = 'hnsw' AND relkind = 'i'"


@pytest.fixture(scope="module")
def damaged_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a store with sightings and the index of their embeddings."""
    folder = tmp_path_factory.mktemp("damage") / "store"
    with open_store(folder) as store:
        people = [tracklet(i + 1, EMBEDDINGS[i], after_s=i) for i in range(30)]
        store.replace_sightings("demo", CAMERAS, "net-1", people)
    return folder


def scalar(store: Store, statement: str) -> str:
    with store.begin() as connection:
        return str(connection.exec_driver_sql(statement).scalar_one())


def find(store: Store) -> int:
    """Number of the nearest tracklet to the seventh person, by the index."""
    with store.begin() as one:
        one.exec_driver_sql("SET LOCAL enable_seqscan = off")
        vector = "[" + ",".join(map(str, EMBEDDINGS[6])) + "]"
        statement = "SELECT tracklet_id FROM tracklet_embeddings WHERE model_version = 'net-1' "
        statement += "ORDER BY embedding::halfvec(16) <=> %s::halfvec(16) LIMIT 1"
        return int(one.exec_driver_sql(statement, (vector,)).scalar_one())


def overwrite(folder: Path, relation: str, damage: Callable[[bytes], bytes | None]) -> None:
    """Change the pages of a relation while no server runs, or remove its file for None."""
    with open_store(folder) as store:
        scalar(store, "SELECT 1")
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as one:
            one.exec_driver_sql("CHECKPOINT")
        file = folder / "postgres" / scalar(store, f"SELECT pg_relation_filepath('{relation}')")
    content = damage(file.read_bytes())
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [lambda pages: os.urandom(len(pages)), lambda pages: bytes(len(pages)), lambda _: b"", lambda _: None],
    ids=["random", "zeros", "empty", "missing"],
)
def test_a_damaged_index_is_built_anew_once_by_itself(
    damaged_store: Path, damage: Callable[[bytes], bytes | None], caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(damaged_store) as store:
        index = scalar(store, INDEX)
        assert find(store) == 7
    overwrite(damaged_store, index, damage)
    with open_store(damaged_store) as store:
        with pytest.raises(sa.exc.OperationalError) as caught:
            find(store)
        assert isinstance(caught.value.orig, DamagedError)
        assert embedded._comes_true(lambda: store.damage.reason is None and "has been built anew" in caplog.text, 60)
        assert f"the index {index} must be whole, it is damaged and is being built anew" in caplog.text
        assert find(store) == 7
        assert scalar(store, INDEX) == index


def test_a_damaged_index_of_keys_is_built_anew_by_its_name(
    damaged_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Zeros are a page as a crash may leave it: its sum is right, and PostgreSQL names the index, not the file."""
    overwrite(damaged_store, "cases_pkey", lambda pages: bytes(len(pages)))
    by_key = "SELECT count(*) FROM cases WHERE id = 1"
    with open_store(damaged_store) as store:
        with pytest.raises(sa.exc.OperationalError) as caught:
            scalar(store, by_key)
        assert isinstance(caught.value.orig, DamagedError)
        assert embedded._comes_true(
            lambda: "the index cases_pkey was damaged and has been built anew" in caplog.text, 60
        )
        assert scalar(store, by_key) == "0"


def test_a_repair_that_was_cut_off_is_begun_again(damaged_store: Path) -> None:
    """As by a disk that is full, or a database that is killed."""
    waiting = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with open_store(damaged_store) as store:
        index = scalar(store, INDEX)
        file = scalar(store, f"SELECT pg_relation_filenode('{index}')")
        with store.begin() as other:  # another process that builds an index anew
            other.execute(sa.select(sa.func.pg_advisory_xact_lock(_REBUILDS)))
            store.damage._begin_repair(f'invalid page in block 0 of relation "base/5/{file}"')
            assert embedded._comes_true(lambda: bool(other.exec_driver_sql(waiting).all()), 60)
            first = store.damage._repair
            assert first is not None
            first.join(60)
        assert embedded._comes_true(lambda: store.damage.reason is None, 60)
        assert store.damage._repair is not first


def test_an_index_that_is_damaged_again_is_named_and_left(damaged_store: Path) -> None:
    with open_store(damaged_store) as store:
        index = scalar(store, INDEX)
        store.damage._rebuilt.add(index)
        file = scalar(store, f"SELECT pg_relation_filenode('{index}')")
        store.damage._begin_repair(f'invalid page in block 0 of relation "base/5/{file}"')
        assert embedded._comes_true(lambda: "damaged again" in (store.damage.reason or ""), 60)
        assert f"the index {index} must stay whole" in (store.damage.reason or "")


def test_a_damaged_table_is_named_and_the_rest_is_served(damaged_store: Path, caplog: pytest.LogCaptureFixture) -> None:
    overwrite(damaged_store, "case_sightings", lambda pages: os.urandom(max(len(pages), 8192)))
    with open_store(damaged_store) as store:
        with pytest.raises(sa.exc.OperationalError) as caught:
            scalar(store, "SELECT count(*) FROM case_sightings")
        assert isinstance(caught.value.orig, DamagedError)
        assert embedded._comes_true(lambda: "case_sightings must be whole, it is damaged" in caplog.text, 60)
        assert embedded._comes_true(lambda: store.damage.reason is None, 60)
        assert queries.reason_not_ready(store.engine, "net-1") is None
        assert find(store) == 7


def test_a_pgvector_whose_vacuum_can_corrupt_indexes_is_warned_of(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert connection.old_pgvector(store.engine) is None
    found = scalar(store, "SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    major, minor, patch = map(int, found.split("."))
    monkeypatch.setattr(connection, "_PGVECTOR", (major, minor, patch + 1))
    with open_store(store.folder, database) as again:
        assert f"it is {found}, whose VACUUM can corrupt" in (connection.old_pgvector(again.engine) or "")
    assert f"pgvector must be {major}.{minor}.{patch + 1} or newer" in caplog.text
