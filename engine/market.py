"""The market in one call: bars and context in, every market column out, and rows for the desk."""

from datetime import date, datetime
from typing import NamedTuple, cast

import polars as pl

from engine.rules import Rules
from engine.units import Side


class Setup(NamedTuple):
    """One template's candidate on one bar: belief and geometry agree on a side.

    Distances are whole ticks from the entry. `reason` is the template's first market-only no (a
    `ladder.Reason` value), null when it would pass with EQS = 1 and learning modifier m = 1.
    """

    template: str
    side: int
    stop_ticks: int
    target_ticks: int
    belief: float
    instability: float
    p_win: float
    edge: float
    theta: float
    euc: float
    reason: str | None


class MarketRow(NamedTuple):
    """What the desk reads of one closed bar. Prices in ticks, instants UTC; null is unknown.

    `f1_long` … `f6` are effective beliefs. `market_step` indexes `ladder.LADDER`. Journal text is
    empty when it was not asked for.
    """

    symbol: str
    session_date: date
    minute: int
    closes_at: datetime
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    bid_ticks: int | None
    ask_ticks: int | None
    atr_14_ticks: float | None
    dvs: float
    is_shock: bool
    regime: str
    phase: int
    minutes_to_close: int
    slippage_ticks: float | None
    friction_ticks: float | None
    vwap_ticks: float | None
    market_step: int
    may_enter: bool
    f1_long: float | None
    f1_short: float | None
    f2_long: float | None
    f2_short: float | None
    f3_long: float | None
    f3_short: float | None
    f4_long: float | None
    f4_short: float | None
    f5: float | None
    f6: float | None
    setups: tuple[Setup, ...]
    bar_json: str
    evidence_json: str
    sentence: str
    counterfactual: str

    def effective_belief(self, constraint: str, side: Side) -> float | None:
        """Effective belief of a directional constraint (`"F1"`); another id is a `KeyError`."""
        return cast("float | None", self[_BELIEF_INDEX[constraint, int(side)]])


_BELIEF_INDEX = {
    (f"F{number}", side): MarketRow._fields.index(f"f{number}_{name}")
    for number in (1, 2, 3, 4)
    for side, name in ((1, "long"), (-1, "short"))
}


def market_frame(contexts: pl.DataFrame, bars: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Every market column for every bar: context → quality → signals → beliefs → candidates.

    One row per bar, in the order of `bars` (sorted by symbol and closes_at). Each session needs
    nothing but its context row and its own bars, so one session, many sessions and the bars so far
    give the same bits.
    """
    raise NotImplementedError


def market_rows(frame: pl.DataFrame) -> list[MarketRow]:
    """The rows of a `market_frame`, with the journal's text where `narrative` added its columns."""
    raise NotImplementedError
