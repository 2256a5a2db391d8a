"""Where price stands against value: the session's VWAP, the prior session's, and round levels."""

import polars as pl

from engine.measures import floored
from engine.rules import Rules
from engine.signals.measures import VWAP_SLOPE_BARS
from engine.signals.registry import Unit, signal


@signal(
    number=1,
    unit=Unit.SIGMA,
    low=-3,
    high=3,
    needs=("close_ticks", "vwap_ticks", "vwap_deviation_ticks"),
    signed=True,
)
def vwap_z(_: Rules) -> pl.Expr:
    """Gap between close and session VWAP, in volume-weighted deviations of typical price (at least
    2 ticks).

    Positive means price is above VWAP. Null until the session has traded.
    """
    return (pl.col("close_ticks") - pl.col("vwap_ticks")) / pl.col("vwap_deviation_ticks")


@signal(
    number=2,
    unit=Unit.ATR,
    low=-1,
    high=1,
    needs=("vwap_ticks", "atr_30_ticks"),
    lookback_bars=VWAP_SLOPE_BARS,
    signed=True,
)
def vwap_slope(_: Rules) -> pl.Expr:
    """Least-squares slope of VWAP over 30 bars: the move it makes in them, over 3 ATR30."""
    return pl.col("_vwap_slope") * VWAP_SLOPE_BARS / (3 * pl.col("_atr_30"))


@signal(
    number=9,
    unit=Unit.RANGE,
    low=-2,
    high=2,
    needs=("open_ticks", "prior_close_ticks", "median_range_ticks"),
    signed=True,
)
def gap_from_prev_close_n(_: Rules) -> pl.Expr:
    """Overnight gap, session open − prior close, over the median range of the prior 20 sessions."""
    gap = pl.col("_session_open_ticks") - pl.col("prior_close_ticks")
    return gap / floored("median_range_ticks")


@signal(
    number=10,
    unit=Unit.SIGMA,
    low=-3,
    high=3,
    needs=("close_ticks", "prior_poc_ticks", "prior_vw_deviation_ticks"),
    signed=True,
)
def distance_from_poc(_: Rules) -> pl.Expr:
    """Close against the prior session's point of control, in that session's volume-weighted
    deviations.
    """
    gap = pl.col("close_ticks") - pl.col("prior_poc_ticks")
    return gap / floored("prior_vw_deviation_ticks")


@signal(number=32, unit=Unit.SHARE, low=0, high=1, needs=("close_ticks", "atr_14_ticks"))
def round_number_proximity(rules: Rules) -> pl.Expr:
    """Nearness to a multiple of 50 points: 1 on it, 0 from 2 ATR14 away."""
    step = rules.instrument.to_ticks(rules.instrument.round_number_points)
    distance = step / 2 - (pl.col("close_ticks") % step - step / 2).abs()
    return 1 - distance / (2 * pl.col("_atr_14"))
