"""Stage `executions`: every fill with what it cost, and the ledger against the broker's cash."""

from collections.abc import Sequence
from decimal import Decimal

import dagster as dg
import polars as pl

from assets.partitions import SESSIONS
from assets.ports import Rehearsals
from assets.tables import dates_of, schema_check, stage_asset
from assets.trading_session import trading_session
from contracts.schemas import columns_of
from engine.broker import AccountReported, CommissionReported, ExecutionReported
from engine.desk import fact_of
from engine.journal import Event, Kind
from engine.ledger import Ledger
from engine.rules import Rules


@stage_asset("executions", deps=[trading_session], pool="warehouse_write", one_by_one=True)
def executions(
    context: dg.AssetExecutionContext,
    rehearsals: dg.ResourceParam[Rehearsals],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """One row per fill; quantity and price come from executions, never from an order's status."""
    session_date = dates_of(context.partition_keys, rules)[0]
    events = rehearsals.events(session_date, Kind.EXECUTION, Kind.COMMISSION)
    rows = execution_rows(events)
    return dg.MaterializeResult(
        value=rows, metadata={"commission_usd": float(rows["commission_usd"].sum())}
    )


def execution_rows(events: Sequence[Event]) -> pl.DataFrame:
    """Journalled executions, each once, with the commission reported for it if any was."""
    ledger = Ledger()
    seqs: dict[str, Event] = {}
    for event in events:
        fact = fact_of(event)
        if isinstance(fact, ExecutionReported):
            ledger = ledger.with_execution(fact)
            seqs.setdefault(fact.execution_id, event)
        elif isinstance(fact, CommissionReported):
            ledger = ledger.with_commission(fact.execution_id, fact.commission_usd)
    rows = [
        {
            "symbol": fill.symbol,
            "session_date": seqs[fill.execution_id].session_date,
            "seq": seqs[fill.execution_id].seq,
            "at": fill.at,
            "execution_id": fill.execution_id,
            "order_ref": fill.ref,
            "decision_id": fill.ref.split("/")[1],
            "leg": fill.ref.split("/")[2],
            "side": int(fill.side),
            "quantity": fill.quantity,
            "price_ticks": fill.price_ticks,
            "commission_usd": ledger.commissions_usd.get(fill.execution_id),
        }
        for fill in ledger.executions
    ]
    typed = columns_of("executions") | {"session_date": pl.String()}
    frame = pl.DataFrame(rows, schema=typed, orient="row")
    return frame.with_columns(pl.col("session_date").str.to_date())


executions_schema = schema_check("executions")


@dg.asset_check(asset=executions, blocking=True, partitions_def=SESSIONS)
def ledger_equals_cash(
    context: dg.AssetCheckExecutionContext,
    rehearsals: dg.ResourceParam[Rehearsals],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """What the fills earned less their fees is what the broker's account moved by, to the cent."""
    session_date = dates_of(context.op_execution_context.partition_keys, rules)[0]
    accounts = [
        fact.equity_usd
        for fact in map(fact_of, rehearsals.events(session_date, Kind.ACCOUNT, Kind.SESSION))
        if isinstance(fact, AccountReported) and fact.equity_usd is not None
    ]
    rows = execution_rows(rehearsals.events(session_date, Kind.EXECUTION, Kind.COMMISSION))
    position = int(rows.select((pl.col("side") * pl.col("quantity")).sum()).item())
    earned = net_usd(rows, rules)
    moved = accounts[-1] - accounts[0] if accounts else Decimal(0)
    return dg.AssetCheckResult(
        passed=position == 0 and earned == moved,
        description=f"fills say {earned:+.2f} USD, the account moved {moved:+.2f} USD, "
        f"position {position}",
        metadata={"fills_usd": float(earned), "account_usd": float(moved), "position": position},
    )


def net_usd(rows: pl.DataFrame, rules: Rules) -> Decimal:
    """Result of the fills in US dollars, commissions paid; meaningful when they end flat."""
    ticks = -sum(row["side"] * row["quantity"] * row["price_ticks"] for row in rows.to_dicts())
    paid = sum((usd for usd in rows["commission_usd"] if usd is not None), Decimal(0))
    return rules.instrument.to_usd(ticks) - paid
