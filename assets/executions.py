"""Stage `executions`: every fill with what it cost, and the ledger against the broker's cash."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import dagster as dg
import polars as pl

from assets import told
from assets.partitions import sessions_of
from assets.ports import SessionJournals, Warehouse
from assets.tables import schema_check, session_check, sessions_in, stage_asset, stored_rows
from assets.trading_session import trading_session
from contracts.schemas import columns_of
from engine.broker import AccountReported, CommissionReported, ExecutionReported
from engine.desk import fact_of
from engine.journal import Event, Kind
from engine.ledger import Ledger
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
    one_by_one=True,
    numbers=numbers,
)
def executions(
    context: dg.AssetExecutionContext,
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """One row per fill; quantity and price come from executions, never from an order's status."""
    session_date = sessions_of(context.partition_keys, rules.session)[0].session_date
    rows = execution_rows(session_journals.events(session_date, Kind.EXECUTION, Kind.COMMISSION))
    fills = rows.select("at", "leg", "side", "quantity", "price_ticks", "commission_usd")
    return dg.MaterializeResult(value=rows, metadata={"fills": told.table(fills)})


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


@session_check(executions)
def ledger_equals_cash(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """What the stored fills earned less their fees is what the broker's cash moved by, exactly."""
    session = sessions_in(context, rules)[0]
    accounts = [
        fact.equity_usd
        for fact in map(
            fact_of, session_journals.events(session.session_date, Kind.ACCOUNT, Kind.SESSION)
        )
        if isinstance(fact, AccountReported) and fact.equity_usd is not None
    ]
    rows = stored_rows(warehouse, "executions", [session], rules)
    position = int(rows.select((pl.col("side") * pl.col("quantity")).sum()).item())
    earned = net_usd(rows, rules)
    moved = accounts[-1] - accounts[0] if accounts else Decimal(0)
    return dg.AssetCheckResult(
        passed=position == 0 and earned == moved,
        description=f"{rows.height} fills say {earned:+.2f} USD, the account moved "
        f"{moved:+.2f} USD, position {position}",
        metadata={
            "fills_usd": told.usd(earned),
            "account_usd": told.usd(moved),
            "position": position,
        },
    )


def net_usd(rows: pl.DataFrame, rules: Rules) -> Decimal:
    """Result of the fills in US dollars, commissions paid; meaningful when they end flat."""
    ticks = -sum(row["side"] * row["quantity"] * row["price_ticks"] for row in rows.to_dicts())
    paid = sum((usd for usd in rows["commission_usd"] if usd is not None), Decimal(0))
    return rules.instrument.to_usd(ticks) - paid
