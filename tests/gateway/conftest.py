"""Shared by the tests of the gateway."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def client_cache(request: pytest.FixtureRequest) -> Path:
    """Where the environments of other clients are kept from one test run to the next."""
    return Path(request.config.cache.mkdir("gateway-clients"))
