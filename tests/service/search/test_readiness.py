"""Ready means: database, engines and index are there."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.database import damage, embedded
from serving.database.store import open_store
from serving.matching.description import LabelQuestion
from serving.search.connected import NotReadyError
from serving.search.messages import SearchRequest
from tests.helpers.deployments import fill_store, search_service, write_deployment


def test_without_its_index_a_store_is_not_ready_and_says_so_until_it_is_made_again(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    fill_store(deployment)
    service = search_service(deployment)
    try:
        assert service.reason_not_ready() is None
        with open_store(deployment.store) as store, store.begin() as connection:
            indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'tracklet_embeddings' "
            name = connection.execute(sa.text(f"{indexes} AND indexdef LIKE '%hnsw%'")).scalar_one()
            connection.execute(sa.text(f"DROP INDEX {name}"))
        assert f"the index {name} must be whole, it is missing or broken" in str(service.reason_not_ready())
        with pytest.raises(NotReadyError, match=name):
            service.search(SearchRequest(attributes={"bag": LabelQuestion.model_validate("backpack")}))
        fill_store(deployment)
        assert service.reason_not_ready() is None
    finally:
        service.close()


def test_a_service_that_can_let_nobody_in_is_not_ready(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    fill_store(deployment)
    service = search_service(deployment)
    try:
        assert service.reason_not_ready() is None
        with open_store(deployment.store) as store, store.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
            assert "no account can be let in" in str(service.reason_not_ready())
        assert service.reason_not_ready() is None
    finally:
        service.close()


def test_a_service_with_a_damaged_index_names_it_until_it_is_built_anew(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    fill_store(deployment)
    with open_store(deployment.store) as store, store.begin() as connection:
        index = "SELECT indexrelid::regclass::text, pg_relation_filenode(indexrelid) FROM pg_index "
        index += "JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam "
        index += "WHERE amname = 'hnsw' AND relkind = 'i'"
        name, number = connection.exec_driver_sql(index).one()
    service = search_service(deployment)
    try:
        assert service.reason_not_ready() is None
        store = service.store()
        with store.begin() as other:  # another process that builds an index anew
            other.execute(sa.select(sa.func.pg_advisory_xact_lock(damage._REBUILDS)))
            store.damage._begin_repair(f'invalid page in block 0 of relation "base/5/{number}"')
            assert embedded._comes_true(lambda: store.damage.reason is not None, 60)
            assert f"the index {name} must be whole, it is damaged" in str(service.reason_not_ready())
            assert service.status().reason == service.reason_not_ready()
            with pytest.raises(NotReadyError, match=name):
                service.search(SearchRequest(attributes={"bag": LabelQuestion.model_validate("backpack")}))
        assert embedded._comes_true(lambda: service.reason_not_ready() is None, 60)
    finally:
        service.close()
