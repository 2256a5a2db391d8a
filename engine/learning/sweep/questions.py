"""What an open trade is asked, many bars at once, and for which terms the answers stay the same."""

from datetime import timedelta
from math import inf
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.learning.sweep.lone_bracket import MINUTE_US
from engine.learning.sweep.tape import Bars, instant_us
from engine.learning.sweep.terms import BELIEF, PROFIT, THESIS, TIME, Span, terms_of
from engine.market import MarketRow
from engine.own_scores import template_of
from engine.rules import Rules
from engine.trade import Exit, ExitKind, Filled, Trade, TradePlan
from engine.units import Side

Flags = npt.NDArray[np.bool_]

_MINUTE: Final = timedelta(minutes=1)


class Questions:
    """The questions of `engine.trade.manage` to the trades of one plan, and the span they leave."""

    def __init__(self, plan: TradePlan, rules: Rules) -> None:
        self.constraint = template_of(plan.template, rules).constraint
        self.span = Span()
        self._plan = plan
        self._rules = rules
        self._terms = terms_of(plan.template, plan.stop_distance_ticks, rules)

    def quiet_bars(self, trade: Trade, entry: Filled, bars: Bars) -> int:
        """How many bars pass on which nothing may be asked, after the first one no order touched.

        The first bar has been traded through. Where a null or a close call could matter, the bar
        does not count as quiet: the desk is asked then.
        """
        loud = self._touched(trade, bars)
        loud[0] = False
        loud |= self._asked(bars, entry)
        profit = self._plan.side * (bars.close_ticks - entry.price_ticks)
        may_protect = self._may_protect(trade, entry)
        if may_protect:
            loud |= profit >= self._terms.profit_ticks
        quiet = int(loud.argmax()) if loud.any() else loud.size
        if quiet:
            self.span.up_to(THESIS, float(bars.held[:quiet].min()))
            self.span.above(BELIEF, float(np.fmax.reduce(bars.other[:quiet], initial=-inf)))
            lasted_us = int(bars.closes_us[quiet - 1]) - instant_us(entry.at)
            self.span.above(TIME, lasted_us / MINUTE_US)
            if may_protect:
                self.span.above(PROFIT, int(profit[:quiet].max()))
        return quiet

    def narrow(self, trade: Trade, entry: Filled, row: MarketRow, asked: object) -> None:
        """Keep the terms under which the desk asks the same on a bar.

        The template is asked in turn whether its thesis holds, whether the other side is believed
        and whether its time is over; the first yes ends the trade. Profit is asked last.
        """
        kind = asked.kind if isinstance(asked, Exit) else None
        is_doubtful = row.dvs < self._rules.constitution.dvs_hold_min
        if is_doubtful or kind is ExitKind.FLATTEN_TIME:
            return
        held = row.effective_belief(self.constraint, self._plan.side)
        other = row.effective_belief(self.constraint, self._plan.side.opposite)
        if kind is ExitKind.THESIS:
            self.span.above(THESIS, -inf if held is None else held)
            return
        self.span.up_to(THESIS, inf if held is None else held)
        if kind is ExitKind.OPPOSITE_BELIEF:
            self.span.up_to(BELIEF, inf if other is None else other)
            return
        self.span.above(BELIEF, -inf if other is None else other)
        minutes = (row.closes_at - entry.at) / _MINUTE
        if kind is ExitKind.TIME_STOP:
            self.span.up_to(TIME, minutes)
            return
        self.span.above(TIME, minutes)
        if self._may_protect(trade, entry):
            profit = self._plan.side * (row.close_ticks - entry.price_ticks)
            keep = self.span.above if profit < self._terms.profit_ticks else self.span.up_to
            keep(PROFIT, profit)

    def _touched(self, trade: Trade, bars: Bars) -> Flags:
        """Where the stop or the target could be filled."""
        stop_ticks, target_ticks = trade.stop_price_ticks, self._plan.target_price_ticks
        if self._plan.side is Side.LONG:
            return (bars.low_ticks <= stop_ticks) | (bars.high_ticks >= target_ticks)
        return (bars.high_ticks >= stop_ticks) | (bars.low_ticks <= target_ticks)

    def _asked(self, bars: Bars, entry: Filled) -> Flags:
        """Where a question but that for profit may have its yes."""
        rules, terms = self._rules, self._terms
        open_us = bars.closes_us - instant_us(entry.at)
        volatile_ticks = rules.trade.volatility_atr_multiple * self._plan.entry_atr_14_ticks
        return (
            (bars.minutes_to_close <= rules.session.flatten_minutes_before_end)
            | ~(bars.dvs >= rules.constitution.dvs_hold_min)
            | ~(bars.held >= terms.thesis_min)
            | (bars.other >= terms.belief_min)
            | (bars.atr_14_ticks >= volatile_ticks)
            | (open_us >= terms.time_stop_minutes * MINUTE_US)
        )

    def _may_protect(self, trade: Trade, entry: Filled) -> bool:
        """Whether profit could still move the stop; once it is there nothing comes of asking."""
        side = self._plan.side
        protected_ticks = entry.price_ticks - side * int(-self._plan.friction_ticks // 1)
        return side * (protected_ticks - trade.stop_price_ticks) > 0
