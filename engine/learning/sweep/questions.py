"""What an open trade is asked, many bars at once, and for which terms the answers stay the same."""

from datetime import timedelta
from math import inf
from typing import Final, NamedTuple

from engine.learning.sweep.lone_bracket import MINUTE_US
from engine.learning.sweep.tape import Ahead, instant_of
from engine.learning.sweep.terms import BELIEF, PROFIT, THESIS, TIME, Span, terms_of
from engine.market import MarketRow
from engine.own_scores import template_of
from engine.rules import Rules
from engine.trade import Exit, ExitKind, TradePlan

_MINUTE: Final = timedelta(minutes=1)


class Held(NamedTuple):
    """An open position: what was paid, when in microseconds since 1970, and its working stop."""

    price_ticks: int
    since_us: int
    stop_ticks: int


class Questions:
    """The questions of `engine.trade.manage` to the trades of one plan, and the span they leave."""

    def __init__(self, plan: TradePlan, rules: Rules) -> None:
        self.constraint = template_of(plan.template, rules).constraint
        self.span = Span()
        self._plan = plan
        self._rules = rules
        self._terms = terms_of(plan.template, plan.stop_distance_ticks, rules)
        self._volatile_ticks = rules.trade.volatility_atr_multiple * plan.entry_atr_14_ticks
        self._flatten_minutes = rules.session.flatten_minutes_before_end

    def quiet_bars(self, held: Held, ahead: Ahead, first: int) -> int:
        """How many bars from the first one on pass on which nothing may be asked or touched.

        The first bar has been traded through. Where an unknown number or a close call could
        matter, the bar does not count as quiet: the desk is asked then.
        """
        may_protect = self._may_protect(held)
        profit_ticks = self._terms.profit_ticks if may_protect else inf
        until = self._loud_from(held, ahead, first, profit_ticks)
        if until > first:
            self.span.up_to(THESIS, min(ahead.held[first:until]))
            self.span.above(BELIEF, max(ahead.other[first:until]))
            self.span.above(TIME, (ahead.closes_us[until - 1] - held.since_us) / MINUTE_US)
            if may_protect:
                closes = ahead.close_ticks[first:until]
                best = max(closes) if self._plan.side > 0 else min(closes)
                self.span.above(PROFIT, self._plan.side * (best - held.price_ticks))
        return until - first

    def narrow(self, held: Held, row: MarketRow, asked: object) -> None:
        """Keep the terms under which the desk asks the same on a bar.

        The template is asked in turn whether its thesis holds, whether the other side is believed
        and whether its time is over; the first yes ends the trade. Profit is asked last.
        """
        kind = asked.kind if isinstance(asked, Exit) else None
        is_doubtful = row.dvs < self._rules.constitution.dvs_hold_min
        if is_doubtful or kind is ExitKind.FLATTEN_TIME:
            return
        own = row.effective_belief(self.constraint, self._plan.side)
        other = row.effective_belief(self.constraint, self._plan.side.opposite)
        if kind is ExitKind.THESIS:
            self.span.above(THESIS, -inf if own is None else own)
            return
        self.span.up_to(THESIS, inf if own is None else own)
        if kind is ExitKind.OPPOSITE_BELIEF:
            self.span.up_to(BELIEF, inf if other is None else other)
            return
        self.span.above(BELIEF, -inf if other is None else other)
        minutes = (row.closes_at - instant_of(held.since_us)) / _MINUTE
        if kind is ExitKind.TIME_STOP:
            self.span.up_to(TIME, minutes)
            return
        self.span.above(TIME, minutes)
        if self._may_protect(held):
            profit = self._plan.side * (row.close_ticks - held.price_ticks)
            keep = self.span.above if profit < self._terms.profit_ticks else self.span.up_to
            keep(PROFIT, profit)

    def _loud_from(self, held: Held, ahead: Ahead, first: int, profit_ticks: float) -> int:
        """The first bar on which an order is touched or a question may have its yes.

        The first of them all is not looked at for what it touches.
        """
        law, side, paid_ticks = self._rules.constitution, self._plan.side, held.price_ticks
        below, above = held.stop_ticks, self._plan.target_price_ticks
        if side < 0:
            below, above = above, below
        late_us = held.since_us + self._terms.time_stop_minutes * MINUTE_US
        for nth in range(first, len(ahead.closes_us)):
            if nth > first and (ahead.low_ticks[nth] <= below or ahead.high_ticks[nth] >= above):
                return nth
            if (
                ahead.held[nth] < self._terms.thesis_min
                or ahead.other[nth] >= self._terms.belief_min
                or side * (ahead.close_ticks[nth] - paid_ticks) >= profit_ticks
                or ahead.closes_us[nth] >= late_us
                or ahead.atr_14_ticks[nth] >= self._volatile_ticks
                or ahead.dvs[nth] < law.dvs_hold_min
                or ahead.minutes_to_close[nth] <= self._flatten_minutes
            ):
                return nth
        return len(ahead.closes_us)

    def _may_protect(self, held: Held) -> bool:
        """Whether profit could still move the stop; once it is there nothing comes of asking."""
        side = self._plan.side
        protected_ticks = held.price_ticks - side * int(-self._plan.friction_ticks // 1)
        return side * (protected_ticks - held.stop_ticks) > 0
