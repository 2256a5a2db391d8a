"""Breaks of earlier extremes, and breaks that failed."""

import polars as pl

from engine.measures import BREAK_BARS
from engine.rules import Rules
from engine.signals.measures import OPENING_RANGE_MINUTES
from engine.signals.registry import Unit, companion, signal

SWEEP_TICKS_MIN = 2
SWEEP_BARS = 3
FAILED_BREAK_BARS = 5
FAILED_BREAK_TICKS_MIN = 1

_EXTREMES = ("high_ticks", "low_ticks", "close_ticks", "atr_14_ticks")


def _beyond(high: str, low: str) -> pl.Expr:
    """Ticks the close is above `high` (+) or below `low` (−), 0 inside, null where they are
    unknown.
    """
    close = pl.col("close_ticks")
    above = (close - pl.col(high)).clip(lower_bound=0)
    below = (pl.col(low) - close).clip(lower_bound=0)
    return above - below


@signal(
    number=6,
    unit=Unit.ATR,
    low=-2,
    high=2,
    needs=_EXTREMES,
    lookback_bars=BREAK_BARS,
    signed=True,
)
def breakout_distance_n(_: Rules) -> pl.Expr:
    """Close beyond the high (+) or low (−) of the 60 bars before, over ATR14; 0 inside."""
    return _beyond("_prior_high_ticks", "_prior_low_ticks") / pl.col("_atr_14")


@signal(
    number=22,
    unit=Unit.ATR,
    low=-2,
    high=2,
    needs=("close_ticks", "opening_high_ticks", "opening_low_ticks", "atr_14_ticks"),
    lookback_bars=OPENING_RANGE_MINUTES,
    signed=True,
)
def opening_range_break(_: Rules) -> pl.Expr:
    """Close beyond the range of the first 30 minutes, over ATR14; 0 inside, null while the range
    forms.

    Null all day when no bar of those minutes was seen.
    """
    return _beyond("opening_high_ticks", "opening_low_ticks") / pl.col("_atr_14")


@companion(needs=_EXTREMES)
def _swept_low(_: Rules) -> pl.Expr:
    """Close − low of the 60 bars before, where this bar pierced it and closed back inside."""
    level = pl.col("_prior_low_ticks")
    back = pl.col("close_ticks") - level
    return pl.when((pl.col("low_ticks") <= level - SWEEP_TICKS_MIN) & (back > 0)).then(back)


@companion(needs=_EXTREMES)
def _swept_high(_: Rules) -> pl.Expr:
    """Close − high of the 60 bars before, where this bar pierced it and closed back inside."""
    level = pl.col("_prior_high_ticks")
    back = pl.col("close_ticks") - level
    return pl.when((pl.col("high_ticks") >= level + SWEEP_TICKS_MIN) & (back < 0)).then(back)


@companion(needs=("_swept_low", "_swept_high"))
def _sweep(_: Rules) -> pl.Expr:
    """Ticks back inside the extreme swept: + at the low, − at the high; both are added."""
    return pl.sum_horizontal("_swept_low", "_swept_high")


@companion(needs=("_sweep",))
def _sweep_row(_: Rules) -> pl.Expr:
    """Row of the newest sweep of the last 3 bars: with 60 bars before, it is of this session."""
    newest = pl.when(pl.col("_sweep") != 0).then(pl.col("_row")).forward_fill()
    is_near = newest > pl.col("_row") - SWEEP_BARS
    return pl.when(is_near & (pl.col("session_bar") >= BREAK_BARS)).then(newest)


@companion(needs=("_sweep_row",))
def sweep_extreme_ticks(_: Rules) -> pl.Expr:
    """Price reached by the sweep that `sweep_reversal_score` sees: its low if positive, its high if
    negative; null without one.
    """
    reached = pl.when(pl.col("_sweep") > 0).then("low_ticks").otherwise("high_ticks")
    return reached.gather(pl.col("_sweep_row"))


