"""Participation: how much was traded, and what it achieved."""

import polars as pl

from engine.measures import VOLUME_BARS_MIN, floored, logistic
from engine.rules import Rules
from engine.signals.measures import EFFORT_BARS
from engine.signals.registry import Unit, companion, signal

HIGH_VOLUME_RUN_BARS = 5

_RANGE, _VOLUME = "true_range_ticks", "volume"


@signal(
    number=13,
    unit=Unit.SIGMA,
    low=-3,
    high=3,
    needs=("volume",),
    lookback_bars=VOLUME_BARS_MIN - 1,
)
def vol_z(_: Rules) -> pl.Expr:
    """Volume against mean and population deviation of the last 60 bars, this one included; at least
    20.
    """
    return pl.col("volume_z")


@signal(
    number=14,
    unit=Unit.SHARE,
    low=-1,
    high=1,
    needs=("volume",),
    lookback_bars=EFFORT_BARS - 1,
)
def vol_slope_20(_: Rules) -> pl.Expr:
    """Least-squares slope of volume over 20 bars: the change it makes in them, over their mean
    volume.
    """
    return pl.col("_volume_slope") * EFFORT_BARS / floored("_volume_mean")


@signal(
    number=15,
    unit=Unit.SCORE,
    low=-1,
    high=1,
    needs=("volume", "true_range_ticks"),
    lookback_bars=EFFORT_BARS - 1,
)
def effort_vs_result(_: Rules) -> pl.Expr:
    """Half of volume over its 20-bar mean − true range over its 20-bar mean; high = effort without
    result.
    """
    effort = pl.col(_VOLUME) / floored("_volume_mean")
    result = pl.col(_RANGE) / floored("_true_range_ticks_mean")
    return (effort - result) * 0.5


@companion(needs=("vol_z",))
def _volume_surge(_: Rules) -> pl.Expr:
    """Volume z where it is positive, else 0."""
    return pl.col("vol_z").clip(lower_bound=0)


@signal(
    number=16,
    unit=Unit.SCORE,
    low=-2,
    high=2,
    needs=("true_range_ticks", "atr_30_ticks", "_volume_surge"),
    lookback_bars=VOLUME_BARS_MIN - 1,
    signed=True,
)
def range_expansion_on_volume(_: Rules) -> pl.Expr:
    """Sign of the body x true range in excess of ATR30 x positive volume z / 2."""
    expansion = (pl.col(_RANGE) / pl.col("_atr_30") - 1).clip(lower_bound=0)
    size = expansion * pl.col("_volume_surge") * 0.5
    # A falling bar times nothing would be −0.0, and the journal would show it.
    return pl.when(size > 0).then(size * pl.col("_body_sign")).otherwise(size)


@signal(
    number=17,
    unit=Unit.FLAG,
    low=-1,
    high=1,
    needs=("true_range_ticks", "atr_14_ticks", "vol_z"),
    lookback_bars=VOLUME_BARS_MIN - 1,
    signed=True,
)
def climax_bar_flag(_: Rules) -> pl.Expr:
    """Sign of the body on a bar wider than 2 ATR14 with volume z above 2, else 0."""
    is_climax = (pl.col(_RANGE) > 2 * pl.col("atr_14_ticks")) & (pl.col("vol_z") > 2)
    return pl.col("_body_sign") * is_climax.cast(pl.Int32)


@signal(
    number=18,
    unit=Unit.FLAG,
    low=0,
    high=1,
    needs=("true_range_ticks", "atr_14_ticks", "vol_z"),
    lookback_bars=VOLUME_BARS_MIN - 1,
)
def quiet_bar_flag(_: Rules) -> pl.Expr:
    """1 on a bar narrower than half of ATR14 with volume z below −1, else 0."""
    return (pl.col(_RANGE) < 0.5 * pl.col("atr_14_ticks")) & (pl.col("vol_z") < -1)


@signal(
    number=19,
    unit=Unit.SHARE,
    low=0,
    high=1,
    needs=("vol_z",),
    lookback_bars=VOLUME_BARS_MIN - 1,
)
def consecutive_high_vol_bars(_: Rules) -> pl.Expr:
    """Number of bars in a row, up to this one, with volume z above 1; full at 5."""
    last_other = pl.when(~(pl.col("vol_z") > 1)).then(pl.col("_row")).forward_fill()
    before = pl.max_horizontal(last_other, pl.col("_start") + VOLUME_BARS_MIN - 2)
    run = (pl.col("_row") - before) * (1 / HIGH_VOLUME_RUN_BARS)
    return pl.when(pl.col("vol_z").is_not_null()).then(run)


@signal(
    number=20,
    unit=Unit.SHARE,
    low=0,
    high=1,
    needs=("vol_z", "true_range_ticks", "atr_14_ticks", "effort_vs_result"),
    lookback_bars=VOLUME_BARS_MIN - 1,
)
def participation_expansion_index(_: Rules) -> pl.Expr:
    """Logistic of volume z + (true range / ATR14 − 1) − effort without result; a half is usual."""
    expansion = pl.col(_RANGE) / pl.col("_atr_14") - 1
    return logistic(pl.col("vol_z") + expansion - pl.col("effort_vs_result"))
