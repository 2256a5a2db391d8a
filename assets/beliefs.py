"""Stage `beliefs`: F1–F6, for both sides where they have one."""

import dagster as dg
import polars as pl

from assets.context import session_context
from assets.market import causality_check, columns_of, parity_check
from assets.signals import signals
from assets.tables import own_rows, schema_check, stage_asset
from engine.market import market_frame
from engine.rules import Rules


@stage_asset("beliefs", ins={"contexts": dg.AssetIn(session_context.key)}, deps=[signals])
def beliefs(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Evidence, likelihood, belief and instability per constraint; defined in `engine.beliefs`."""
    rows = own_rows("beliefs", market_frame(contexts, bars, rules))
    held = {
        column: rows.select((pl.col(column) >= 0.65).mean()).item()
        for column in rows.columns
        if column.endswith("_effective")
    }
    return dg.MaterializeResult(
        value=rows, metadata={"share_held_at_0.65": dg.MetadataValue.json(held)}
    )


beliefs_schema = schema_check("beliefs")
beliefs_equal_recomputed = parity_check("beliefs", columns_of("beliefs"))
beliefs_are_causal = causality_check("beliefs", columns_of("beliefs"))
