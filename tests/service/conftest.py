"""What tests of the service share."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from serving.deployment import Deployment
from tests.helpers.deployments import api_client_of


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[TestClient]:
    """Asks the API of `deployment` as a reviewer."""
    with api_client_of(deployment) as opened:
        yield opened
