"""The market's columns as arrays, and single rows of them as the desk reads a row.

A lone trade looks at some ten bars of a million, so rows are made when they are asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, partial
from math import inf, isnan, nan
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.beliefs import SIDE_NAMES
from engine.ladder import PASSED
from engine.learning.sweep.lone_bracket import BracketBar
from engine.market import ROW_SOURCES, MarketRow
from engine.units import Side

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_BLANK: Final[Mapping[str, object]] = {
    "market_step": PASSED,
    "may_enter": True,
    "setups": (),
    **dict.fromkeys(("bar_json", "evidence_json", "sentence", "counterfactual"), ""),
}
"""What a row says of its own candidates: the sweep fills them in for each set."""

BARS_AT_ONCE: Final = 24
"""As far as a lone trade looks ahead at once; few last longer."""

Numbers = npt.NDArray[Any]
Reader = Callable[[int], object]


class Ahead(NamedTuple):
    """Some bars in a row from row `start` on, as plain numbers.

    `held` and `other` are the effective beliefs of a trade's own side and of the other one.
    Slippage is NaN where it is unknown, anything else is -inf: below whatever it is asked for.
    """

    start: int
    closes_us: list[int]
    open_ticks: list[int]
    high_ticks: list[int]
    low_ticks: list[int]
    close_ticks: list[int]
    slippage_ticks: list[float]
    dvs: list[float]
    minutes_to_close: list[int]
    atr_14_ticks: list[float]
    held: list[float]
    other: list[float]

    def bracket_bar(self, nth: int) -> BracketBar:
        """The prices of a bar, and the slippage to expect."""
        slippage_ticks = self.slippage_ticks[nth]
        return BracketBar(
            self.closes_us[nth],
            self.open_ticks[nth],
            self.high_ticks[nth],
            self.low_ticks[nth],
            self.close_ticks[nth],
            None if isnan(slippage_ticks) else slippage_ticks,
        )


_OF_ALL: Final = Ahead._fields[2:-2]


@dataclass(frozen=True, kw_only=True)
class TapeSession:
    """One session on the tape: its rows from `start` until `end`, and its exchange's seed.

    `week` and `month` are the periods of its loss limits. `minutes_before` are those of all
    sessions before it, as the desk counts bars for its EQS. `killed_from` is the first row whose
    data kills the desk, `end` where there is none.
    """

    session_date: date
    opens_at: datetime
    opens_us: int
    start: int
    end: int
    minutes_before: int
    killed_from: int
    seed: int

    @cached_property
    def week(self) -> tuple[int, int]:
        return self.session_date.isocalendar()[:2]

    @cached_property
    def month(self) -> tuple[int, int]:
        return self.session_date.year, self.session_date.month


class Tape:
    """All bars of one symbol; `frame` is the `tape` of a `Market`, in the order of time."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.closes_us = frame["closes_at"].to_physical().to_numpy()
        unknown = {"slippage_ticks": nan}
        self._of_all = [
            self.closes_us,
            *(_numbers(frame[name], unknown.get(name, -inf)) for name in _OF_ALL),
        ]
        self._beliefs: dict[tuple[str, Side], Numbers] = {}
        self._frame = frame
        sources = {**ROW_SOURCES, "closes_at": "closes_at", "phase": "session_phase"}
        self._readers: list[Reader] = [
            partial(_blank, _BLANK[name])
            if name in _BLANK
            else _reader(frame[sources[name]], is_whole=name == "phase")
            for name in MarketRow._fields
        ]

    def row(self, place: int) -> MarketRow:
        """The bar as the desk reads it, without setups; raises `IndexError` beyond the tape."""
        return MarketRow._make([read(place) for read in self._readers])

    def ahead(self, place: int, until: int, constraint: str, side: Side) -> Ahead:
        """The bars from `place` on, so many at once and none from `until` on."""
        some = slice(place, min(until, place + BARS_AT_ONCE))
        held, other = (self._belief(constraint, each) for each in (side, side.opposite))
        columns = (*self._of_all, held, other)
        return Ahead._make([place, *(column[some].tolist() for column in columns)])

    def _belief(self, constraint: str, side: Side) -> Numbers:
        found = self._beliefs.get((constraint, side))
        if found is None:
            column = self._frame[f"{constraint.lower()}_{SIDE_NAMES[side]}_effective"]
            found = self._beliefs[constraint, side] = _numbers(column, -inf)
        return found


def instant_us(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def instant_of(at_us: int) -> datetime:
    """The instant so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=at_us)


def sessions_of(
    frame: pl.DataFrame,
    session_minutes: Mapping[date, int],
    dvs_kill_below: float,
    seed_of: Callable[[date], int],
    minutes_before: int = 0,
) -> list[TapeSession]:
    """The sessions of a tape's frame, in order."""
    killing = pl.col("_row").filter(pl.col("dvs") < dvs_kill_below).first()
    parts = (
        frame.with_row_index("_row")
        .group_by("session_date", maintain_order=True)
        .agg(
            pl.first("_row", "closes_at", "minute"), pl.len().alias("height"), killing.alias("kill")
        )
    )
    found: list[TapeSession] = []
    for part in parts.iter_rows(named=True):
        day, start = part["session_date"], part["_row"]
        end = start + part["height"]
        opens_at = part["closes_at"] - timedelta(minutes=part["minute"] + 1)
        found.append(
            TapeSession(
                session_date=day,
                opens_at=opens_at,
                opens_us=instant_us(opens_at),
                start=start,
                end=end,
                minutes_before=minutes_before,
                killed_from=end if part["kill"] is None else part["kill"],
                seed=seed_of(day),
            )
        )
        minutes_before += session_minutes[day]
    return found


def _numbers(column: pl.Series, unknown: float) -> Numbers:
    """A column as it lies in memory; a copy with a stand-in where some of it is unknown."""
    if column.null_count():
        column = column.fill_null(unknown)
    return column.to_numpy()


def _blank(value: object, _place: int) -> object:
    return value


def _reader(column: pl.Series, *, is_whole: bool) -> Reader:
    """Reads one place of a column as `market_rows` does; null is null."""
    plain = _plain_reader(column.cast(pl.Int32) if is_whole else column)
    if not column.null_count():
        return plain
    missing = column.is_null().to_numpy().item
    return lambda place: None if missing(place) else plain(place)


def _plain_reader(column: pl.Series) -> Reader:
    if column.dtype == pl.Datetime:
        instants = column.to_physical().to_numpy().item
        return lambda place: _EPOCH + timedelta(microseconds=instants(place))
    if column.dtype == pl.Date:
        days = column.to_physical().to_numpy().item
        return lambda place: date.fromordinal(_EPOCH_DAY + days(place))
    if not column.dtype.is_numeric() and column.dtype != pl.Boolean:
        return _word_reader(column)
    filled = column.fill_null(value=False) if column.dtype == pl.Boolean else column.fill_null(0)
    return np.ascontiguousarray(filled.to_numpy()).item


def _word_reader(column: pl.Series) -> Reader:
    """Words repeat: they are kept once, and their numbers a byte each."""
    words: Sequence[str] = column.drop_nulls().unique().sort().to_list()
    numbers = {word: number for number, word in enumerate(words)}
    if len(words) == 1:
        return partial(_blank, words[0])
    codes = column.replace_strict(numbers, default=0, return_dtype=pl.UInt8).to_numpy().item
    return lambda place: words[codes(place)]
