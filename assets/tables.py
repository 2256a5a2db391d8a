"""What every stored table tells Dagster of itself, taken from its schema in `contracts`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.partitions import ALL_AT_ONCE, SESSIONS, accepted_previews, sessions_of
from assets.ports import MarketStore, Warehouse
from contracts.schemas import DESK_TABLES, validate
from contracts.schemas import table as schema_of
from engine.calendar import Session
from engine.errors import SchemaError
from engine.rules import Rules

OWNERS: Final = ("team:desk",)

ASSET_OF: Final = {"context": "session_context"}
"""Assets that are not named as their table: Dagster keeps the word `context` for itself."""

TABLE_OF: Final = {asset: name for name, asset in ASSET_OF.items()}

Ins = Mapping[str, dg.AssetIn]
Decorator = Callable[[Callable[..., Any]], dg.AssetsDefinition]
CheckDecorator = Callable[[Callable[..., dg.AssetCheckResult]], dg.AssetChecksDefinition]

Numbers = Callable[[Rules], Mapping[str, pl.Expr]]
"""Aggregates over the stored rows of one session, by name; the UI plots them over the sessions."""

NUMBERS: Final[dict[str, Numbers]] = {}
"""By table; each stage states its own where its asset is defined."""


def asset_of(table: str) -> str:
    """Name of the asset that makes a table."""
    return ASSET_OF.get(table, table)


def table_of(key: dg.AssetKey) -> str:
    """Name of the table that an asset makes."""
    return TABLE_OF.get(key.path[-1], key.path[-1])


def stage_asset(
    name: str,
    *,
    ins: Ins | None = None,
    deps: Sequence[Any] = (),
    pool: str | None = None,
    numbers: Numbers | None = None,
) -> Decorator:
    """The decorator of the asset that makes a table: one partition per session, group = stage.

    A backfill is one run over all its sessions.
    """
    if numbers is not None:
        NUMBERS[name] = numbers
    with accepted_previews():
        decorator: Decorator = dg.asset(
            **about(name),
            name=asset_of(name),
            group_name=name,
            io_manager_key="desk_tables" if name in DESK_TABLES else "market_tables",
            ins=ins,
            deps=deps,
            pool=pool,
            partitions_def=SESSIONS,
            backfill_policy=ALL_AT_ONCE,
        )
    return decorator


def sources_asset(*tables: str, name: str, group_name: str) -> Decorator:
    """The decorator of the step that fills several market tables and stores them itself."""
    with accepted_previews():
        decorator: Decorator = dg.multi_asset(
            name=name,
            group_name=group_name,
            specs=[
                dg.AssetSpec(table, **about(table)).with_io_manager_key("market_tables")
                for table in tables
            ],
            partitions_def=SESSIONS,
            backfill_policy=ALL_AT_ONCE,
        )
    return decorator


def about(name: str) -> dict[str, Any]:
    """What the table says of itself: description, kinds, owners and columns."""
    schema = schema_of(name)
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.dtype),
            description=f"{column.meaning} Unit: {column.unit}. Null: {column.null}.",
        )
        for column in schema.columns
    ]
    return {
        "description": schema.meaning,
        "kinds": {"duckdb"} if name in DESK_TABLES else {"polars", "parquet"},
        "owners": list(OWNERS),
        "metadata": {
            "dagster/column_schema": dg.TableSchema(columns=columns),
            "key": ", ".join(schema.key),
        },
    }


def session_numbers(name: str, rows: pl.DataFrame, rules: Rules) -> Mapping[str, int | float]:
    """The numbers that a table states of one session; one that is unknown is left out."""
    if name not in NUMBERS or rows.height == 0:
        return {}
    numbers = rows.select(**NUMBERS[name](rules)).row(0, named=True)
    return {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in numbers.items()
        if value is not None
    }


def session_check(asset: str | dg.AssetsDefinition, name: str | None = None) -> CheckDecorator:
    """The decorator of a blocking check on the sessions of a run; what it fails is not built on.

    It has no partitions of its own: for a run over many sessions Dagster shows a partitioned check
    as skipped.
    """
    decorator: CheckDecorator = dg.asset_check(asset=asset, name=name, blocking=True)
    return decorator


def sessions_in(context: dg.AssetCheckExecutionContext, rules: Rules) -> list[Session]:
    """The sessions that a check is about, ascending: those of its run.

    Executed by itself from the UI it is about the newest session that was materialised.
    """
    run = context.op_execution_context
    if run.has_partition_key or run.has_partition_key_range:
        return sessions_of(run.partition_keys, rules.session)
    (check,) = context.selected_asset_check_keys
    made = context.instance.get_materialized_partitions(check.asset_key)
    if not made:
        raise dg.Failure(
            f"expected a session of {check.asset_key.to_user_string()} to check, none was ever "
            "materialised; materialise one first"
        )
    return sessions_of([max(made)], rules.session)


def stored_rows(
    tables: MarketStore | Warehouse, name: str, sessions: Sequence[Session], rules: Rules
) -> pl.DataFrame:
    """The stored rows of these sessions and no others, in order."""
    dates = [session.session_date for session in sessions]
    rows = tables.read(name, rules.instrument.symbol, dates[0], dates[-1])
    return rows.filter(pl.col("session_date").is_in(dates))


def schema_check(name: str) -> dg.AssetChecksDefinition:
    """A blocking check that what lies on disk fits the table's schema, row by row."""
    decorate = session_check(asset_of(name), f"{name}_schema")

    def desk_check(
        context: dg.AssetCheckExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        rules: dg.ResourceParam[Rules],
    ) -> dg.AssetCheckResult:
        """The stored rows have the columns, types, ranges and keys that the schema promises."""
        return _judged(name, warehouse, sessions_in(context, rules), rules)

    def market_check(
        context: dg.AssetCheckExecutionContext,
        market: dg.ResourceParam[MarketStore],
        rules: dg.ResourceParam[Rules],
    ) -> dg.AssetCheckResult:
        """The stored rows have the columns, types, ranges and keys that the schema promises."""
        return _judged(name, market, sessions_in(context, rules), rules)

    return decorate(desk_check if name in DESK_TABLES else market_check)


def _judged(
    name: str, tables: MarketStore | Warehouse, sessions: Sequence[Session], rules: Rules
) -> dg.AssetCheckResult:
    try:
        rows = stored_rows(tables, name, sessions, rules)
        validate(name, rows)
    except SchemaError as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    return dg.AssetCheckResult(
        passed=True,
        description=f"{rows.height} rows of {len(sessions)} sessions fit the schema",
        metadata={"rows": rows.height, "columns": rows.width},
    )
