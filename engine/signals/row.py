"""Labels of the row as a whole: how reliable it is, and what kind of market it belongs to."""

import polars as pl

from engine.calendar import Phase
from engine.rules import Rules
from engine.signals.registry import companion

TRADABLE_PHASES = (Phase.OPENING, Phase.MID_MORNING, Phase.AFTERNOON, Phase.CLOSE)
RELIABLE_SPREAD_TICKS = 2


@companion(needs=("dvs", "spread_ticks", "session_phase"))
def reliability(_: Rules) -> pl.Expr:
    """0.4 x DVS + 0.3 if the spread is known and at most 2 ticks + 0.3 if the phase is tradable
    (not lunch).
    """
    has_spread = (pl.col("spread_ticks") <= RELIABLE_SPREAD_TICKS).fill_null(value=False)
    is_tradable = pl.col("session_phase").is_in([float(phase) for phase in TRADABLE_PHASES])
    return (
        0.4 * pl.col("dvs") + 0.3 * has_spread.cast(pl.Float64) + 0.3 * is_tradable.cast(pl.Float64)
    )


@companion(needs=("is_shock", "atr_14_n", "hhll_trend_strength", "auction_efficiency"))
def regime(rules: Rules) -> pl.Expr:
    """`shock`, `volatile`, `trend`, `quiet` or `range`, the first that is known to hold."""
    decision = rules.decision
    last_shock = pl.when(pl.col("is_shock")).then(pl.col("_row")).forward_fill()
    recent = pl.max_horizontal("_start", pl.col("_row") - (decision.regime_shock_bars - 1))
    is_trend = (pl.col("hhll_trend_strength").abs() >= decision.regime_trend_strength) & (
        pl.col("auction_efficiency") >= decision.regime_trend_efficiency
    )
    return (
        pl.when(last_shock >= recent)
        .then(pl.lit("shock"))
        .when(pl.col("atr_14_n") >= decision.regime_volatile_atr_ratio)
        .then(pl.lit("volatile"))
        .when(is_trend)
        .then(pl.lit("trend"))
        .when(pl.col("atr_14_n") <= decision.regime_quiet_atr_ratio)
        .then(pl.lit("quiet"))
        .otherwise(pl.lit("range"))
    )
