"""Stage `signals`: S1–S35 of every bar."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets import told
from assets.context import session_context
from assets.market import causality_check, parity_check
from assets.quality import quality
from assets.rows import signal_rows
from assets.tables import schema_check, stage_asset
from engine.market import market_frame
from engine.rules import Rules
from engine.signals import SIGNALS


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """What a session's signals come to: how much is unknown, how reliable it is."""
    return {
        "null_share": pl.mean_horizontal(pl.col(*SIGNALS).is_null().mean()),
        "reliability_mean": pl.col("reliability").mean(),
        "trend_share": (pl.col("regime") == "trend").mean(),
        "shock_bars": (pl.col("regime") == "shock").sum(),
    }


@stage_asset(
    "signals", ins={"contexts": dg.AssetIn(session_context.key)}, deps=[quality], numbers=numbers
)
def signals(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """One row per bar, one column per signal; defined in `engine.signals`."""
    rows = signal_rows(market_frame(contexts, bars, rules), rules)
    return dg.MaterializeResult(value=rows, metadata={"signals": told.table(signal_shares(rows))})


def signal_shares(rows: pl.DataFrame) -> pl.DataFrame:
    """Per signal its declared range, and the share of the rows that are unknown or at a bound."""
    per_signal = [
        rows.select(
            signal=pl.lit(signal.name),
            low=pl.lit(float(signal.low)),
            high=pl.lit(float(signal.high)),
            unknown_share=pl.col(signal.name).is_null().mean(),
            at_bound_share=(
                (pl.col(signal.name) <= signal.low) | (pl.col(signal.name) >= signal.high)
            ).mean(),
        )
        for signal in SIGNALS.values()
    ]
    return pl.concat(per_signal)


signals_schema = schema_check("signals")
signals_equal_recomputed = parity_check("signals", signal_rows)
signals_are_causal = causality_check("signals", signal_rows)
