"""Data homes shared by the tests of the command line; nobody writes to them."""

from pathlib import Path

import pytest
from command_line import ingested, learned, replayed
from made_once import made_once


@pytest.fixture(scope="session")
def ingested_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six generated sessions of bars, and nothing made from them."""
    return made_once(tmp_path_factory, "ingested", ingested)


@pytest.fixture(scope="session")
def replayed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the full journal of a replay."""
    return made_once(tmp_path_factory, "replayed", replayed)


@pytest.fixture(scope="session")
def learned_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with market tables, a replay that learned, and the nights of it."""
    return made_once(tmp_path_factory, "learned", learned)
