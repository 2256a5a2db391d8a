"""How wide the bars are: against their own history and against themselves."""

import polars as pl

from engine.measures import floored
from engine.rules import Rules
from engine.signals.registry import Unit, signal


@signal(number=3, unit=Unit.SHARE, low=0, high=3, needs=("atr_14_ticks", "atr_median_ticks"))
def atr_14_n(_: Rules) -> pl.Expr:
    """ATR14 over its median in this half hour of the prior 20 sessions; 1 is usual.

    Null until 3 prior sessions reached the half hour.
    """
    return pl.col("atr_14_ticks") / floored("atr_median_ticks")


@signal(number=4, unit=Unit.SHARE, low=0, high=2, needs=("atr_5_ticks", "atr_30_ticks"))
def range_compression(_: Rules) -> pl.Expr:
    """ATR5 over ATR30; below 0.6 the market is compressed."""
    return pl.col("atr_5_ticks") / pl.col("_atr_30")
