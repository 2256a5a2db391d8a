"""Data homes shared by the tests of the command line; nobody writes to them."""

from pathlib import Path

import pytest
from command_line import ingested, replayed


@pytest.fixture(scope="session")
def ingested_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six generated sessions of bars, and nothing made from them."""
    return ingested(tmp_path_factory.mktemp("ingested") / "home")


@pytest.fixture(scope="session")
def replayed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the full journal of a replay."""
    return replayed(tmp_path_factory.mktemp("replayed") / "home")
