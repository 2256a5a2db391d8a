"""`credence up` as a unit: what it refuses, what it clears away, and a dead part is not hidden.

That it serves, refuses a second one and ends as a whole is tested beside the UI it serves.
"""

import signal
import socket
from pathlib import Path

import psutil
import pytest
from desk_up import desk_up, still_working

from engine.errors import InstanceBusy
from pipelines.dagster_home import is_up
from pipelines.up import SOCKET_PATH_BYTES_MAX, _socket_of, run_up


def refuse(text: str) -> None:
    raise AssertionError(f"it should have refused to start, but said {text}")


@pytest.fixture(autouse=True)
def no_other_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


def test_a_taken_port_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(InstanceBusy, match="choose another with --port"):
            run_up(tmp_path / "home", port=taken.getsockname()[1], say=refuse)

    assert not (tmp_path / "home" / "dagster" / "logs").exists()


def test_a_data_home_with_a_long_name_still_has_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("a very long name " * 6)

    socket_of_deep = _socket_of(deep)

    assert len(str(socket_of_deep)) <= SOCKET_PATH_BYTES_MAX < len(str(deep))
    assert _socket_of(Path("/data/dagster")) == Path("/data/dagster/code-server.sock")


@pytest.mark.slow
def test_what_a_killed_desk_left_running_is_ended_and_a_dead_part_is_reported(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with desk_up(home) as killed:
        left = set(killed.parts(until="daemon").values())
        killed.ends(signal.SIGKILL)
    assert len([pid for pid in left if psutil.pid_exists(pid)]) == 3

    with desk_up(home) as desk:
        desk.wait_for("that an earlier credence up left running")
        parts = desk.parts(until="daemon")
        gone = [pid for pid in left if psutil.pid_exists(pid)]
        psutil.Process(parts["daemon"]).kill()
        told = desk.wait_for("ended with code -9; last lines of")
        family = desk.family()
        code = desk.process.wait(timeout=45)

    assert gone == []
    assert told.startswith("the daemon ")
    assert "daemon.log" in told
    assert code == 3
    assert still_working(family) == []
    assert not is_up(home)
