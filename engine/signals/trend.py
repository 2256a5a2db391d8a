"""Direction and how straight it is."""

import math

import polars as pl

from engine.measures import floored, lag
from engine.rules import Rules
from engine.signals.registry import Unit, signal

TREND_BARS = 30
MICRO_TREND_BARS = 5


@signal(
    number=5,
    unit=Unit.SCORE,
    low=-1,
    high=1,
    needs=("high_ticks", "low_ticks"),
    lookback_bars=TREND_BARS,
    signed=True,
)
def hhll_trend_strength(_: Rules) -> pl.Expr:
    """Twice the mean over 30 bars of +1 for a higher high and higher low, −1 for a lower high and
    lower low.
    """
    return pl.when(pl.col("session_bar") >= TREND_BARS).then(
        pl.col("_structure_sum") * (2 / TREND_BARS)
    )


@signal(
    number=11,
    unit=Unit.ATR,
    low=-1,
    high=1,
    needs=("close_ticks", "atr_14_ticks"),
    lookback_bars=MICRO_TREND_BARS,
    signed=True,
)
def micro_trend_5(_: Rules) -> pl.Expr:
    """Move of the last 5 bars over what a random walk of this ATR14 makes in them (ATR14 x √5)."""
    move = pl.col("close_ticks") - lag("close_ticks", MICRO_TREND_BARS)
    return move / (pl.col("_atr_14") * math.sqrt(MICRO_TREND_BARS))


@signal(
    number=12,
    unit=Unit.ATR,
    low=-2,
    high=2,
    needs=("open_ticks", "close_ticks", "atr_14_ticks"),
    signed=True,
)
def real_body_impulse_n(_: Rules) -> pl.Expr:
    """Body of the bar, close − open, over ATR14."""
    return pl.col("_body_ticks") / pl.col("_atr_14")


@signal(
    number=34,
    unit=Unit.SHARE,
    low=0,
    high=1,
    needs=("close_ticks",),
    lookback_bars=TREND_BARS,
)
def auction_efficiency(_: Rules) -> pl.Expr:
    """Kaufman's efficiency ratio over 30 bars: net move over path; 1 is a straight line, near 0 is
    chop.

    Source: Kaufman, Trading Systems and Methods, efficiency ratio.
    """
    net = (pl.col("close_ticks") - lag("close_ticks", TREND_BARS)).abs()
    return net / floored("_path_sum")
