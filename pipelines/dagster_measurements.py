"""What Dagster takes beside the desk: `python -m … NAME FOLDER`, a process for each measurement.

The same job is run with our work in it, and as a chain of so many steps that do nothing but tell of
one materialization each, on an instance with the same storage.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import dagster as dg

from engine.errors import CredenceError
from pipelines.dagster_home import dagster_home_of
from pipelines.definitions import definitions_for
from pipelines.measurements import SEED, BenchBars, Numbers
from pipelines.settings import Settings
from pipelines.storage import ParquetStore
from pipelines.wiring import Wiring

JOB: Final = "market_day"
HISTORY: Final = 6
"""Sessions stored before those that are run, for their context."""

READY: Final = "Credence is at"
"""How `credence up` begins the line that says that the UI answers."""

_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def measure_job(folder: Path) -> Numbers:
    """Seconds of one session through `market_day` in one process, and of as many empty steps."""
    market = BenchBars.stored(folder)
    days = [str(day) for day in market.contexts["session_date"].sort()[: HISTORY + 2]]
    with TemporaryDirectory(dir=folder) as scratch:
        wiring = Wiring(settings=Settings(home=Path(scratch), source=f"generator:{SEED}"))
        _store(wiring.market, market, days[:-2])
        job = definitions_for(wiring).resolve_job_def(JOB)
        steps = len(job.nodes)
        with _instance(Path(scratch)) as instance:
            _seconds(job, instance, days[-2])  # The first run of a process loads what all need.
            ours = _seconds(job, instance, days[-1])
            empty = _seconds(_empty_job(steps), instance, None)
    return {"seconds": ours, "empty_seconds": empty, "steps": steps}


def measure_up(folder: Path) -> Numbers:
    """Seconds from `credence up` until it says that the UI answers, on an empty home."""
    with TemporaryDirectory(dir=folder) as scratch, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "-W", "ignore", "-m", "pipelines.cli", "up", "--port", str(port)]
        started = perf_counter()
        with subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            command, env=os.environ | {"CREDENCE_HOME": scratch}, stdout=subprocess.PIPE, text=True
        ) as process:
            said = process.stdout or ()
            is_ready = any(READY in line for line in said)
            seconds = perf_counter() - started
            process.send_signal(signal.SIGINT)
            process.communicate()
    if not is_ready:
        raise CredenceError(
            f"credence up: expected a line with {READY!r}, it ended with code "
            f"{process.returncode}; run it by hand to see more"
        )
    return {"seconds": seconds}


def _store(store: ParquetStore, market: BenchBars, days: list[str]) -> None:
    for (day,), rows in market.bars.partition_by("session_date", as_dict=True).items():
        if str(day) in days:
            store.write("bars", rows, symbol=rows["symbol"][0], session_date=day)


@contextmanager
def _instance(home: Path) -> Iterator[dg.DagsterInstance]:
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with dg.DagsterInstance.from_config(str(dagster_home_of(home))) as instance:
        yield instance


def _seconds(job: dg.JobDefinition, instance: dg.DagsterInstance, day: str | None) -> float:
    started = perf_counter()
    result = job.execute_in_process(instance=instance, partition_key=day, run_config=_QUIET)
    if not result.success:
        raise CredenceError(
            f"{job.name}: expected a run that succeeds; run it in the UI to see why"
        )
    return perf_counter() - started


def _empty_job(steps: int) -> dg.JobDefinition:
    """A chain of steps without work."""

    @dg.op(ins={"before": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
    def nothing(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetMaterialization("nothing"))

    @dg.op(out=dg.Out(dg.Nothing))
    def begin() -> None:
        """The first of the chain."""

    @dg.job(executor_def=dg.in_process_executor)
    def empty() -> None:
        before = begin()
        for nth in range(1, steps):
            before = nothing.alias(f"nothing_{nth}")(before)

    return empty


MEASUREMENTS: Final[Mapping[str, Callable[[Path], Numbers]]] = {
    "job": measure_job,
    "up": measure_up,
}


def main(name: str, folder: Path) -> None:
    """Run one measurement and print its numbers."""
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(MEASUREMENTS[name](folder)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
