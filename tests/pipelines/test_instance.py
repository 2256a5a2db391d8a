"""The Dagster instance: what the file states, who holds the lock, what a power cut left."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest
import yaml
from desk_up import still_working

from engine.errors import InstanceBusy
from pipelines.dagster_home import INSTANCE_FILE, REPOSITORY, dagster_home_of, is_up
from pipelines.instance import _is_worker, end_leftovers, only_one, reap_orphans, remember

SLEEPER = """
import sys, time
import dagster as dg

@dg.op
def sleeps():
    print("started", flush=True)
    time.sleep(600)

@dg.job(executor_def=dg.in_process_executor, name="sleeper")
def sleeper():
    sleeps()

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    sleeper.execute_in_process(instance=instance)
"""
IDLE = """
import time
print("idle", flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, sys, time

children = [
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(2)
]
print("children", *(child.pid for child in children), flush=True)
time.sleep(600)
"""
HOLDER = """
import sys, time
from pathlib import Path
from pipelines.instance import only_one

with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return dagster_home_of(tmp_path / "home")


@contextmanager
def running(script: str, folder: Path, says: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has come as far as to say a word."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        assert process.stdout is not None
        try:
            assert any(says in line for line in process.stdout)
            yield process
        finally:
            process.kill()


def test_the_instance_is_what_the_desk_relies_on(dagster_home: Path) -> None:
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        concurrency = instance.get_concurrency_config()
        queue = concurrency.run_queue_config
        assert queue is not None
        limits = {limit["key"]: limit["limit"] for limit in queue.tag_concurrency_limits}
        assert limits == {"credence/session": 1, "dagster/backfill": 2}
        assert queue.max_concurrent_runs - sum(limits.values()) >= 4, "levers wait for nobody"
        assert concurrency.pool_config.default_pool_limit == 1
        assert instance.run_monitoring_enabled
        assert not instance.run_retries_enabled
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.get_settings("retention")["sensor"]["purge_after_days"]["skipped"] == 2
    stated = yaml.safe_load((dagster_home / "dagster.yaml").read_text())
    assert stated["run_coordinator"]["class"] == "QueuedRunCoordinator"
    assert stated["run_coordinator"]["config"] == {"dequeue_interval_seconds": 1}
    assert (dagster_home / "history").is_dir()


def test_the_code_location_has_one_name_everywhere() -> None:
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["dg"]["project"]

    from pipelines.up import LOCATION

    assert project["code_location_name"] == LOCATION == "credence"
    assert project["code_location_target_module"] == "pipelines.definitions"
    assert yaml.safe_load(INSTANCE_FILE.read_text())["nux"] == {"enabled": False}


def test_a_second_process_is_told_that_the_desk_is_taken(dagster_home: Path) -> None:
    home = dagster_home.parent
    with running(HOLDER, dagster_home, says="held"):
        with (
            pytest.raises(InstanceBusy, match="another `credence up` holds its lock"),
            only_one(dagster_home),
        ):
            raise AssertionError("two desks on one instance")
        assert is_up(home)

    with only_one(dagster_home):
        assert is_up(home)
    assert not is_up(home)


def test_a_run_left_by_a_killed_process_is_failed_and_a_living_one_left_alone(
    dagster_home: Path,
) -> None:
    with (
        running(SLEEPER, dagster_home, says="started") as dying,
        running(SLEEPER, dagster_home, says="started"),
        dg.DagsterInstance.from_config(str(dagster_home)) as instance,
    ):
        dying.send_signal(signal.SIGKILL)
        dying.wait()
        started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))

        orphans = reap_orphans(instance)
        again = reap_orphans(instance)

        assert len(started) == 2
        assert [(orphan.job_name, orphan.pid) for orphan in orphans] == [("sleeper", dying.pid)]
        assert orphans[0].why == f"process {dying.pid} is gone"
        assert again == []
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses.pop(orphans[0].run_id) == dg.DagsterRunStatus.FAILURE
        assert list(statuses.values()) == [dg.DagsterRunStatus.STARTED]


def test_a_process_that_began_after_the_run_is_not_its_worker() -> None:
    began = psutil.Process().create_time()

    assert _is_worker(os.getpid(), started_at=began)
    assert _is_worker(os.getpid(), started_at=began + 3600)
    assert not _is_worker(os.getpid(), started_at=began - 3600)


def test_a_worker_that_only_waits_to_be_buried_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as worker:
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        process = psutil.Process(worker.pid)

        assert process.status() == psutil.STATUS_ZOMBIE
        assert not _is_worker(worker.pid, started_at=process.create_time() + 1)


def test_what_an_earlier_desk_left_running_is_ended_once(dagster_home: Path) -> None:
    with (
        running(IDLE, dagster_home, says="idle") as left,
        running(IDLE, dagster_home, says="idle") as stranger,
    ):
        remember(dagster_home, {"daemon": left.pid, "webserver": stranger.pid})
        kept = dagster_home / "credence-up.json"
        began = json.loads(kept.read_text())
        began["webserver"][1] -= 1000.0  # Its number was another process's when it was kept.
        kept.write_text(json.dumps(began))

        ended = end_leftovers(dagster_home)
        again = end_leftovers(dagster_home)

        assert (ended, again) == (["daemon"], [])
        left.wait(timeout=10)
        assert not psutil.pid_exists(left.pid)
        assert psutil.Process(stranger.pid).is_running()


def test_what_is_spared_of_an_earlier_desk_goes_on(dagster_home: Path) -> None:
    with running(PARENT, dagster_home, says="children") as left:
        run, other = psutil.Process(left.pid).children()
        remember(dagster_home, {"code-server": left.pid})

        ended = end_leftovers(dagster_home, spared={run.pid})

        assert ended == ["code-server"]
        assert still_working([run, other]) == [run]
        assert not psutil.pid_exists(left.pid)
        run.kill()
