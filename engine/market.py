"""The market in one call: bars and context in, every market column out, and rows for the desk."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache, partial
from itertools import chain
from typing import Final, NamedTuple, cast

import numpy as np
import polars as pl

from engine.beliefs import SIDE_NAMES, add_beliefs, belief_stage
from engine.candidates import PASSES_WITH_MEMORY, add_candidates, candidate_stage
from engine.context import join_context
from engine.measures import per_rules, within_of, within_one
from engine.plans import PlanShelf, in_turn
from engine.quality import add_quality, quality_passes
from engine.rules import Rules
from engine.signals import SIGNALS, add_signals, signal_passes
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
        return cast("float | None", self[_BELIEF_INDEX[constraint, side]])


_BELIEFS: Final = {
    (f"F{number}", side): f"f{number}_{word}"
    for number in (1, 2, 3, 4)
    for side, word in SIDE_NAMES.items()
}
_BELIEF_INDEX: Final = {key: MarketRow._fields.index(name) for key, name in _BELIEFS.items()}
_TEXTS: Final = ("bar_json", "evidence_json", "sentence", "counterfactual")
_EFFECTIVE: Final = (*_BELIEFS.values(), "f5", "f6")
ROW_SOURCES: Final = {
    name: f"{name}_effective" if name in _EFFECTIVE else name
    for name in MarketRow._fields
    if name not in {"closes_at", "phase", "setups"}
}
"""Column behind each plain field of `MarketRow`; the others are made of several or of another."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FEW_ROWS: Final = 8
_row_of: Final = partial(tuple.__new__, MarketRow)
"""`MarketRow._make` without its count of the fields, at half its price."""

_SETUP_SIDE: Final = re.compile(r"(k\d+)_side")


def market_frame(contexts: pl.DataFrame, bars: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Every market column for every bar: context → quality → signals → beliefs → candidates.

    One row per bar, in the order of `bars` (sorted by symbol and closes_at). Each session needs
    nothing but its context row and its own bars, so one session, many sessions and the bars so far
    give the same bits.
    """
    if bars.height == 1:
        # Polars divides one row by a literal exactly and many by its reciprocal, one bit apart.
        # The row is causal, so a second one behind it changes nothing but the arithmetic.
        return market_frame(contexts, pl.concat([bars, bars]), rules).head(1)
    frame = join_context(bars, contexts)
    if within_of(frame) is within_one:
        return _of_one_session(frame, rules)
    frame = add_quality(frame, rules)
    return add_candidates(add_beliefs(add_signals(frame, rules), rules), rules)


def _of_one_session(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The same columns in the same order, by a plan that is kept for the next bar."""
    return _shelf(rules, tuple(frame.schema.items())).run(frame)


@per_rules
def _shelf(rules: Rules, schema: tuple[tuple[str, pl.DataType], ...]) -> PlanShelf:
    return PlanShelf(
        pl.Schema(schema),
        lambda joined: market_steps(joined, rules),
        lambda names: _in_order(names, rules),
    )


def market_steps(joined: pl.LazyFrame, rules: Rules, newest: int | None = None) -> pl.LazyFrame:
    """Every pass over the joined bars of one session; the scratch columns are still there.

    Where only so many of the newest bars are asked for, the others are left behind once no pass
    reads an earlier bar any more.
    """
    candidates = candidate_stage(rules).passes
    remembering = in_turn(
        joined,
        quality_passes(rules, within_one),
        signal_passes(rules, within_one),
        belief_stage(rules, within_one).passes,
        candidates[:PASSES_WITH_MEMORY],
    )
    if newest is not None:
        remembering = remembering.tail(newest)
    return in_turn(remembering, candidates[PASSES_WITH_MEMORY:])


def _in_order(names: Sequence[str], rules: Rules) -> list[str]:
    """Columns of a market frame: what was measured, the signals, beliefs and candidates."""
    last = (SIGNALS, belief_stage(rules, within_one).adds, candidate_stage(rules).adds)
    later = dict.fromkeys(chain(*last))
    return [*(name for name in names if name[0] != "_" and name not in later), *later]


def columns_of_rows(names: Sequence[str]) -> list[str]:
    """Those among the columns of a `market_frame` and its text that `market_rows` reads."""
    of_setups = (
        f"{name}_{field}" for name in _templates(tuple(names)) for field in Setup._fields[1:]
    )
    read = {*ROW_SOURCES.values(), "closes_at", "session_phase", *of_setups}
    return [name for name in names if name in read]


def market_rows(frame: pl.DataFrame) -> list[MarketRow]:
    """The rows of a `market_frame`, with the journal's text where `narrative` added its columns."""
    present = set(frame.columns)
    sources = {name: source for name, source in ROW_SOURCES.items() if source in present}
    values = _values(frame[[*sources.values()]])
    columns: dict[str, Sequence[object]] = dict(zip(sources, values, strict=True))
    columns |= {name: [""] * frame.height for name in _TEXTS if name not in present}
    columns["closes_at"] = instants(frame.get_column("closes_at"))
    columns["phase"] = frame.get_column("session_phase").cast(pl.Int32).to_list()
    columns["setups"] = _setups(frame)
    return list(map(_row_of, zip(*map(columns.get, MarketRow._fields), strict=True)))


def _values(frame: pl.DataFrame) -> Sequence[Sequence[object]]:
    """The values of each column; taken by rows where there are few, as in a live session."""
    if 0 < frame.height <= _FEW_ROWS:
        return list(zip(*frame.rows(), strict=True))
    return [column.to_list() for column in frame.iter_columns()]


def instants(series: pl.Series) -> list[datetime]:
    """Aware datetimes, several times faster than `to_list`, which looks the zone up for each."""
    since_epoch = series.to_physical().to_numpy().view("timedelta64[us]").tolist()
    return list(map(_EPOCH.__add__, since_epoch))


def _setups(frame: pl.DataFrame) -> list[tuple[Setup, ...]]:
    """Each row's setups in the order of their templates; most rows have none."""
    setups: list[tuple[Setup, ...]] = [()] * frame.height
    for name in _templates(tuple(frame.columns)):
        places = _nonzero(frame.get_column(f"{name}_side"))
        if not places:
            continue
        columns = frame[[f"{name}_{field}" for field in Setup._fields[1:]]]
        template = name.upper()
        # Choosing rows is handed to threads, which a few are not worth.
        is_few = frame.height <= _FEW_ROWS
        rows = map(columns.row, places) if is_few else columns[places].iter_rows()
        for place, numbers in zip(places, rows, strict=True):
            setups[place] += (Setup(template, *numbers),)
    return setups


def _nonzero(numbers: pl.Series) -> list[int]:
    """Where a column without nulls is not zero."""
    if len(numbers) <= _FEW_ROWS:
        return [place for place, number in enumerate(numbers.to_list()) if number]
    return np.flatnonzero(numbers.to_numpy()).tolist()


@lru_cache(maxsize=8)
def _templates(names: tuple[str, ...]) -> tuple[str, ...]:
    """`k1`, `k2`, … that have a side among these columns."""
    return tuple(sorted(match[1] for match in map(_SETUP_SIDE.fullmatch, names) if match))