@signal(
    number=31,
    unit=Unit.ATR,
    low=-1,
    high=1,
    needs=(*_EXTREMES, "_sweep_row"),
    lookback_bars=BREAK_BARS,
    signed=True,
)
def sweep_reversal_score(_: Rules) -> pl.Expr:
    """A bar that pierced the extreme of the 60 bars before by 2 ticks or more and closed back
    inside: close − extreme swept, over ATR14, positive after a sweep of the low.

    Decays 1, ⅔, ⅓ over the next two bars; the newest sweep counts; 0 without one.
    """
    first = (pl.col("_sweep") / pl.col("_atr_14")).clip(-1, 1).gather(pl.col("_sweep_row"))
    share = 1 - (pl.col("_row") - pl.col("_sweep_row")) * (1 / SWEEP_BARS)
    return pl.when(pl.col("session_bar") >= BREAK_BARS).then((first * share).fill_null(0.0))


@companion(needs=_EXTREMES)
def _broken_low_ticks(_: Rules) -> pl.Expr:
    """The 60-bar low that this bar closed below, null if it did not."""
    low = pl.col("_prior_low_ticks")
    return pl.when(pl.col("close_ticks") < low).then(low)


@companion(needs=_EXTREMES)
def _broken_high_ticks(_: Rules) -> pl.Expr:
    """The 60-bar high that this bar closed above, null if it did not."""
    high = pl.col("_prior_high_ticks")
    return pl.when(pl.col("close_ticks") > high).then(high)


@companion(needs=("_broken_low_ticks", "_broken_high_ticks"))
def _failed_low_ticks(_: Rules) -> pl.Expr:
    """The low that was broken by a close within the 5 bars before, and that this close is back
    above.

    The window never leaves the session: breaks are null on its first 60 bars.
    """
    level = pl.col("_broken_low_ticks").rolling_min(FAILED_BREAK_BARS, min_samples=1).shift()
    return pl.when(
        pl.col("session_bar") > BREAK_BARS,
        pl.col("close_ticks") >= level + FAILED_BREAK_TICKS_MIN,
    ).then(level)


@companion(needs=("_broken_low_ticks", "_broken_high_ticks"))
def _failed_high_ticks(_: Rules) -> pl.Expr:
    """The high that was broken by a close within the 5 bars before, and that this close is back
    below.
    """
    level = pl.col("_broken_high_ticks").rolling_max(FAILED_BREAK_BARS, min_samples=1).shift()
    return pl.when(
        pl.col("session_bar") > BREAK_BARS,
        pl.col("close_ticks") <= level - FAILED_BREAK_TICKS_MIN,
    ).then(level)


@companion(needs=("_failed_low_ticks", "_failed_high_ticks"))
def failed_break(_: Rules) -> pl.Expr:
    """+1 after a failed downside break, −1 after a failed upside one, 0 without or with both; null
    on 60 bars.
    """
    down = pl.col("_failed_low_ticks").is_not_null().cast(pl.Float64)
    up = pl.col("_failed_high_ticks").is_not_null().cast(pl.Float64)
    return pl.when(pl.col("session_bar") >= BREAK_BARS).then(down - up)


@companion(needs=("failed_break", "atr_14_ticks"))
def failed_break_depth(_: Rules) -> pl.Expr:
    """(Extreme − close) / ATR14 in [−1, 1]: negative when the close is back above a broken low.
    Null without one.
    """
    extreme = (
        pl.when(pl.col("failed_break") > 0)
        .then(pl.col("_failed_low_ticks"))
        .when(pl.col("failed_break") < 0)
        .then(pl.col("_failed_high_ticks"))
    )
    return ((extreme - pl.col("close_ticks")) / pl.col("_atr_14")).clip(-1, 1)


@companion(needs=("failed_break",))
def failed_break_extreme_ticks(_: Rules) -> pl.Expr:
    """Furthest price of the failed break: the lowest low, or highest high, of this bar and the 5
    before.
    """
    window = FAILED_BREAK_BARS + 1
    return (
        pl.when(pl.col("failed_break") > 0)
        .then(pl.col("low_ticks").rolling_min(window))
        .when(pl.col("failed_break") < 0)
        .then(pl.col("high_ticks").rolling_max(window))
    )
