"""Searches read from a real standby while it keeps up, and from the database itself while it does not."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.errors import InputError
from domain.images import encode_jpeg
from serving.database import replica as replicas
from serving.database.replica import Replica
from serving.search.messages import SearchRequest
from serving.search.service import SearchService
from tests.helpers.deployments import RED, fill_store, picture, search_service, write_deployment
from tests.helpers.standby import Server, primary_and_standby

pytestmark = pytest.mark.timeout(120)
OF_RED = {1, 4, 7, 10}  # by `fill_store`
LOOK_EVERY_S = 0.1


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Server]]:
    monkeypatch.setattr(replicas, "_LOOK_EVERY_S", LOOK_EVERY_S)
    monkeypatch.setattr(replicas, "_LOOK_AGAIN_S", LOOK_EVERY_S)
    with primary_and_standby() as (primary, standby):
        monkeypatch.setenv("DATABASE_URL", primary.url)
        monkeypatch.setenv("DATABASE_REPLICA_URL", standby.url)
        yield primary, standby


@pytest.fixture
def service(servers: tuple[Server, Server], tmp_path: Path) -> Iterator[SearchService]:
    deployment = write_deployment(tmp_path / "service")
    fill_store(deployment)
    opened = search_service(deployment)
    yield opened
    opened.close()


def replica_of(service: SearchService) -> Replica:
    replica = service.store().replica
    assert replica is not None
    return replica


def red(service: SearchService) -> set[int]:
    """The first four that a search for the red person finds."""
    request = SearchRequest.model_validate({"photos": [encode_jpeg(picture(RED, seed=77))], "top_k": 4})
    return {hit.tracklet_id for hit in service.search(request).sightings}


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(LOOK_EVERY_S)


def test_a_search_reads_its_candidates_from_the_replica(service: SearchService, servers: tuple[Server, Server]) -> None:
    _, standby = servers
    wait_until(replica_of(service).keeps_up)
    scans = "SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM pg_stat_user_tables WHERE relname LIKE 'tracklet%%'"
    before = int(standby.ask(scans))
    assert red(service) == OF_RED
    replica_of(service).engine.dispose()  # a connection that ends reports what it has read
    wait_until(lambda: int(standby.ask(scans)) > before)


def test_a_replica_that_is_behind_is_left_until_it_has_caught_up(
    service: SearchService, servers: tuple[Server, Server]
) -> None:
    _, standby = servers
    replica = replica_of(service)
    wait_until(replica.keeps_up)
    standby.ask("SELECT pg_wal_replay_pause() IS NOT NULL")
    with service.store().begin() as connection:
        connection.exec_driver_sql("UPDATE cameras SET name = name")
    wait_until(lambda: not replica.keeps_up())
    assert "it is behind" in service.status().warnings[-1]
    assert red(service) == OF_RED
    standby.ask("SELECT pg_wal_replay_resume() IS NOT NULL")
    wait_until(replica.keeps_up)
    assert service.status().warnings == []


def test_a_replica_that_goes_away_costs_no_search(service: SearchService, servers: tuple[Server, Server]) -> None:
    _, standby = servers
    replica = replica_of(service)
    wait_until(replica.keeps_up)
    assert red(service) == OF_RED
    replica._next_look = time.monotonic() + 60  # it is believed to keep up
    standby.stop()
    assert red(service) == OF_RED
    assert not replica._keeps_up
    standby.start()
    wait_until(replica.keeps_up)


def test_an_embedded_database_has_no_replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_REPLICA_URL", "postgresql://somewhere/else")
    with pytest.raises(InputError, match="DATABASE_REPLICA_URL must stand beside DATABASE_URL"):
        fill_store(write_deployment(tmp_path / "service"))
