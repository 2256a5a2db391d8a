"""A desk on a stage whose session is open."""

import pytest
from desk_stage import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.open_session()
    return stage
