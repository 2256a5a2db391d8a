"""Stage `executions`: every fill with what it cost, and the ledger against the broker's cash."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

import dagster as dg
import polars as pl

from assets import told
from assets.ledger import session_ledger
from assets.partitions import sessions_of
from assets.ports import SessionJournals, Warehouse
from assets.tables import schema_check, session_check, sessions_in, stage_asset, stored_rows
from assets.trading_session import trading_session
from engine.journal import Kind
from engine.learning.executions import execution_rows
from engine.learning.ledger_check import LedgerDifference
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
            session_journals.events(session.session_date, Kind.EXECUTION, Kind.COMMISSION),
            session_journals.fills_before(session.session_date),
        )
        for session in sessions_of(context.partition_keys, rules.session)
    )
    fills = rows.select("at", "leg", "side", "quantity", "price_ticks", "commission_usd")
    return dg.MaterializeResult(value=rows, metadata={"fills": told.table(fills)})


SHOWN_MAX: Final = 3
"""Sessions that a verdict on the books names; the rest are counted."""

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
    found = {}
    for session in sessions:
        own = stored.filter(pl.col("session_date") == session.session_date)
        day = session.session_date
        found[day] = session_ledger(session_journals, day, rules, executions=own)
    earned = sum((each.trades_usd for each in found.values()), Decimal(0))
    return books_verdict(
        f"{stored.height} fills of {len(sessions)} sessions moved {earned:+.2f} USD",
        found,
        {"fills_usd": told.usd(earned), "position": sum(each.position for each in found.values())},
    )


def books_verdict(
    said: str,
    found: Mapping[date, LedgerDifference],
    metadata: Mapping[str, Any],
) -> dg.AssetCheckResult:
    """Passed when all balance; a warning that names the act where a person accepted the rest.

    A difference that nobody accepted fails the check, and the night stops.
    """
    differing = {day: each for day, each in found.items() if not each.is_equal}
    blocking = {day: each for day, each in differing.items() if not each.is_settled}
    shown = [f"{day}: {each.text}" for day, each in (blocking or differing).items()]
    told = "; ".join(shown[:SHOWN_MAX]) or "every cent of the account is explained"
    is_accepted = bool(differing) and not blocking
    return dg.AssetCheckResult(
        passed=not differing,
        severity=dg.AssetCheckSeverity.WARN if is_accepted else dg.AssetCheckSeverity.ERROR,
        description=f"{said}: {told}",
        metadata={
            **metadata,
            "differing": len(differing),
            "accepted": len(differing) - len(blocking),
        },
    )
