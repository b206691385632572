from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from serving.database import tables
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.matching.description import LabelQuestion
from serving.search.messages import SearchRequest
from serving.web.middleware.metrics import read_database_figures
from tests.helpers.deployments import search_service
from tests.helpers.hostile_uploads import picture_file


@pytest.fixture(scope="module")
def store(deployment: Deployment) -> Iterator[Store]:
    with open_store(deployment.store) as opened:
        yield opened


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"dongseon_{name}", labels) or 0.0


def test_the_queue_is_read_from_the_database(store: Store) -> None:
    now = datetime.now(UTC)
    with store.begin() as connection:
        read_database_figures(connection)
        assert (value("segments", state="waiting"), value("queue_age_seconds")) == (0, 0)
        done = value("segments", state="done")
        new = {"district": "demo", "camera_id": "cam0", "source": "a.mp4", "start": now}
        for number, (state, age) in enumerate([("waiting", 500), ("waiting", 100), ("failed", 900)]):
            row = new | {"checksum": str(number), "state": state, "created": now - timedelta(seconds=age)}
            connection.execute(sa.insert(tables.segments), row)
        gap = {"district": "demo", "camera_id": "cam0", "since": now, "reason": "away"}
        connection.execute(sa.insert(tables.gaps), gap)
        read_database_figures(connection)
        assert [value("segments", state=state) for state in ("waiting", "done", "failed")] == [2, done, 1]
        assert 500 <= value("queue_age_seconds") < 520
        assert value("open_gaps") == 1
        connection.rollback()


def test_a_search_is_timed_as_a_whole_and_by_stage(deployment: Deployment) -> None:
    def counted() -> dict[str, float]:
        kinds = {kind: value("search_seconds_count", kind=kind) for kind in ("photo", "attributes")}
        stages = ("decode", "detect", "embed", "database", "re-rank")
        return kinds | {stage: value("stage_seconds_count", stage=stage) for stage in stages}

    service = search_service(deployment)
    before = counted()
    service.search(SearchRequest(photos=[picture_file(np.random.default_rng(0))]))
    service.search(SearchRequest(attributes={"bag": LabelQuestion.model_validate("backpack")}))
    service.close()
    grown = {name: count - before[name] for name, count in counted().items()}
    once = dict.fromkeys(("photo", "attributes", "decode", "detect", "embed", "re-rank"), 1)
    assert grown == {**once, "database": 2}
