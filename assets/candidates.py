"""Stage `candidates`: what the market alone would allow, per bar and template."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets import told
from assets.beliefs import beliefs
from assets.context import session_context
from assets.market import causality_check, parity_check
from assets.rows import candidate_rows
from assets.tables import schema_check, stage_asset
from engine.market import market_frame
from engine.rules import Rules


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """How much a session offered."""
    return {
        "setups": (pl.col("side") != 0).sum(),
        "bars_that_may_enter": pl.col("closes_at").filter("may_enter").n_unique(),
        "best_euc": pl.col("euc").max(),
    }


@stage_asset(
    "candidates",
    ins={"contexts": dg.AssetIn(session_context.key)},
    deps=[beliefs],
    numbers=numbers,
)
def candidates(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Setup, score and first market-only no of each template; defined in `engine.candidates`."""
    rows = candidate_rows(market_frame(contexts, bars, rules), rules)
    reasons = (
        rows.filter(pl.col("side") != 0)
        .group_by("template", pl.col("reason").fill_null("may enter"))
        .agg(setups=pl.len(), best_euc=pl.col("euc").max())
        .sort("template", "setups", descending=[False, True])
    )
    return dg.MaterializeResult(value=rows, metadata={"setups_by_reason": told.table(reasons)})


candidates_schema = schema_check("candidates")
candidates_equal_recomputed = parity_check("candidates", candidate_rows)
candidates_are_causal = causality_check("candidates", candidate_rows)
