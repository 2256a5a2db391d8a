"""Between assets and storage: a partition of an asset is a partition of the table of its name."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

from assets.ports import MarketStore, Warehouse
from assets.tables import table_of


class MarketTables(dg.IOManager):
    """Market tables in Parquet: every partition of the run is replaced, empty ones included."""

    def __init__(self, market: MarketStore, symbol: str) -> None:
        self._market = market
        self._symbol = symbol

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        table = table_of(context.asset_key)
        written = [
            self._market.write(
                table,
                obj.filter(pl.col("session_date") == session_date),
                symbol=self._symbol,
                session_date=session_date,
            )
            for session_date in _dates(context.asset_partition_keys)
        ]
        context.add_output_metadata(
            {
                "dagster/row_count": sum(partition.rows for partition in written),
                "partitions_changed": sum(partition.changed for partition in written),
                "path": dg.MetadataValue.path(str(written[-1].path)),
            }
        )

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        dates = _dates(context.asset_partition_keys)
        rows = self._market.read(table_of(context.asset_key), self._symbol, dates[0], dates[-1])
        return rows.filter(pl.col("session_date").is_in(dates))


class DeskTables(dg.IOManager):
    """Desk tables in the DuckDB warehouse: one transaction per session."""

    def __init__(self, warehouse: Warehouse, symbol: str) -> None:
        self._warehouse = warehouse
        self._symbol = symbol

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        table = table_of(context.asset_key)
        changed = [
            self._warehouse.replace_partition(
                table,
                obj.filter(pl.col("session_date") == session_date),
                symbol=self._symbol,
                session_date=session_date,
            )
            for session_date in _dates(context.asset_partition_keys)
        ]
        context.add_output_metadata(
            {"dagster/row_count": obj.height, "partitions_changed": sum(changed)}
        )

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        dates = _dates(context.asset_partition_keys)
        rows = self._warehouse.read(table_of(context.asset_key), self._symbol, dates[0], dates[-1])
        return rows.filter(pl.col("session_date").is_in(dates))


def _dates(partition_keys: Sequence[str]) -> list[date]:
    return sorted(date.fromisoformat(key) for key in partition_keys)
