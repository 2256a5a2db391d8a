"""Stage `trades`: one row per round trip, rebuilt from the fills; the ledger against the broker."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets import told
from assets.candidates import candidates
from assets.decisions import decisions
from assets.executions import books_verdict, executions
from assets.ledger import session_ledger
from assets.partitions import sessions_of
from assets.ports import MarketStore, SessionJournals, Warehouse
from assets.tables import schema_check, session_check, sessions_in, stage_asset, stored_rows
from contracts.schemas import columns_of
from engine.learning.round_trips import round_trips
from engine.rules import Rules


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """What a session's trades came to."""
    return {
        "trades": pl.len(),
        "net_usd": pl.col("net_usd").cast(pl.Float64).sum().round(2),
        "fees_usd": pl.col("fees_usd").cast(pl.Float64).sum().round(2),
        "net_r": pl.col("net_r").sum(),
    }


@stage_asset(
    "trades",
    deps=[decisions, executions, candidates],
    pool="warehouse_write",
    numbers=numbers,
)
def trades(
    context: dg.AssetExecutionContext,
    session_journals: dg.ResourceParam[SessionJournals],
    warehouse: dg.ResourceParam[Warehouse],
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """What was traded, from flat to flat, with what was meant beside it."""
    sessions = sessions_of(context.partition_keys, rules.session)
    session_journals.refuse_untraded([each.session_date for each in sessions])
    filled, decided = (
        stored_rows(warehouse, name, sessions, rules) for name in ("executions", "decisions")
    )
    bars = stored_rows(market, "bars", sessions, rules)
    parts = [pl.DataFrame(schema=columns_of("trades"))]
    for session in sessions:
        own = pl.col("session_date") == session.session_date
        parts.append(
            round_trips(
                filled.filter(own),
                decided.filter(own),
                session_journals.events(session.session_date),
                bars.filter(own),
                rules,
            )
        )
    rows = pl.concat(parts)
    shown = rows.select(
        *("closed_at", "template", "side", "exit_kind", "gross_ticks", "fees_usd", "net_usd"),
        *("mae_ticks", "mfe_ticks", "bars_held", "entry_slippage_ticks"),
    )
    return dg.MaterializeResult(value=rows, metadata={"round_trips": told.table(shown)})


trades_schema = schema_check("trades")


@session_check(trades)
def trades_equal_broker_cash(
    context: dg.AssetCheckExecutionContext,
    session_journals: dg.ResourceParam[SessionJournals],
    warehouse: dg.ResourceParam[Warehouse],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """What the stored trades earned is what the broker's cash moved by, to the last cent."""
    found = {}
    sessions = sessions_in(context, rules)
    stored, filled = (
        stored_rows(warehouse, name, sessions, rules) for name in ("trades", "executions")
    )
    for session in sessions:
        own = pl.col("session_date") == session.session_date
        found[session.session_date] = session_ledger(
            session_journals,
            session.session_date,
            rules,
            executions=filled.filter(own),
            trades=stored.filter(own),
        )
    said = f"{len(sessions)} sessions, {stored.height} trades"
    return books_verdict(said, found, {"sessions": len(sessions)})


@session_check(trades)
def profit_is_decomposed(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """Signal, timing, slippage and fees of every stored trade add up to its net result, exactly."""
    stored = stored_rows(warehouse, "trades", sessions_in(context, rules), rules)
    parts = pl.col("signal_usd") + pl.col("timing_usd") + pl.col("slippage_usd")
    wrong = stored.filter(parts - pl.col("fees_usd") != pl.col("net_usd"))
    return dg.AssetCheckResult(
        passed=wrong.is_empty(),
        description=f"{stored.height - wrong.height} of {stored.height} trades add up exactly",
        metadata={"trades": stored.height, "wrong": wrong.height},
    )
