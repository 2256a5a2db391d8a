"""Table `signals`: one column per signal of `engine.signals`, then the columns beside them."""

from typing import Final

import polars as pl

from contracts.schemas.columns import BAR_KEY, number, share, text, ticks
from contracts.schemas.table import NEVER, Column, Rule, Table
from engine.signals import COMPANIONS, SIGNALS, Signal

REGIMES: Final = ("shock", "volatile", "trend", "quiet", "range")


def _signal(signal: Signal) -> Column:
    sign = " ±" if signal.signed else ""
    return Column(
        name=signal.name,
        dtype=pl.Float64(),
        unit=signal.unit.value,
        meaning=f"S{signal.number}{sign}: {_first_sentence(signal.meaning)}",
        null=_null_policy(signal),
        low=signal.low,
        high=signal.high,
    )


def _null_policy(signal: Signal) -> str:
    policies = []
    if signal.lookback_bars:
        policies.append(f"the session's first {signal.lookback_bars} bars")
    if signal.needs:
        policies.append(f"where {' or '.join(signal.needs)} is")
    return "; ".join(policies) or NEVER


def _first_sentence(meaning: str) -> str:
    return " ".join(meaning.split("\n\n", maxsplit=1)[0].split())


def _meaning(name: str) -> str:
    return _first_sentence(COMPANIONS[name].meaning)


_COMPANIONS: Final = (
    number(
        "vwap_ticks",
        "ticks",
        "Volume-weighted average of typical price since the open.",
        null="no volume yet",
    ),
    number(
        "vwap_deviation_ticks",
        "ticks",
        "Volume-weighted deviation of typical price from VWAP, at least 2.",
        null="no volume yet",
        low=0,
    ),
    ticks(
        "opening_high_ticks", "High of the first 30 minutes.", null="while it forms, or no bar then"
    ),
    ticks(
        "opening_low_ticks", "Low of the first 30 minutes.", null="while it forms, or no bar then"
    ),
    ticks("spread_ticks", _meaning("spread_ticks"), null="the bar has no quotes"),
    number(
        "failed_break",
        "direction",
        _meaning("failed_break"),
        null="the session's first 60 bars",
        low=-1,
        high=1,
    ),
    number(
        "failed_break_depth",
        "multiples of ATR14",
        _meaning("failed_break_depth"),
        null="no failed break",
        low=-1,
        high=1,
    ),
    ticks(
        "failed_break_extreme_ticks",
        _meaning("failed_break_extreme_ticks"),
        null="no failed break",
    ),
    ticks("sweep_extreme_ticks", _meaning("sweep_extreme_ticks"), null="no sweep"),
    share("reliability", _meaning("reliability")),
    text("regime", _meaning("regime"), choices=REGIMES),
    number("slippage_ticks", "ticks per side", _meaning("slippage_ticks"), low=0),
    number("friction_ticks", "ticks per round trip", _meaning("friction_ticks"), low=0),
)

SIGNAL_ROWS: Final = Table(
    name="signals",
    meaning="What the bars of a session say: signals in declared ranges, and what is read beside.",
    key=("symbol", "closes_at"),
    columns=(*BAR_KEY, *(_signal(signal) for signal in SIGNALS.values()), *_COMPANIONS),
    row_rules=(
        Rule(
            "a friction covers the slippage of both sides",
            pl.col("friction_ticks") >= 2 * pl.col("slippage_ticks"),
            ("friction_ticks", "slippage_ticks"),
        ),
    ),
)
