"""The definitions on PostgreSQL, Redis and two Celery workers: the tables of one process."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from command_line import credence
from lineage import Lineage

from engine.errors import SettingsError

pytest.importorskip("dagster_celery", reason="needs the extra `distributed` (make test has it)")
pytest.importorskip("dagster_postgres", reason="needs the extra `distributed`")

from pipelines.distributed.deployment import Deployment, deployed
from pipelines.distributed.proof import Backfilled, backfilled, hashes, in_one_process
from pipelines.distributed.queues import BACKEND, BROKER, Queues
from pipelines.distributed.servers import missing_servers, own_postgres, own_redis
from pipelines.storage import DuckWarehouse, Home

SYMBOLS = ("MES", "MNQ")
DAYS = [date(2025, 1, 2), date(2025, 1, 3)]
FIRST_STAGES = ("bars", "rejected_bars", "session_context", "quality")
"""Every step on a worker is a process that loads the desk; `make machines` makes all stages."""

TABLES = {"bars", "rejected_bars", "context", "quality"}
DESK_STAGES = ("decisions", "executions")
POOL = "warehouse_write"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]


@dataclass(frozen=True)
class Desks:
    """One desk in this process, the same desk on workers, and what those did."""

    one: Path
    many: Path
    deployment: Deployment
    instance: dg.DagsterInstance
    market: Backfilled


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    if missing := missing_servers():
        pytest.skip(f"needs Debian's {' and '.join(missing)}")
    folder = tmp_path_factory.mktemp("desks")
    one, many = folder / "one", folder / "many"
    settings = {"CREDENCE_HOME": str(many)}
    for symbol in SYMBOLS:
        in_one_process(one, symbol, DAYS, *FIRST_STAGES)
    with (
        own_postgres() as postgres,
        own_redis() as redis,
        deployed(
            folder / "dagster", workers=2, postgres=postgres, redis=redis, settings=settings
        ) as deployment,
        deployment.instance() as instance,
    ):
        market = backfilled(instance, deployment, SYMBOLS, DAYS, *FIRST_STAGES)
        yield Desks(one, many, deployment, instance, market)


def test_workers_write_the_bytes_that_one_process_writes(desks: Desks) -> None:
    by_workers = hashes(desks.many / "market")
    by_one = hashes(desks.one / "market")

    assert {name.partition("/")[0] for name in by_one} == TABLES
    assert len(by_one) == len(TABLES) * len(DAYS) * len(SYMBOLS)
    assert by_workers == by_one
    assert by_one["bars/MES/2025-01-02.parquet"] != by_one["bars/MNQ/2025-01-02.parquet"]


def test_both_workers_executed_steps_and_the_history_lies_in_postgres(desks: Desks) -> None:
    partitions = [
        desks.instance.get_materialized_partitions(dg.AssetKey([symbol.lower(), "quality"]))
        for symbol in SYMBOLS
    ]

    assert set(desks.market.steps_by_worker) == {"worker-1", "worker-2"}
    assert partitions == [{str(day) for day in DAYS}] * len(SYMBOLS)
    assert type(desks.instance.event_log_storage).__name__ == "PostgresEventLogStorage"
    assert not list(desks.deployment.dagster_home.rglob("*.db"))


@pytest.mark.campaign
def test_workers_take_turns_at_the_warehouse_and_leave_it_as_one_process_does(
    desks: Desks,
) -> None:
    for symbol in SYMBOLS:
        assert credence(desks.many, "replay", symbol=symbol).code == 0
    shutil.copytree(desks.many / "journals", desks.one / "journals")

    done = backfilled(desks.instance, desks.deployment, SYMBOLS, DAYS, *DESK_STAGES)
    for symbol in SYMBOLS:
        lineage = Lineage(desks.one, symbol=symbol)
        ran = lineage.materialize(*DESK_STAGES, first=str(DAYS[0]), last=str(DAYS[-1]))
        lineage.close()
        assert ran.success

    turns = sorted(turn for record in done.runs for turn in _turns(desks.instance, record))
    assert len(turns) == len(DESK_STAGES) * len(SYMBOLS)
    assert all(ended <= began for (_, ended), (began, _) in pairwise(turns))
    assert desks.instance.event_log_storage.get_concurrency_info(POOL).slot_count == 1
    for symbol in SYMBOLS:
        for stage in DESK_STAGES:
            by_workers, by_one = (_rows(home, stage, symbol) for home in (desks.many, desks.one))
            assert by_workers.equals(by_one)
    assert _rows(desks.many, "decisions", "MNQ").height == len(DAYS) * 390


def _turns(instance: dg.DagsterInstance, record: dg.RunRecord) -> Iterator[tuple[float, float]]:
    """When each step of the pool began and ended."""
    steps = instance.get_run_step_stats(record.dagster_run.run_id)
    for step in steps:
        if step.step_key in DESK_STAGES:
            assert step.start_time is not None
            assert step.end_time is not None
            yield step.start_time, step.end_time


def _rows(home: Path, table: str, symbol: str) -> pl.DataFrame:
    return DuckWarehouse(home=Home(root=home)).read(table, symbol, DAYS[0], DAYS[-1])


@pytest.mark.parametrize("absent", [BROKER, BACKEND])
def test_a_worker_without_its_queue_says_which_variable_is_missing(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (BROKER, BACKEND):
        monkeypatch.setenv(name, "redis://127.0.0.1:6379/0")
    monkeypatch.delenv(absent)

    with pytest.raises(SettingsError, match=f"^{absent}: expected the URL of the Celery queues"):
        Queues.from_environment()
