"""The shape of one bar: where it closed and what it rejected."""

import polars as pl

from engine.measures import floored
from engine.rules import Rules
from engine.signals.registry import Unit, signal


@signal(
    number=7,
    unit=Unit.SHARE,
    low=-1,
    high=1,
    needs=("open_ticks", "high_ticks", "low_ticks", "close_ticks", "true_range_ticks"),
    signed=True,
)
def rejection_wick_n(_: Rules) -> pl.Expr:
    """Lower wick − upper wick over true range; positive means that low prices were rejected."""
    lower = pl.min_horizontal("open_ticks", "close_ticks") - pl.col("low_ticks")
    upper = pl.col("high_ticks") - pl.max_horizontal("open_ticks", "close_ticks")
    return (lower - upper) / floored("true_range_ticks")


@signal(
    number=8,
    unit=Unit.SHARE,
    low=-1,
    high=1,
    needs=("high_ticks", "low_ticks", "close_ticks"),
    signed=True,
)
def close_location_value(_: Rules) -> pl.Expr:
    """Where the bar closed in its range: 1 at the high, −1 at the low, 0 for a flat bar."""
    high, low, close = pl.col("high_ticks"), pl.col("low_ticks"), pl.col("close_ticks")
    return ((close - low) - (high - close)) / (high - low).clip(lower_bound=1)
