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
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final

import dagster as dg

from engine.errors import CredenceError
from engine.journal import REPLAY_CODE, Entry, Stamp
from pipelines.dagster_home import dagster_home_of
from pipelines.definitions import definitions_for
from pipelines.journal_files import write_fresh_journal
from pipelines.measurements import EQUITY_USD, SEED, BenchBars, Numbers
from pipelines.replay import ReplaySettings, replay
from pipelines.replay_learning import ReplayNights
from pipelines.schedules import RANGE_FIRST, RANGE_LAST
from pipelines.settings import Settings
from pipelines.storage import ParquetStore
from pipelines.stored_bars import StoredBars, stored_bars
from pipelines.wiring import Wiring

JOB: Final = "market_day"
HISTORY: Final = 6
"""Sessions stored before those that are run, for their context."""

NIGHT_HISTORY: Final = 30
"""Sessions that the measured night looks back on, its own among them."""

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


def measure_night(folder: Path) -> Numbers:
    """One night of one session in one process, after the market of so many stored sessions.

    `seconds` and `processor_seconds` are those of the job, `compute_seconds` is the processor time
    of what the night computes, looking back on the same sessions, without Dagster and its tables.
    """
    market = BenchBars.stored(folder).first(NIGHT_HISTORY)
    days = [str(day) for day in market.contexts["session_date"].sort()]
    with TemporaryDirectory(dir=folder) as scratch:
        wiring = Wiring(settings=Settings(home=Path(scratch), source=f"generator:{SEED}"))
        _store(wiring.market, market, days)
        compute = _computed(wiring, _replayed(wiring))
        definitions = definitions_for(wiring)
        whole = {RANGE_FIRST: days[0], RANGE_LAST: days[-1]}
        nightly = definitions.resolve_job_def("nightly")
        with _instance(Path(scratch)) as instance:
            _seconds(definitions.resolve_job_def("recompute_market"), instance, tags=whole)
            _seconds(nightly, instance, days[-2])  # What all nights load, once.
            worked = process_time()
            seconds = _seconds(nightly, instance, days[-1])
            worked = process_time() - worked
    return {"seconds": seconds, "processor_seconds": worked, "compute_seconds": compute}


def _replayed(wiring: Wiring) -> StoredBars:
    """The stored bars, and the journal of their replay in its place."""
    stored = stored_bars(wiring.market, wiring.rules, None, None)
    settings = ReplaySettings(equity_usd=EQUITY_USD)
    write_fresh_journal(
        wiring.session_journals.replayed,
        wiring.home.aside,
        lambda sink: replay(stored.contexts, stored.bars, wiring.rules, settings, sink=sink),
    )
    return stored


def _computed(wiring: Wiring, stored: StoredBars) -> float:
    """Processor seconds of the last night alone, from the bars it looks back on to its trust."""
    last = stored.session_dates[-1]
    events = wiring.session_journals.events(last)
    told = [
        Entry(each.kind, datetime.fromisoformat(each.at), each.payload, each.decision_id)
        for each in events
    ]
    stamp = Stamp(last, wiring.rules.contracts_hash, REPLAY_CODE)
    took = []
    for _ in range(2):  # The first time brings in what it needs.
        started = process_time()
        ReplayNights(stored.contexts, stored.bars, wiring.rules).after(told, stamp)
        took.append(process_time() - started)
    return took[-1]


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


def _seconds(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    day: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> float:
    started = perf_counter()
    result = job.execute_in_process(
        instance=instance, partition_key=day, tags=tags, run_config=_QUIET
    )
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
    "night": measure_night,
    "up": measure_up,
}


def main(name: str, folder: Path) -> None:
    """Run one measurement and print its numbers."""
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(MEASUREMENTS[name](folder)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
