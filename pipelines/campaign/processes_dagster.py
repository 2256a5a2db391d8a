"""A session launched by Dagster: a real `credence up`, its daemon, sensor, queue and run worker."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Final

import dagster as dg
import psutil

from engine.errors import CredenceError
from pipelines.campaign.processes_definitions import CONTROL_PORT
from pipelines.campaign.processes_launch import (
    PATIENCE_SECONDS,
    Place,
    tail_of,
)
from pipelines.dagster_home import INSTANCE_FILE, REPOSITORY
from pipelines.definitions import definitions_for
from pipelines.session_outlook import JOB
from pipelines.session_request import ATTEMPTS_MAX
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

ASK_SECONDS: Final = 1.0
FAILED: Final = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_QUIETLY: Final = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def prepare(instance_home: Path, home: Path, session_date: date) -> None:
    """Give a home with bars a Dagster instance on which the preopen of a session is green."""
    instance_home.mkdir(parents=True)
    (instance_home / INSTANCE_FILE.name).write_bytes(INSTANCE_FILE.read_bytes())
    definitions = definitions_for(Wiring(settings=load_settings({"CREDENCE_HOME": str(home)})))
    with dg.DagsterInstance.from_config(str(instance_home)) as instance:
        definitions.resolve_job_def("preopen").execute_in_process(
            instance=instance, partition_key=str(session_date), run_config=_QUIETLY
        )


@dataclass(kw_only=True)
class DagsterLauncher:
    """Brings `credence up` up; the daemon's sensor launches the session and launches it again."""

    place: Place
    instance_home: Path
    name: str = "Dagster"
    _asked_at: float = float("-inf")
    _is_over: bool = False
    _up: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def launch(self) -> None:
        """Bring the desk up if it is not; the sensor does the rest."""
        if self._up and self._up[-1].poll() is None:
            return
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        module = "pipelines.campaign.processes_up"
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-W", "ignore", "-m", module, str(self.place.home), str(port)],
                env=self.place.environment()
                | {
                    "DAGSTER_HOME": str(self.instance_home),
                    CONTROL_PORT: str(self.place.control_port),
                },
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._up.append(process)

    def cut_power(self) -> None:
        """SIGKILL for all of it: `credence up`, webserver, daemon, code server, run workers."""
        for member in self._family():
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
        self._up[-1].wait()

    def launched_at(self) -> float:
        """The instant of the tick that asked for the newest run."""
        newest = self._runs()[0].run_id
        for state in self._instance.all_instigator_state():
            ticks = self._instance.get_ticks(state.instigator_origin_id, state.selector_id)
            for tick in ticks:
                if newest in tick.run_ids:
                    return float(tick.timestamp)
        raise CredenceError(f"expected a tick that launched the run {newest}, found none")

    def attempts(self) -> int:
        return len(self._runs())

    def has_ended(self) -> bool:
        """As it was at most a second ago: the instance is asked at the desk's expense."""
        if not self._is_over and time.monotonic() - self._asked_at > ASK_SECONDS:
            self._asked_at = time.monotonic()
            runs = self._runs()
            is_given_up = len(runs) >= ATTEMPTS_MAX and runs[0].status in FAILED
            is_done = bool(runs) and runs[0].status is dg.DagsterRunStatus.SUCCESS
            self._is_over = is_given_up or is_done
        return self._is_over

    def close(self) -> None:
        """End the desk as Ctrl-C does, and by force what has not ended then."""
        family = self._family()
        if self._up and self._up[-1].poll() is None:
            self._up[-1].send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._up[-1].wait(PATIENCE_SECONDS)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
        if "_instance" in vars(self):
            self._instance.__exit__(None, None, None)

    def last_words(self) -> str:
        return tail_of(self._log)

    @cached_property
    def _instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.instance_home)).__enter__()

    @property
    def _log(self) -> Path:
        return self.place.aside / "up.log"

    def _runs(self) -> Sequence[dg.DagsterRun]:
        """The attempts at the session, newest first."""
        return self._instance.get_runs(dg.RunsFilter(job_name=JOB))

    def _family(self) -> list[psutil.Process]:
        if not self._up or self._up[-1].poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._up[-1].pid)
            return [root, *root.children(recursive=True)]
        return []
