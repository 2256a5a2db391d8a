"""What a trade is expected to cost in ticks, from spread, volatility and time of day."""

import polars as pl

from engine.rules import ExecutionRules, Rules


def slippage_ticks(rules: ExecutionRules) -> pl.Expr:
    """Expected slippage in ticks per side; never null.

    (base + volatility + spread) x time of day, at most `slippage_ticks_max`. A volatility or spread
    that is unknown costs `slippage_unknown_ticks` in its place. Reads `atr_14_n`, `spread_ticks`,
    `minute`.
    """
    volatility = rules.slippage_per_atr_ratio * (pl.col("atr_14_n") - 1).clip(lower_bound=0)
    spread = rules.slippage_per_spread_tick * (pl.col("spread_ticks") - 1).clip(lower_bound=0)
    per_side = (
        rules.slippage_ticks_per_side
        + volatility.fill_null(rules.slippage_unknown_ticks)
        + spread.fill_null(rules.slippage_unknown_ticks)
    )
    return (per_side * _time_of_day(rules)).clip(upper_bound=rules.slippage_ticks_max)


def friction_ticks(rules: Rules) -> pl.Expr:
    """Expected cost of a round trip in ticks: fees and slippage, both sides in full. Reads
    `slippage_ticks`.

    An entry limit is marketable and crosses, a stop is a market order and slips; only a target
    filled at its limit would save its half. That half is charged all the same: at most 0.3 ticks
    too dear at even odds, never too cheap.
    """
    return 2.0 * (rules.instrument.fee_ticks_per_side + pl.col("slippage_ticks"))


def _time_of_day(rules: ExecutionRules) -> pl.Expr:
    """Multiplier of the window that the bar opened in; 1 outside all of them, the first of
    overlapping ones.
    """
    multiplier = pl.lit(1.0)
    for window in reversed(rules.slippage_windows):
        is_inside = pl.col("minute").is_between(
            window.from_minute, window.until_minute, closed="left"
        )
        multiplier = pl.when(is_inside).then(window.multiplier).otherwise(multiplier)
    return multiplier
