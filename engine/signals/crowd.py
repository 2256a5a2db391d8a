"""Traces of crowd behaviour: chasing, panic, lateness and herding."""

import polars as pl

from engine.measures import VOLUME_BARS_MIN, floored
from engine.rules import Rules
from engine.signals.registry import Unit, companion, signal
from engine.signals.trend import TREND_BARS

LATE_SHARE = 0.7
HERD_BARS = 8


def _positive(expression: pl.Expr) -> pl.Expr:
    return expression.clip(lower_bound=0)


@signal(
    number=29,
    unit=Unit.SCORE,
    low=-1,
    high=1,
    needs=("micro_trend_5", "_volume_surge", "hhll_trend_strength"),
    lookback_bars=TREND_BARS,
    signed=True,
)
def fomo_index(_: Rules) -> pl.Expr:
    """Chasing: direction of the last 5 bars x (0.4 its strength + 0.3 volume + 0.3 trend)."""
    micro, trend = pl.col("micro_trend_5"), pl.col("hhll_trend_strength")
    rest = 0.1 * pl.col("_volume_surge") + 0.3 * trend.abs()
    return 0.4 * micro + micro.sign() * rest


@signal(
    number=30,
    unit=Unit.SCORE,
    low=0,
    high=1,
    needs=("micro_trend_5", "climax_bar_flag", "vol_z"),
    lookback_bars=VOLUME_BARS_MIN - 1,
)
def panic_index(_: Rules) -> pl.Expr:
    """Forced selling: 0.5 fall of the last 5 bars + 0.3 selling climax + 0.2 volume beyond one
    deviation.
    """
    fall, climax = _positive(-pl.col("micro_trend_5")), _positive(-pl.col("climax_bar_flag"))
    return 0.5 * fall + 0.3 * climax + 0.1 * _positive(pl.col("vol_z") - 1)


@companion(needs=("close_ticks", "median_range_ticks"))
def _travelled_share(_: Rules) -> pl.Expr:
    """Distance of the close from the further extreme of the session, over the usual range."""
    close = pl.col("close_ticks")
    travelled = pl.max_horizontal(
        close - pl.col("_session_low_ticks"), pl.col("_session_high_ticks") - close
    )
    return travelled / floored("median_range_ticks")


@signal(
    number=33,
    unit=Unit.RANGE,
    low=0,
    high=1,
    needs=("_travelled_share",),
)
def late_entry_flag(_: Rules) -> pl.Expr:
    """Share of the median range of the prior 20 sessions already travelled, where it is above 0.7,
    else 0.

    Travelled is the close's distance from the further extreme of the session so far.
    """
    share = pl.col("_travelled_share")
    return pl.when(share <= LATE_SHARE).then(0.0).otherwise(share)


@signal(
    number=35,
    unit=Unit.SCORE,
    low=-1,
    high=1,
    needs=("close_ticks", "_volume_surge"),
    lookback_bars=VOLUME_BARS_MIN - 1,
    signed=True,
)
def herding_score(_: Rules) -> pl.Expr:
    """Signed run of closes in one direction over 8 bars, x (0.5 + 0.5 positive volume z / 3).

    An unchanged close ends a run.
    """
    participation = 0.5 + 0.5 / 3 * pl.col("_volume_surge")
    return pl.col("_signed_run") * (1 / HERD_BARS) * participation
