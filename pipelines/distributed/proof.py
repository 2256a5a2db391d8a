"""Whether many processes make the tables that one makes: the same backfill twice, byte by byte."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import dagster as dg

from engine.errors import InstanceBusy
from pipelines.definitions import definitions_for
from pipelines.distributed.backfill import await_backfill, launch_backfills, runs_of
from pipelines.distributed.deployment import Deployment, deployed
from pipelines.distributed.servers import own_postgres, own_redis
from pipelines.jobs import MARKET_STAGES
from pipelines.schedules import RANGE_FIRST, RANGE_LAST
from pipelines.wiring import Wiring

BACKFILL_SECONDS_MAX: Final = 4 * 3600.0
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came of it; `different` names files that are not the same, or are only on one side."""

    files: int
    different: Sequence[str]
    runs: int
    steps_by_worker: Mapping[str, int]
    one_process_seconds: float
    start_seconds: float
    backfill_seconds: float
    processor_seconds: Mapping[str, float]


def prove(
    folder: Path,
    symbols: Sequence[str],
    session_dates: Sequence[date],
    *,
    workers: int,
    sessions_per_run: int,
    say: Callable[[str], None],
) -> Proof:
    """Make the market tables in one process, then on workers, and compare; both homes stay."""
    one, many = folder / "one-process", folder / "many-machines"
    began = time.monotonic()
    for symbol in symbols:
        in_one_process(one, symbol, session_dates)
    one_process_seconds = time.monotonic() - began
    say(f"one process: {one_process_seconds:.0f} s")
    began = time.monotonic()
    with own_postgres() as postgres, own_redis() as redis:
        settings = {"CREDENCE_HOME": str(many), "CREDENCE_SESSIONS_PER_RUN": str(sessions_per_run)}
        with deployed(
            folder / "dagster", workers=workers, postgres=postgres, redis=redis, settings=settings
        ) as deployment:
            start_seconds = time.monotonic() - began
            say(f"PostgreSQL, Redis and {len(deployment.processes)} others: {start_seconds:.0f} s")
            began = time.monotonic()
            with deployment.instance() as instance:
                done = backfilled(instance, deployment, symbols, session_dates)
            backfill_seconds = time.monotonic() - began
            spent = deployment.processor_seconds()
    say(f"{workers} workers: {backfill_seconds:.0f} s")
    left, right = hashes(one / "market"), hashes(many / "market")
    return Proof(
        files=len(right),
        different=sorted(name for name in {*left, *right} if left.get(name) != right.get(name)),
        runs=len(done.runs),
        steps_by_worker=done.steps_by_worker,
        one_process_seconds=one_process_seconds,
        start_seconds=start_seconds,
        backfill_seconds=backfill_seconds,
        processor_seconds=spent,
    )


def in_one_process(home: Path, symbol: str, session_dates: Sequence[date], *stages: str) -> None:
    """The desk's own `market_day` over all sessions; of these stages alone if any is named.

    Raises `InstanceBusy` when it fails.
    """
    wiring = Wiring.from_environment(
        {**os.environ, "CREDENCE_HOME": str(home), "CREDENCE_SYMBOL": symbol}
    )
    job = definitions_for(wiring).resolve_job_def("market_day")
    span = {RANGE_FIRST: str(min(session_dates)), RANGE_LAST: str(max(session_dates))}
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance,
            tags=span,
            run_config=_QUIET,
            asset_selection=[dg.AssetKey(stage) for stage in stages] or None,
            raise_on_error=False,
        )
    if not result.success:
        raise InstanceBusy(f"market_day of {symbol} failed in one process; see its log above")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """The runs of some backfills, and how many steps each worker executed."""

    runs: Sequence[dg.RunRecord]
    steps_by_worker: Mapping[str, int]


def backfilled(
    instance: dg.DagsterInstance,
    deployment: Deployment,
    symbols: Sequence[str],
    session_dates: Sequence[date],
    *stages: str,
) -> Backfilled:
    """Launch a backfill per symbol and wait for all; market stages if none is named."""
    asked = stages or MARKET_STAGES
    ids = launch_backfills(instance, deployment.workspace, symbols, session_dates, asked)
    for backfill_id in ids:
        await_backfill(
            instance,
            backfill_id,
            seconds_max=BACKFILL_SECONDS_MAX,
            still_well=deployment.refuse_dead,
        )
    runs = [record for backfill_id in ids for record in runs_of(instance, backfill_id)]
    counted: Counter[str] = Counter()
    for record in runs:
        counted.update(_workers(instance, record.dagster_run.run_id))
    return Backfilled(runs=runs, steps_by_worker=counted)


def _workers(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The worker of each step of a run, as the worker itself said when it began."""
    said = []
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        if entry.dagster_event:
            worker = entry.dagster_event.engine_event_data.metadata.get("Celery worker")
            if worker is not None:
                said.append(str(worker.value).partition("@")[0])
    return said


def hashes(market: Path) -> Mapping[str, str]:
    """SHA-256 of every file of the market tables, by name."""
    return {
        path.relative_to(market).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in market.rglob("*.parquet")
    }
