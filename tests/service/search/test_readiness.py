"""Ready means: database, engines and index are there."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.database.store import open_store
from serving.matching.description import LabelQuestion
from serving.search.messages import SearchRequest
from serving.search.service import NotReadyError
from tests.helpers.deployments import fill_store, search_service, write_deployment


def test_without_its_index_a_store_is_not_ready_and_says_so_until_it_is_made_again(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    fill_store(deployment)
    service = search_service(deployment)
    try:
        assert service.reason_not_ready() is None
        with open_store(deployment.store) as store, store.begin() as connection:
            name = connection.execute(
                sa.text("SELECT indexname FROM pg_indexes WHERE tablename = 'tracklets' AND indexdef LIKE '%hnsw%'")
            ).scalar_one()
            connection.execute(sa.text(f"DROP INDEX {name}"))
        assert f"the index {name} must be whole, it is missing or broken" in str(service.reason_not_ready())
        with pytest.raises(NotReadyError, match=name):
            service.search(SearchRequest(attributes={"bag": LabelQuestion.model_validate("backpack")}))
        fill_store(deployment)
        assert service.reason_not_ready() is None
    finally:
        service.close()
