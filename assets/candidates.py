"""Stage `candidates`: what the market alone would allow, per bar and template."""

import dagster as dg
import polars as pl

from assets.beliefs import beliefs
from assets.context import session_context
from assets.market import causality_check, parity_check
from assets.tables import own_rows, schema_check, stage_asset
from engine.candidates import SETUP_COLUMNS
from engine.market import market_frame
from engine.rules import Rules


@stage_asset("candidates", ins={"contexts": dg.AssetIn(session_context.key)}, deps=[beliefs])
def candidates(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Setup, score and first market-only no of each template; defined in `engine.candidates`."""
    rows = candidate_rows(market_frame(contexts, bars, rules), rules)
    setups = rows.filter(pl.col("side") != 0).group_by("template").len().sort("template")
    reasons = rows.group_by("reason").len("rows").sort("rows", descending=True)
    return dg.MaterializeResult(
        value=rows,
        metadata={
            "setups": dg.MetadataValue.json(dict(setups.iter_rows())),
            "bars_that_may_enter": rows.filter("may_enter")["closes_at"].n_unique(),
            "reasons": dg.MetadataValue.json(dict(reasons.fill_null("PASSED").iter_rows())),
        },
    )


def candidate_rows(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The wide columns of a market frame as one row per bar and template, in bar order."""
    long = [
        frame.with_columns(
            pl.lit(template.id).alias("template"),
            *(pl.col(f"{template.id.lower()}_{name}").alias(name) for name in SETUP_COLUMNS),
        )
        for template in rules.strategies.templates
    ]
    return own_rows("candidates", pl.concat(long).sort("symbol", "closes_at", "template"))


candidates_schema = schema_check("candidates")
candidates_equal_recomputed = parity_check("candidates", candidate_rows)
candidates_are_causal = causality_check("candidates", candidate_rows)
