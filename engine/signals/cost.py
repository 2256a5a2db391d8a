"""Whether a trade can be done honestly here: spread, slippage, friction and data."""

import polars as pl

from engine.friction import friction_ticks as friction
from engine.friction import slippage_ticks as slippage
from engine.rules import Rules
from engine.signals.registry import Unit, companion, signal

SPREAD_TICKS_WORST = 3
SLIPPAGE_TICKS_WORST = 6
FRICTION_ATRS_WORST = 3


@companion(needs=("bid_ticks", "ask_ticks"))
def spread_ticks(_: Rules) -> pl.Expr:
    """Ask − bid at the close; null without a quote, and for a crossed one, which is no spread."""
    spread = pl.col("ask_ticks") - pl.col("bid_ticks")
    return pl.when(spread > 0).then(spread)


@companion(needs=("atr_14_n", "spread_ticks"))
def slippage_ticks(rules: Rules) -> pl.Expr:
    """Expected slippage in ticks per side, of `engine.friction`."""
    return slippage(rules.execution)


@companion(needs=("slippage_ticks",))
def friction_ticks(rules: Rules) -> pl.Expr:
    """Expected cost of a round trip in ticks, fees included, of `engine.friction`."""
    return friction(rules)


@signal(number=25, unit=Unit.TICKS, low=0, high=1, needs=("spread_ticks",))
def spread_tickiness(_: Rules) -> pl.Expr:
    """1 at a spread of one tick, 0 at three or more, linear; null without a usable quote."""
    return 1 - (pl.col("spread_ticks") - 1) * (1 / (SPREAD_TICKS_WORST - 1))


@signal(number=26, unit=Unit.SHARE, low=0, high=1, needs=("slippage_ticks",))
def slippage_risk(_: Rules) -> pl.Expr:
    """1 − expected slippage per side over 6 ticks; 1 is free."""
    return 1 - pl.col("slippage_ticks") * (1 / SLIPPAGE_TICKS_WORST)


@signal(number=27, unit=Unit.SHARE, low=0, high=1, needs=("friction_ticks", "atr_14_ticks"))
def friction_regime_index(_: Rules) -> pl.Expr:
    """1 − round-trip friction over 3 ATR14: how much of a normal move is left after costs."""
    return 1 - pl.col("friction_ticks") / (FRICTION_ATRS_WORST * pl.col("_atr_14"))


@signal(number=28, unit=Unit.SCORE, low=0, high=1, needs=("dvs",))
def dvs(_: Rules) -> pl.Expr:
    """The data validity score: the worst bar score of the last 10 bars (`engine.quality`)."""
    return pl.col("dvs")
