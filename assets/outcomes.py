"""Stage `outcomes`: what would have happened, for every bar, template and side."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets import told
from assets.candidates import candidates
from assets.context import session_context
from assets.market import parity_check
from assets.rows import outcome_rows
from assets.tables import schema_check, stage_asset
from engine.market import market_frame
from engine.rules import Rules


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """What entering blindly would have come to: it costs the friction, so it is below zero."""
    return {
        "entered": pl.col("ticks_net").count(),
        "mean_ticks_net": pl.col("ticks_net").mean(),
        "won_share": (pl.col("ticks_net") > 0).mean(),
    }


@stage_asset(
    "outcomes",
    ins={"contexts": dg.AssetIn(session_context.key)},
    deps=[candidates],
    numbers=numbers,
)
def outcomes(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """The counterfactual ledger; only sessions already over are ever read by a decision."""
    rows = outcome_rows(market_frame(contexts, bars, rules), rules)
    exits = (
        rows.group_by("template", pl.col("exit_kind").fill_null("not entered"))
        .agg(rows=pl.len(), mean_ticks_net=pl.col("ticks_net").mean())
        .sort("template", "rows", descending=[False, True])
    )
    return dg.MaterializeResult(value=rows, metadata={"exits": told.table(exits)})


outcomes_schema = schema_check("outcomes")
outcomes_equal_recomputed = parity_check("outcomes", outcome_rows)
