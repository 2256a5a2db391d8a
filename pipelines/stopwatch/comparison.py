"""Trades of one rule by two engines, compared one by one, and every difference explained.

An explanation is held against the bars: a cause that they do not bear out is not given, and what
has none is called unexplained.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

from pipelines.stopwatch.rule import Fills, RaceRule
from pipelines.stopwatch.trades import RuleTrade


class Cause(StrEnum):
    """Why two engines made different trades of the same rule on the same bars."""

    BOTH_IN_ONE_BAR = "stop and target in one bar"
    OPENED_BEYOND = "bar opened beyond the order"
    ONLY_TOUCHED = "limit touched, not passed"
    SLIPPAGE = "slippage"
    FEES = "fees"
    AFTERMATH = "follows from an earlier one"
    UNEXPLAINED = "UNEXPLAINED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A trade that is not the same in both; null where one of them did not make it."""

    cause: Cause
    ours: RuleTrade | None
    theirs: RuleTrade | None

    @property
    def entry_bar(self) -> int:
        trade = self.ours or self.theirs
        return -1 if trade is None else trade.entry_bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How many trades are the same to the tick, the bar and the cent, and those that are not."""

    same: int
    differences: tuple[Difference, ...] = ()

    def count(self, cause: Cause) -> int:
        return sum(difference.cause is cause for difference in self.differences)

    @property
    def is_explained(self) -> bool:
        return not self.count(Cause.UNEXPLAINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """How one side may lawfully differ: slippage in ticks per side, and whether limits wait."""

    rule: RaceRule
    fills: Fills
    slippage_ticks_max: int = 0
    waits_for_passing: bool = False


@dataclass(frozen=True, slots=True)
class Prices:
    """The bars by their number, in ticks."""

    open: Sequence[int]
    high: Sequence[int]
    low: Sequence[int]
    close: Sequence[int]

    @classmethod
    def of(cls, bars: pl.DataFrame) -> "Prices":
        return cls(*(bars[f"{name}_ticks"].to_list() for name in ("open", "high", "low", "close")))


def compare(
    ours: Sequence[RuleTrade],
    theirs: Sequence[RuleTrade],
    prices: Prices,
    conventions: Conventions,
) -> Comparison:
    """Every trade of either side, matched by the bar of its entry; no side has two of one bar."""
    judge = _Judge(prices, conventions)
    mine, others = _by_entry(ours), _by_entry(theirs)
    for bar in sorted({*mine, *others}):
        judge.hear(mine.get(bar), others.get(bar))
    return Comparison(same=judge.same, differences=tuple(judge.differences))


def _by_entry(trades: Sequence[RuleTrade]) -> Mapping[int, RuleTrade]:
    return {trade.entry_bar: trade for trade in trades}


@dataclass(slots=True)
class _Judge:
    """Goes through the entries in time, and knows until when they may still be out of step."""

    prices: Prices
    conventions: Conventions
    same: int = 0
    differences: list[Difference] = field(default_factory=list)
    apart_until: int = -1

    def hear(self, ours: RuleTrade | None, theirs: RuleTrade | None) -> None:
        if ours == theirs:
            self.same += 1
            return
        cause = self._cause_of(ours, theirs)
        self.differences.append(Difference(cause=cause, ours=ours, theirs=theirs))
        ends = {trade.exit_bar for trade in (ours, theirs) if trade is not None}
        if ours is None or theirs is None or len(ends) > 1:
            # The later one may not enter at the close of the bar it ends on; the other may.
            waits = 0 if self.conventions.fills is Fills.THIS_CLOSE else 1
            self.apart_until = max(self.apart_until, max(ends) + waits)

    def _cause_of(self, ours: RuleTrade | None, theirs: RuleTrade | None) -> Cause:
        if ours is None or theirs is None:
            trade = ours or theirs
            is_late = trade is not None and trade.entry_bar <= self.apart_until
            return Cause.AFTERMATH if is_late else Cause.UNEXPLAINED
        if ours.side is not theirs.side:
            return Cause.UNEXPLAINED
        return next(self._causes(ours, theirs), Cause.UNEXPLAINED)

    def _causes(self, ours: RuleTrade, theirs: RuleTrade) -> Iterator[Cause]:
        slip = self.conventions.slippage_ticks_max
        entry_gap = abs(ours.entry_ticks - theirs.entry_ticks)
        exit_gap = abs(ours.exit_ticks - theirs.exit_ticks)
        if entry_gap > slip:
            return
        if ours.exit_bar != theirs.exit_bar:
            if self.conventions.waits_for_passing and self._was_touched_only(ours, theirs):
                yield Cause.ONLY_TOUCHED
            return
        if exit_gap == 0 == entry_gap:
            yield Cause.FEES
        elif exit_gap <= slip:
            yield Cause.SLIPPAGE
        elif self._has_both_levels(ours):
            yield Cause.BOTH_IN_ONE_BAR
        elif self._opened_beyond(ours):
            yield Cause.OPENED_BEYOND

    def _levels(self, trade: RuleTrade) -> tuple[int, int]:
        """Stop and target of a trade, which its signal's close has set."""
        rule = self.conventions.rule
        at_close = self.conventions.fills is Fills.THIS_CLOSE
        close = self.prices.close[trade.entry_bar if at_close else trade.entry_bar - 1]
        return close - trade.side * rule.stop_ticks, close + trade.side * rule.target_ticks

    def _has_both_levels(self, trade: RuleTrade) -> bool:
        low, high = self.prices.low[trade.exit_bar], self.prices.high[trade.exit_bar]
        return all(low <= level <= high for level in self._levels(trade))

    def _opened_beyond(self, trade: RuleTrade) -> bool:
        stop, target = self._levels(trade)
        first = self.prices.open[trade.exit_bar]
        return trade.side * (first - stop) < 0 or trade.side * (first - target) > 0

    def _was_touched_only(self, ours: RuleTrade, theirs: RuleTrade) -> bool:
        """Whether the bar on which the first of them ended reached the target and no further."""
        first = min(ours, theirs, key=lambda trade: trade.exit_bar)
        _, target = self._levels(first)
        extremes = self.prices.high if first.side > 0 else self.prices.low
        return first.exit_ticks == target == extremes[first.exit_bar]
