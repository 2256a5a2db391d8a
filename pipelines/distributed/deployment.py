"""All processes of a distributed desk on this machine, for as long as a block lasts.

What other machines would run is run here as processes of its own: the code server, the Dagster
daemon, the worker that holds runs and the workers that execute steps. They share nothing but
PostgreSQL, Redis and the data home.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dagster as dg
import psutil

from engine.errors import InstanceBusy
from pipelines.dagster_home import REPOSITORY
from pipelines.distributed.queues import BACKEND, BROKER, RUNS, STEPS
from pipelines.instance import end_tree

INSTANCE_FILE: Final = REPOSITORY / "dagster_home" / "distributed" / "dagster.yaml"
POSTGRES: Final = "DAGSTER_POSTGRES_URL"
MODULE: Final = "pipelines.distributed.definitions"
LOCATION: Final = "symbols"
RUNS_AT_ONCE: Final = 4
START_SECONDS_MAX: Final = 180.0
POLL_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where its instance is, and its processes by name."""

    dagster_home: Path
    environment: Mapping[str, str]
    processes: Mapping[str, subprocess.Popen[bytes]]

    @property
    def workspace(self) -> Path:
        return self.dagster_home / "workspace.yaml"

    @property
    def socket(self) -> Path:
        return self.dagster_home / "code-server.sock"

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Its Dagster instance, opened in this process."""
        kept = {name: os.environ.get(name) for name in (POSTGRES, BROKER, BACKEND)}
        os.environ.update({name: self.environment[name] for name in kept})
        try:
            with dg.DagsterInstance.from_config(str(self.dagster_home)) as opened:
                yield opened
        finally:
            for name, value in kept.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def refuse_dead(self) -> None:
        """Raise `InstanceBusy` with the last words of a process that ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise InstanceBusy(
                    f"the {name} ended with code {process.returncode}; last lines of "
                    f"{self.log(name)}:\n{self.last_words(name)}"
                )

    def log(self, name: str) -> Path:
        return self.dagster_home / "logs" / f"{name}.log"

    def last_words(self, name: str) -> str:
        return "\n".join(self.log(name).read_text(errors="replace").strip().splitlines()[-12:])

    def processor_seconds(self) -> Mapping[str, float]:
        """Processor time so far of each process and its living children."""
        return {name: _spent(process.pid) for name, process in self.processes.items()}


@contextmanager
def deployed(
    dagster_home: Path,
    *,
    workers: int,
    postgres: str,
    redis: str,
    settings: Mapping[str, str],
) -> Iterator[Deployment]:
    """A desk of many processes, ready to be asked; ends them all with the block.

    `settings` are the desk's own variables. Raises `InstanceBusy` when a part does not come up.
    """
    environment = os.environ | {
        "DAGSTER_HOME": str(dagster_home.resolve()),
        POSTGRES: postgres,
        BROKER: redis,
        BACKEND: redis,
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "GX_ANALYTICS_ENABLED": "False",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    processes: dict[str, subprocess.Popen[bytes]] = {}
    deployment = Deployment(dagster_home=dagster_home, environment=environment, processes=processes)
    _prepare(deployment)
    try:
        for name, command in _commands(deployment, workers).items():
            processes[name] = _started(deployment, name, command)
            if name == "code-server":
                _await_socket(deployment)
        yield deployment
    finally:
        for process in processes.values():
            process.terminate()  # All at once: a worker takes its time to end.
        for process in reversed(processes.values()):
            if process.poll() is None:
                end_tree(psutil.Process(process.pid))
            process.wait()


def _prepare(deployment: Deployment) -> None:
    """The instance's files; the tables in PostgreSQL are made by the first process that opens it.

    The code server is that process, and the others wait for it: two of them at once collide.
    """
    logs = deployment.log("code-server").parent
    logs.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(INSTANCE_FILE, deployment.dagster_home / INSTANCE_FILE.name)
    server = {"socket": str(deployment.socket), "location_name": LOCATION}
    deployment.workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))


def _commands(deployment: Deployment, workers: int) -> Mapping[str, list[str]]:
    code = ["dagster", "api", "grpc", "--module-name", MODULE, "--location-name", LOCATION]
    celery = ["celery", "-A", "pipelines.distributed.workers", "worker", "--loglevel", "WARNING"]
    return {
        "code-server": [*code, "--socket", str(deployment.socket)],
        "daemon": ["dagster._daemon", "run", "-w", str(deployment.workspace)],
        "runs": [*celery, "-Q", RUNS, "-n", "runs@%h", "-c", str(RUNS_AT_ONCE)],
        **{
            f"worker-{number}": [*celery, "-Q", STEPS, "-n", f"worker-{number}@%h", "-c", "1"]
            for number in range(1, workers + 1)
        },
    }


def _started(deployment: Deployment, name: str, command: list[str]) -> subprocess.Popen[bytes]:
    with deployment.log(name).open("wb") as sink:
        return subprocess.Popen(  # noqa: S603 - fixed commands of our own environment.
            [sys.executable, "-m", *command],
            cwd=REPOSITORY,
            env=dict(deployment.environment),
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await_socket(deployment: Deployment) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not deployment.socket.exists():
        deployment.refuse_dead()
        if time.monotonic() > deadline:
            raise InstanceBusy(
                f"the code server did not answer within {START_SECONDS_MAX:.0f} s; "
                f"see {deployment.log('code-server')}"
            )
        time.sleep(POLL_SECONDS)


def _spent(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        times = [member.cpu_times() for member in family]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(each.user + each.system for each in times) + (
        times[0].children_user + times[0].children_system
    )
