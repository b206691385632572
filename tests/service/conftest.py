"""What tests of the service share."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from serving.access.roles import Role
from serving.deployment import Deployment
from tests.helpers.deployments import REVIEWER, api_client_of, token_of


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[TestClient]:
    """Asks the API of `deployment` as a reviewer."""
    with api_client_of(deployment) as opened:
        yield opened


@pytest.fixture(scope="module")
def people(deployment: Deployment) -> Iterator[dict[str, TestClient]]:
    """Requests of the operators kim and park, and of the reviewer lee."""
    kim, park = (replace(REVIEWER, name=name, role=Role.OPERATOR) for name in ("kim", "park"))
    for account in (kim, park):
        token_of(deployment, account.name, Role.OPERATOR)
    with (
        api_client_of(deployment, account=kim) as asks_as_kim,
        api_client_of(deployment, account=park) as asks_as_park,
        api_client_of(deployment) as asks_as_lee,
    ):
        yield {"kim": asks_as_kim, "park": asks_as_park, "lee": asks_as_lee}
