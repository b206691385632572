"""What tests of every folder share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from serving.database.embedded import EmbeddedServer
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from tests.helpers.deployments import fill_store, write_deployment
from tests.helpers.project import ROOT

# Tests never time: the first example pays for compilation, and CI must not depend on luck.
settings.register_profile("dongseon", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("dongseon")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Pictures, videos and weights made by others; they are not part of the repository."""
    folder = Path(os.environ.get("DONGSEON_REAL", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip("real pictures and weights are not here; point DONGSEON_REAL at them")
    return folder


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running PostgreSQL."""
    running = EmbeddedServer(tmp_path_factory.mktemp("server") / "postgres")
    running.open()
    yield running
    running.close()


@pytest.fixture
def database(postgres: EmbeddedServer, tmp_path: Path) -> str:
    """Address of an empty database."""
    engine = sa.create_engine(postgres.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{tmp_path.name}"')
    engine.dispose()
    return postgres.url.set(drivername="postgresql", database=tmp_path.name).render_as_string()


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with open_store(tmp_path / "store", database) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for the tests of a module, each of which begins by making it what it needs."""
    with open_store(tmp_path_factory.mktemp("shared") / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A folder from which the service can run, its store filled by `fill_store`; of one module."""
    written = write_deployment(tmp_path_factory.mktemp("deployment"))
    fill_store(written)
    return written
