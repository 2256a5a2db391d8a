"""The time of day."""

import polars as pl

from engine.calendar import Phase
from engine.measures import logistic
from engine.rules import Rules
from engine.signals.registry import Unit, signal

CLOSING_MINUTES = 60


@signal(number=21, unit=Unit.CODE, low=0, high=7, needs=())
def session_phase(rules: Rules) -> pl.Expr:
    """Part of the day in which the bar opened: 0 pre-market … 5 close, 6 after RTH, 7 unknown
    (`Phase`).
    """
    minute, length, session = pl.col("minute"), pl.col("session_minutes"), rules.session
    return (
        pl.when(minute < 0)
        .then(Phase.PRE_MARKET.value)
        .when(minute >= length)
        .then(Phase.AFTER_RTH.value)
        .when(minute >= length - session.close_minutes_before_end)
        .then(Phase.CLOSE.value)
        .when(minute < session.mid_morning_from_minute)
        .then(Phase.OPENING.value)
        .when(minute < session.lunch_from_minute)
        .then(Phase.MID_MORNING.value)
        .when(minute < session.afternoon_from_minute)
        .then(Phase.LUNCH.value)
        .when(minute < length)
        .then(Phase.AFTERNOON.value)
        .otherwise(Phase.UNKNOWN.value)
    )


@signal(number=23, unit=Unit.FLAG, low=0, high=1, needs=())
def lunch_void_gate(rules: Rules) -> pl.Expr:
    """0 in the lunch window by the clock, on a half day too; else 1."""
    session = rules.session
    return ~pl.col("minute").is_between(
        session.lunch_from_minute, session.afternoon_from_minute, closed="left"
    )


@signal(
    number=24,
    unit=Unit.SHARE,
    low=0,
    high=1,
    needs=("vwap_z", "vol_z"),
    lookback_bars=0,
)
def close_magnet_index(_: Rules) -> pl.Expr:
    """In the last hour, the pull of VWAP: logistic(1 − |vwap_z| + vol_z / 2); 0 before it."""
    is_closing = pl.col("session_minutes") - pl.col("minute") <= CLOSING_MINUTES
    pull = logistic(1 - pl.col("vwap_z").abs() + pl.col("vol_z") * 0.5)
    return pl.when(is_closing).then(pull).otherwise(0.0)
