"""`credence up` as a unit: what it refuses, what it clears away, and a dead part is not hidden.

That it serves, refuses a second one and ends as a whole is tested beside the UI it serves.
"""

import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

import psutil
import pytest
from browser import start, status_of, wait_for_end
from desk_up import DeskUp, desk_up, still_working

from engine.errors import InstanceBusy
from pipelines.dagster_home import is_up
from pipelines.session.loop import FLAT_WALL_SECONDS
from pipelines.up import RUN_STOP_SECONDS_MAX, SOCKET_PATH_BYTES_MAX, _socket_of, run_up


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


def long_run(folder: Path) -> Mapping[str, str]:
    """Settings of a desk that serves `long_run` alone."""
    return {"LONG_RUN_FOLDER": str(folder), "PYTHONPATH": str(Path(__file__).parents[1])}


def started(desk: DeskUp, folder: Path) -> tuple[str, int]:
    """A run of the job that goes on: its id, and the process it is in."""
    run_id = start(desk, "long_run", {})
    deadline = time.monotonic() + 60
    while not (folder / "pid").exists():
        assert time.monotonic() < deadline, status_of(desk, run_id)
        time.sleep(0.1)
    return run_id, int((folder / "pid").read_text())


@pytest.mark.slow
def test_a_run_outlives_its_killed_desk_whose_parts_the_next_one_ends(tmp_path: Path) -> None:
    home, environ = tmp_path / "home", long_run(tmp_path)
    worker = None
    try:
        with desk_up(home, environ, module="long_run") as killed:
            killed.wait_for("Credence is at")
            run_id, worker = started(killed, tmp_path)
            left = set(killed.parts(until="daemon").values())
            killed.ends(signal.SIGKILL)
        stayed = [pid for pid in left if psutil.pid_exists(pid)]

        with desk_up(home, environ, module="long_run", port=killed.port) as desk:
            desk.wait_for("that an earlier credence up left running")
            desk.wait_for(f"run {run_id[:8]} of long_run goes on in process {worker}")
            desk.wait_for("Credence is at")
            gone = [pid for pid in left if psutil.pid_exists(pid)]
            status = status_of(desk, run_id)
            is_alive = psutil.pid_exists(worker)
            (tmp_path / "enough").touch()
            ended = wait_for_end(desk, run_id, seconds=30)
            psutil.Process(desk.parts(until="daemon")["daemon"]).kill()
            told = desk.wait_for("ended with code -9; last lines of")
            family = desk.family()
            code = desk.process.wait(timeout=45)
    finally:
        if worker is not None:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    assert (len(stayed), gone) == (3, [])
    assert not [line for line in desk.said if "reaped" in line]
    assert (is_alive, status, ended) == (True, "STARTED", "SUCCESS")
    assert told.startswith("the daemon ")
    assert "daemon.log" in told
    assert code == 3
    assert still_working(family) == []
    assert not is_up(home)


@pytest.mark.campaign
@pytest.mark.slow
def test_a_run_that_outlived_its_desk_can_still_be_terminated_and_its_death_is_noticed(
    tmp_path: Path,
) -> None:
    home, environ = tmp_path / "home", long_run(tmp_path)
    with desk_up(home, environ, module="long_run") as killed:
        killed.wait_for("Credence is at")
        to_end, worker = started(killed, tmp_path)
        (tmp_path / "pid").unlink()
        to_die, dying = started(killed, tmp_path)
        workers = [psutil.Process(worker), psutil.Process(dying)]
        killed.ends(signal.SIGKILL)

    with desk_up(home, environ, module="long_run") as desk:
        desk.wait_for("Credence is at")
        os.kill(dying, signal.SIGKILL)
        with suppress(HTTPError):  # Dagster says that the server of the run is out of reach.
            desk.ask(
                "mutation End($id: String!) { terminateRun(runId: $id) { __typename } }", id=to_end
            )
        ends = [wait_for_end(desk, run_id, seconds=20) for run_id in (to_end, to_die)]
        deadline = time.monotonic() + 20
        while still_working(workers):
            assert time.monotonic() < deadline, workers
            time.sleep(0.1)

    assert ends == ["CANCELED", "FAILURE"]


@pytest.mark.slow
def test_a_terminal_that_is_gone_stops_nothing_and_ctrl_c_does(tmp_path: Path) -> None:
    with desk_up(tmp_path / "home", long_run(tmp_path), module="long_run") as desk:
        desk.wait_for("Credence is at")
        desk.process.send_signal(signal.SIGHUP)

        (tmp_path / "enough").touch()
        ended = wait_for_end(desk, start(desk, "long_run", {}))
        family = desk.family()
        code = desk.ends(signal.SIGINT)

    assert ended == "SUCCESS"
    assert (code, still_working(family)) == (0, [])


def test_a_session_that_is_stopped_with_the_desk_has_the_time_to_get_flat() -> None:
    assert RUN_STOP_SECONDS_MAX >= FLAT_WALL_SECONDS + 15
