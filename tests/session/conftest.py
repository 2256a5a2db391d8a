"""A desk that stopped while it held a position: played once, copied for each test."""

import shutil
from pathlib import Path

import pytest
from lever_stage import kept_broker
from session_stage import SessionStage

from pipelines.session.plan import Ending, StopPolicy


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a session stopped with a position under its stop, the exchange kept on disk."""
    stage = SessionStage(tmp_path_factory.mktemp("stopped"))
    run = stage.made(kept_broker(stage), stop_policy=StopPolicy.LEAVE_PROTECTED)
    stage.on_line = lambda line: run.stop() if "filled: " in line else None
    with_position = run.run()
    assert with_position.ending is Ending.STOPPED
    assert abs(with_position.state.position) == 1
    return stage.home


@pytest.fixture
def holding(stopped: Path, tmp_path: Path) -> SessionStage:
    """A stage on a copy of that home."""
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    return SessionStage(tmp_path)
