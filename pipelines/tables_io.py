"""Between assets and storage: a partition of an asset is a partition of the table of its name."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import dagster as dg
import polars as pl

from assets.made_from import OF_BARS, bars_of, beside
from assets.ports import MarketStore, Warehouse
from assets.tables import session_numbers, table_of
from engine.rules import Rules

LAST_OF_MARKET: Final = "outcomes"
"""Once it is stored, all market tables of a session are."""


class MarketTables(dg.IOManager):
    """Market tables in Parquet: every partition of the run is replaced, empty ones included."""

    def __init__(self, market: MarketStore, rules: Rules) -> None:
        self._market = market
        self._rules = rules

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        table, changed = table_of(context.asset_key), 0
        made_from = _made_from(context) if table == LAST_OF_MARKET else {}
        for session_date in _dates(context.asset_partition_keys):
            rows = obj.filter(pl.col("session_date") == session_date)
            symbol = self._rules.instrument.symbol
            written = self._market.write(table, rows, symbol=symbol, session_date=session_date)
            changed += written.changed
            numbers = session_numbers(table, rows, self._rules)
            path = dg.MetadataValue.path(str(written.path))
            told = {**numbers, "dagster/row_count": rows.height, "path": path}
            _tell(context, session_date, {**told, **made_from.get(str(session_date), {})})
        context.add_output_metadata({"partitions_changed": changed})

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        return _loaded(self._market, context, self._rules)


def _made_from(context: dg.OutputContext) -> Mapping[str, Mapping[str, dg.MetadataValue]]:
    """By session: the digest of the bars that were read for it, as metadata."""
    bars, instance = beside(context.asset_key, "bars"), context.step_context.instance
    found = bars_of(instance, bars, context.asset_partition_keys)
    return {day: {OF_BARS: dg.MetadataValue.text(digest)} for day, digest in found.items()}


class DeskTables(dg.IOManager):
    """Desk tables in the DuckDB warehouse: one transaction per run."""

    def __init__(self, warehouse: Warehouse, rules: Rules) -> None:
        self._warehouse = warehouse
        self._rules = rules

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        table, dates = table_of(context.asset_key), _dates(context.asset_partition_keys)
        changed = self._warehouse.replace_partitions(
            table, obj, symbol=self._rules.instrument.symbol, session_dates=dates
        )
        for session_date in dates:
            rows = obj.filter(pl.col("session_date") == session_date)
            numbers = session_numbers(table, rows, self._rules)
            _tell(context, session_date, {**numbers, "dagster/row_count": rows.height})
        context.add_output_metadata({"partitions_changed": changed})

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        return _loaded(self._warehouse, context, self._rules)


def _loaded(
    tables: MarketStore | Warehouse, context: dg.InputContext, rules: Rules
) -> pl.DataFrame:
    dates = _dates(context.asset_partition_keys)
    symbol = rules.instrument.symbol
    rows = tables.read(table_of(context.asset_key), symbol, dates[0], dates[-1])
    return rows.filter(pl.col("session_date").is_in(dates))


def _tell(
    context: dg.OutputContext, session_date: date, metadata: Mapping[str, dg.MetadataValue | float]
) -> None:
    """Metadata of one session, so that a run over many still plots one point for each."""
    context.step_context.add_asset_metadata(
        metadata, context.asset_key, partition_key=str(session_date)
    )


def _dates(partition_keys: Sequence[str]) -> list[date]:
    return sorted(date.fromisoformat(key) for key in partition_keys)
