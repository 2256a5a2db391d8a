"""Stage `attribution`: why each trade ended as it did, and how much of it was luck."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets import told
from assets.learned_history import learned_history
from assets.outcomes import outcomes
from assets.partitions import sessions_of
from assets.ports import MarketStore
from assets.tables import schema_check, stage_asset
from assets.trades import trades as traded
from contracts.schemas import columns_of
from engine.learning.attribution import attribution as attributed
from engine.rules import Rules


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """How lucky a session's trades were, and how well carried out."""
    return {
        "luck": pl.col("luck").mean(),
        "execution": pl.col("execution").mean(),
    }


@stage_asset(
    "attribution",
    ins={"trades": dg.AssetIn(traded.key)},
    deps=[outcomes],
    pool="warehouse_write",
    numbers=numbers,
)
def attribution(
    context: dg.AssetExecutionContext,
    trades: pl.DataFrame,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """One cause a trade, A0 to A9, with its evidence, scores and a sentence."""
    dates = [each.session_date for each in sessions_of(context.partition_keys, rules.session)]
    history = learned_history(market, dates, rules)
    parts = [pl.DataFrame(schema=columns_of("attribution"))]
    for day in dates:
        own = trades.filter(pl.col("session_date") == day)
        if own.height:
            frame, followed = (history.on(each, day) for each in (history.frame, history.outcomes))
            compared = history.through(history.peers, day)
            parts.append(attributed(own, frame, followed, compared, rules))
    rows = pl.concat(parts)
    verdicts = rows.select("session_date", "cause", "cause_name", "net_r", "luck", "verdict")
    return dg.MaterializeResult(value=rows, metadata={"verdicts": told.table(verdicts)})


attribution_schema = schema_check("attribution")
