"""Stage `signals`: S1–S35 of every bar."""

import dagster as dg
import polars as pl

from assets.context import session_context
from assets.market import causality_check, columns_of, parity_check
from assets.quality import quality
from assets.tables import own_rows, schema_check, stage_asset
from engine.market import market_frame
from engine.rules import Rules
from engine.signals import SIGNALS, Signal


@stage_asset("signals", ins={"contexts": dg.AssetIn(session_context.key)}, deps=[quality])
def signals(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """One row per bar, one column per signal; defined in `engine.signals`."""
    rows = own_rows("signals", market_frame(contexts, bars, rules))
    at_bound = {
        each.name: rows.select(_is_at_bound(each).mean()).item()
        for each in SIGNALS.values()
        if each.high - each.low > 1
    }
    return dg.MaterializeResult(
        value=rows,
        metadata={
            "null_share": rows.select(pl.mean_horizontal(pl.col(*SIGNALS).is_null().mean())).item(),
            "share_at_bound": dg.MetadataValue.json(at_bound),
        },
    )


def _is_at_bound(signal: Signal) -> pl.Expr:
    return (pl.col(signal.name) <= signal.low) | (pl.col(signal.name) >= signal.high)


signals_schema = schema_check("signals")
signals_equal_recomputed = parity_check("signals", columns_of("signals"))
signals_are_causal = causality_check("signals", columns_of("signals"))
