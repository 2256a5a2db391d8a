"""Stage `outcomes`: what would have happened, for every bar, template and side."""

import dagster as dg
import polars as pl

from assets.candidates import candidates
from assets.context import session_context
from assets.market import parity_check
from assets.tables import own_rows, schema_check, stage_asset
from engine.market import market_frame
from engine.outcomes import outcomes as followed
from engine.rules import Rules


@stage_asset("outcomes", ins={"contexts": dg.AssetIn(session_context.key)}, deps=[candidates])
def outcomes(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """The counterfactual ledger; only sessions already over are ever read by a decision."""
    rows = outcome_rows(market_frame(contexts, bars, rules), rules)
    by_template = rows.group_by("template", "exit_kind").len("rows").sort("template", "exit_kind")
    kinds = {
        f"{row['template']} {row['exit_kind'] or 'not entered'}": row["rows"]
        for row in by_template.to_dicts()
    }
    mean = rows.group_by("template").agg(pl.col("ticks_net").mean()).sort("template")
    return dg.MaterializeResult(
        value=rows,
        metadata={
            "exit_kinds": dg.MetadataValue.json(kinds),
            "mean_ticks_net": dg.MetadataValue.json(dict(mean.iter_rows())),
        },
    )


def outcome_rows(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The rows of the table from a market frame, in bar order."""
    rows = own_rows("outcomes", followed(frame, rules))
    return rows.sort("symbol", "closes_at", "template", "side")


outcomes_schema = schema_check("outcomes")
outcomes_equal_recomputed = parity_check("outcomes", outcome_rows)
