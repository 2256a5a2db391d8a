"""Stage `executions`: every fill with what it cost, and the ledger against the broker's cash."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import dagster as dg
import polars as pl

from assets import told
from assets.partitions import sessions_of
from assets.ports import SessionJournals, Warehouse
from assets.tables import schema_check, session_check, sessions_in, stage_asset, stored_rows
from assets.trading_session import trading_session
from engine.broker import AccountReported
from engine.desk import fact_of
from engine.journal import Event, Kind
from engine.learning.fills import execution_rows
from engine.rules import Rules


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """What a session's fills came to."""
    return {
        "lots": pl.col("quantity").sum(),
        "commission_usd": pl.col("commission_usd").cast(pl.Float64).sum().round(2),
    }


@stage_asset(
    "executions",
    deps=[trading_session],
    pool="warehouse_write",
    numbers=numbers,
)
def executions(
    context: dg.AssetExecutionContext,
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """One row per fill; quantity and price come from executions, never from an order's status."""
    rows = pl.concat(
        execution_rows(
            session_journals.events(session.session_date, Kind.EXECUTION, Kind.COMMISSION)
        )
        for session in sessions_of(context.partition_keys, rules.session)
    )
    fills = rows.select("at", "leg", "side", "quantity", "price_ticks", "commission_usd")
    return dg.MaterializeResult(value=rows, metadata={"fills": told.table(fills)})


executions_schema = schema_check("executions")


@session_check(executions)
def ledger_equals_cash(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """What the stored fills earned less their fees is what the broker's cash moved by, exactly."""
    sessions = sessions_in(context, rules)
    stored = stored_rows(warehouse, "executions", sessions, rules)
    differing, lots, earned = [], 0, Decimal(0)
    for session in sessions:
        rows = stored.filter(pl.col("session_date") == session.session_date)
        told_of = session_journals.events(session.session_date, Kind.ACCOUNT, Kind.SESSION)
        position = int(rows.select((pl.col("side") * pl.col("quantity")).sum()).item())
        own, moved = net_usd(rows, rules), _moved_usd(told_of)
        if position != 0 or own != moved:
            differing.append(
                f"{session.session_date}: the fills say {own:+.2f} USD, the account moved "
                f"{moved:+.2f} USD, position {position}"
            )
        lots, earned = lots + position, earned + own
    said = f"; {'; '.join(differing[:3])}" if differing else ", and so did the account"
    return dg.AssetCheckResult(
        passed=not differing,
        description=f"{stored.height} fills of {len(sessions)} sessions moved {earned:+.2f} USD"
        f"{said}",
        metadata={"fills_usd": told.usd(earned), "differing": len(differing), "position": lots},
    )


def _moved_usd(events: Iterable[Event]) -> Decimal:
    """By how much the account moved while these were reported."""
    said = [
        fact.equity_usd
        for fact in map(fact_of, events)
        if isinstance(fact, AccountReported) and fact.equity_usd is not None
    ]
    return said[-1] - said[0] if said else Decimal(0)


def net_usd(rows: pl.DataFrame, rules: Rules) -> Decimal:
    """Result of the fills in US dollars, commissions paid; meaningful when they end flat."""
    ticks = -sum(row["side"] * row["quantity"] * row["price_ticks"] for row in rows.to_dicts())
    paid = sum((usd for usd in rows["commission_usd"] if usd is not None), Decimal(0))
    return rules.instrument.to_usd(ticks) - paid
