"""What every stored table tells Dagster of itself, taken from its schema in `contracts`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.partitions import ALL_AT_ONCE, SESSIONS, sessions_of
from assets.ports import MarketStore, Warehouse
from contracts.schemas import DESK_TABLES, columns_of, validate
from contracts.schemas import table as schema_of
from engine.errors import SchemaError
from engine.rules import Rules

OWNERS: Final = ("team:desk",)

ASSET_OF: Final = {"context": "session_context"}
"""Assets that are not named as their table: Dagster keeps the word `context` for itself."""

TABLE_OF: Final = {asset: name for name, asset in ASSET_OF.items()}


def asset_of(table: str) -> str:
    """Name of the asset that makes a table."""
    return ASSET_OF.get(table, table)


def table_of(key: dg.AssetKey) -> str:
    """Name of the table that an asset makes."""
    return TABLE_OF.get(key.path[-1], key.path[-1])


Ins = Mapping[str, dg.AssetIn]
Decorator = Callable[[Callable[..., Any]], dg.AssetsDefinition]


def stage_asset(
    name: str,
    *,
    ins: Ins | None = None,
    deps: Sequence[Any] = (),
    pool: str | None = None,
    one_by_one: bool = False,
) -> Decorator:
    """The decorator of the asset that makes a table: one partition per session, group = stage.

    A backfill is one run over all its sessions, or with `one_by_one` one run each.
    """
    decorator: Decorator = dg.asset(
        **about(name),
        name=asset_of(name),
        group_name=name,
        ins=ins,
        deps=deps,
        pool=pool,
        partitions_def=SESSIONS,
        backfill_policy=None if one_by_one else ALL_AT_ONCE,
    )
    return decorator


def about(name: str) -> dict[str, Any]:
    """What the table says of itself: description, kinds, owners, columns and where it is kept."""
    schema = schema_of(name)
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.dtype),
            description=f"{column.meaning} Unit: {column.unit}. Null: {column.null}.",
        )
        for column in schema.columns
    ]
    is_desk_table = name in DESK_TABLES
    return {
        "description": schema.meaning,
        "kinds": {"duckdb"} if is_desk_table else {"polars", "parquet"},
        "owners": list(OWNERS),
        "io_manager_key": "desk_tables" if is_desk_table else "market_tables",
        "metadata": {
            "dagster/column_schema": dg.TableSchema(columns=columns),
            "key": ", ".join(schema.key),
        },
    }


def own_rows(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of a market frame that this table stores, in stored order."""
    return frame.select(list(columns_of(name)))


def schema_check(name: str) -> dg.AssetChecksDefinition:
    """A blocking check that what lies on disk fits the table's schema, row by row."""
    return _desk_check(name) if name in DESK_TABLES else _market_check(name)


def _market_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_of(name), name=f"{name}_schema", blocking=True, partitions_def=SESSIONS
    )
    def check(
        context: dg.AssetCheckExecutionContext,
        market: dg.ResourceParam[MarketStore],
        rules: dg.ResourceParam[Rules],
    ) -> dg.AssetCheckResult:
        """The stored rows have the columns, types, ranges and keys that the schema promises."""
        dates = dates_of(context.op_execution_context.partition_keys, rules)
        rows = market.read(name, rules.instrument.symbol, dates[0], dates[-1])
        return _judged(name, rows, dates)

    return check


def _desk_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_of(name), name=f"{name}_schema", blocking=True, partitions_def=SESSIONS
    )
    def check(
        context: dg.AssetCheckExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        rules: dg.ResourceParam[Rules],
    ) -> dg.AssetCheckResult:
        """The stored rows have the columns, types, ranges and keys that the schema promises."""
        dates = dates_of(context.op_execution_context.partition_keys, rules)
        rows = warehouse.read(name, rules.instrument.symbol, dates[0], dates[-1])
        return _judged(name, rows, dates)

    return check


def dates_of(partition_keys: Sequence[str], rules: Rules) -> list[date]:
    """Session dates behind partition keys, ascending."""
    return [session.session_date for session in sessions_of(partition_keys, rules.session)]


def _judged(name: str, rows: pl.DataFrame, dates: Sequence[date]) -> dg.AssetCheckResult:
    chosen = rows.filter(pl.col("session_date").is_in(dates))
    try:
        validate(name, chosen)
    except SchemaError as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    return dg.AssetCheckResult(
        passed=True,
        description=f"{chosen.height} rows of {len(dates)} sessions fit the schema",
        metadata={"rows": chosen.height, "columns": chosen.width},
    )
