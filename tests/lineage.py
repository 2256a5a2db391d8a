"""The desk's assets on a data home of their own: run a job, run one check, read what was said."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import dagster as dg
import polars as pl

from contracts.calendar import session_on
from engine.broker import LiveBroker
from engine.exchange import exchange_settings
from engine.rules import Rules
from pipelines.brokers.exchange_orders import KeptExchange
from pipelines.brokers.simulated_live import SimulatedLiveBroker
from pipelines.definitions import definitions_for
from pipelines.desk_sessions import DeskSessions, Stage
from pipelines.gateway.tape import minutes_of
from pipelines.wiring import Wiring

FIRST_DAY, LAST_DAY = "2024-06-24", "2024-07-10"
"""Twelve sessions, the half day of 3 July among them; the last one is played."""

RANGE_FIRST = "dagster/asset_partition_range_start"
RANGE_LAST = "dagster/asset_partition_range_end"


@contextmanager
def in_this_process(stage: Stage, rules: Rules) -> Iterator[LiveBroker]:
    """A stage played without sockets, in a second or two; the gateway has tests of its own."""
    session = session_on(stage.session_date, rules.session)
    bars = stage.bars.filter(pl.col("session_date") == stage.session_date)
    yield SimulatedLiveBroker(
        KeptExchange(exchange_settings(rules, stage.equity_usd)),
        minutes_of(bars),
        rules.instrument,
        starts_at=session.opens_at - timedelta(minutes=5),
    )


class SimulatedWiring(Wiring):
    """A desk whose rehearsals are played in this process."""

    @cached_property
    def sessions(self) -> DeskSessions:
        return replace(super().sessions, played=in_this_process)


@dataclass(frozen=True)
class Lineage:
    """One data home with the definitions on it and a Dagster instance in memory."""

    root: Path
    source: str = "generator:7"
    symbol: str = "MES"

    @cached_property
    def wiring(self) -> Wiring:
        return SimulatedWiring.from_environment(
            {
                "CREDENCE_HOME": str(self.root),
                "CREDENCE_SOURCE": self.source,
                "CREDENCE_SYMBOL": self.symbol,
            }
        )

    @cached_property
    def definitions(self) -> dg.Definitions:
        return definitions_for(self.wiring)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.ephemeral().__enter__()

    def close(self) -> None:
        """Give back what the instance holds."""
        self.instance.__exit__(None, None, None)

    def copied_to(self, root: Path) -> Self:
        """The same home elsewhere, to be damaged."""
        shutil.copytree(self.root, root)
        return type(self)(root, self.source)

    def run(
        self,
        job: str,
        first: str,
        last: str | None = None,
        *,
        config: Mapping[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Execute a job over one session, or over all sessions of a range in one run."""
        definition = self.definitions.resolve_job_def(job)
        return self._execute(definition, first, last, config)

    def check(
        self, name: str, first: str | None = None, last: str | None = None
    ) -> dg.AssetCheckEvaluation:
        """What one check says of what is stored."""
        (evaluation,) = self.run_check(name, first, last).get_asset_check_evaluations()
        return evaluation

    def run_check(
        self, name: str, first: str | None = None, last: str | None = None
    ) -> dg.ExecuteInProcessResult:
        """Execute one check by itself; without a session, as the UI does."""
        graph = self.definitions.resolve_asset_graph()
        key = next(key for key in graph.asset_check_keys if key.name == name)
        job = self.definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection=set(), asset_check_selection={key}
        )
        return self._execute(job, first, last)

    def materialize(self, *assets: str, first: str, last: str | None = None) -> Any:
        """Execute these assets with their checks."""
        job = self.definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey(asset) for asset in assets}
        )
        return self._execute(job, first, last)

    def _execute(
        self,
        job: dg.JobDefinition,
        first: str | None,
        last: str | None,
        config: Mapping[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        where: dict[str, Any] = {"partition_key": first} if first else {}
        if last:
            where = {"tags": {RANGE_FIRST: first, RANGE_LAST: last}}
        return job.execute_in_process(
            instance=self.instance, run_config=config, raise_on_error=False, **where
        )

    def stored(self, table: str, session_date: str) -> pl.DataFrame:
        """Rows of one session of a market table, read past every check."""
        return pl.read_parquet(self.path(table, session_date))

    def path(self, table: str, session_date: str) -> Path:
        return self.root / "market" / table / "MES" / f"{session_date}.parquet"

    def damage(
        self, table: str, session_date: str, change: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> None:
        """Write other rows over a stored partition, as a fault of disk or hand would."""
        change(self.stored(table, session_date)).write_parquet(self.path(table, session_date))

    def journal(self, session_date: str) -> Path:
        return self.wiring.session_journals.path(date.fromisoformat(session_date))


def tamper(journal: Path, statement: str) -> None:
    """Change a journal behind its triggers, as somebody with the file could."""
    connection = sqlite3.connect(journal)
    connection.executescript(
        f"drop trigger entries_never_change; drop trigger entries_never_vanish; {statement};"
    )
    connection.commit()
    connection.close()


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, Mapping[str, Any]]:
    """Metadata of each materialisation, by asset and partition."""
    return {
        f"{event.materialization.asset_key.path[-1]} {event.partition or ''}".strip(): {
            name: plain(value) for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def plain(value: dg.MetadataValue[Any]) -> Any:
    """What a metadata value holds; a table as a list of rows."""
    if isinstance(value, dg.TableMetadataValue):
        return [dict(record.data) for record in value.records]
    return value.value


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Whether each check passed, by name."""
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


def bytes_of(root: Path) -> dict[str, bytes]:
    """Content of every stored market partition, by relative path."""
    market = root / "market"
    return {
        str(path.relative_to(market)): path.read_bytes()
        for path in sorted(market.rglob("*.parquet"))
    }
