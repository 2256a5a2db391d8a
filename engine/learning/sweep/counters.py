"""What sets have won, lost and done so far: the desk's `RiskState`, EQS and equity, counted fast.

The desk counts one account in `Decimal` and instants; here many stand side by side, in whole cents
and microseconds, which is the same arithmetic. A test holds every limit against `engine.risk`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.errors import InputRefused
from engine.execution_quality import ExecutionQuality
from engine.learning.sweep.tape import TapeSession
from engine.learning.sweep.terms import Played
from engine.own_view import OwnFacts, OwnView, own_view
from engine.risk import RiskState, smallest_worst_case_usd
from engine.rules import Rules

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Sets = npt.NDArray[np.intp]
"""Some of the sets, by their place among all."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_US: Final = 60_000_000
_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What goes from one stretch of sessions to the next."""

    equity: int
    this_week: int = 0
    this_month: int = 0
    loss_streak: int = 0
    week: tuple[int, int] | None = None
    month: tuple[int, int] | None = None
    quality: ExecutionQuality = field(default_factory=ExecutionQuality)


class Counters:
    """The counters of some sets; amounts in cents, instants in microseconds since 1970.

    `budget` is what the next trade may lose, `tier` the place of a set's tier in the constitution,
    and `rests_until_us` the first instant that the day's entries leave open.
    """

    def __init__(self, carried: Sequence[Carried], rules: Rules) -> None:
        law = rules.constitution
        self._rules = rules
        self._day_max = cents_of(law.loss_usd_per_day_max)
        self._week_max = cents_of(law.loss_usd_per_week_max)
        self._month_max = cents_of(law.loss_usd_per_month_max)
        self._smallest = cents_of(smallest_worst_case_usd(rules))
        self._fee = cents_of(rules.instrument.fees.per_side_usd)
        bounds = [tier.equity_usd_below for tier in law.tiers]
        self._tiers_from = np.array([int(each * 100) for each in bounds if each is not None])
        self._week = max((each.week for each in carried if each.week), default=None)
        self._month = max((each.month for each in carried if each.month), default=None)
        self._quality = {
            nth: each.quality for nth, each in enumerate(carried) if each.quality.impairments
        }
        self.equity = _numbers(each.equity for each in carried)
        # Who was last counted in an earlier week or month begins this one anew.
        self._this_week = _numbers(c.this_week * (c.week == self._week) for c in carried)
        self._this_month = _numbers(c.this_month * (c.month == self._month) for c in carried)
        self._streak = _numbers(each.loss_streak for each in carried)
        self._entered = np.zeros((len(carried), law.trades_per_day_max), np.int64)
        self._begin_day()

    def carried(self, nth: int) -> Carried:
        """Where a set's next stretch of sessions begins."""
        return Carried(
            equity=int(self.equity[nth]),
            this_week=int(self._this_week[nth]),
            this_month=int(self._this_month[nth]),
            loss_streak=int(self._streak[nth]),
            week=self._week,
            month=self._month,
            quality=self._quality.get(nth, ExecutionQuality()),
        )

    @property
    def is_ruined(self) -> Flags:
        """A margin call at every open from here on."""
        return self.equity < 0

    @property
    def is_nearly_ruined(self) -> Flags:
        """The fee of an entry alone would be a margin call."""
        return self.equity < self._fee

    @property
    def impaired(self) -> frozenset[int]:
        """The sets whose execution quality may be below 1."""
        return frozenset(self._quality)

    def open(self, session: TapeSession) -> None:
        """A new session."""
        if session.week != self._week:
            self._week = session.week
            self._this_week[:] = 0
        if session.month != self._month:
            self._month = session.month
            self._this_month[:] = 0
        self._begin_day()
        for nth, quality in list(self._quality.items()):
            pruned = quality.pruned(session.minutes_before, self._rules.execution)
            self._quality[nth] = pruned
            if not pruned.impairments:
                del self._quality[nth]

    def may_enter(self) -> Flags:
        """Whether the limits leave room for the smallest trade there is."""
        law = self._rules.constitution
        is_locked_out = (self._losses_today > 0) & (self._streak >= law.consecutive_losses_max)
        return (
            (self._entries < law.trades_per_day_max)
            & ~is_locked_out
            & (self._smallest <= self.budget)
            & (self.equity >= 0)
        )

    def eqs(self, nth: int, session: TapeSession, closes_us: int) -> float:
        """Execution quality of a set at the close of a bar."""
        if nth not in self._quality:
            return 1.0
        minute = (closes_us - session.opens_us) // _MINUTE_US
        return self._quality[nth].eqs(session.minutes_before + minute, self._rules.execution)

    def book(self, who: Sets, played: Sequence[Played], session: TapeSession) -> None:
        """A trade of each of some sets is over.

        One that never filled counts for nothing but its troubles.
        """
        for nth, each in zip(who.tolist(), played, strict=True):
            for trouble, minute in each.troubles:
                quality = self._quality.get(nth, ExecutionQuality())
                self._quality[nth] = quality.impaired(trouble, session.minutes_before + minute)
        is_filled = np.array([each.opened_us is not None for each in played], bool)
        filled = who[is_filled]
        if filled.size:
            net = _numbers(each.net_cents for each in played)[is_filled]
            self._count(filled, net)
            opened = _numbers(each.opened_us or 0 for each in played)[is_filled]
            self._enter(filled, opened)

    def own_view(self, nth: int, session: TapeSession, eqs: float, rules: Rules) -> OwnView:
        """The desk's own half of the ladder as the desk of a set would make it now."""
        entered = self._entered[nth, : self._entries[nth]].tolist()
        risk = RiskState(
            session_date=session.session_date,
            net_usd_today=Decimal(int(self._today[nth])) / 100,
            net_usd_this_week=Decimal(int(self._this_week[nth])) / 100,
            net_usd_this_month=Decimal(int(self._this_month[nth])) / 100,
            entered_at=tuple(_EPOCH + timedelta(microseconds=us) for us in entered),
            losses_today=int(self._losses_today[nth]),
            loss_streak=int(self._streak[nth]),
        )
        return _view(risk, eqs, Decimal(int(self.equity[nth])) / 100, rules)

    def _begin_day(self) -> None:
        self._today = np.zeros_like(self.equity)
        self._losses_today = np.zeros_like(self.equity)
        self._entries = np.zeros_like(self.equity)
        self.rests_until_us = np.zeros_like(self.equity)
        self.budget = self._budget_of(np.arange(self.equity.size))
        self.tier = self._tier_of(self.equity)

    def _count(self, who: Sets, net: Numbers) -> None:
        """Money, losses and what follows from them."""
        for total in (self._today, self._this_week, self._this_month, self.equity):
            total[who] += net
        is_loss = net < 0
        self._losses_today[who] += is_loss
        self._streak[who] = np.where(is_loss, self._streak[who] + 1, 0)
        self.budget[who] = self._budget_of(who)
        self.tier[who] = self._tier_of(self.equity[who])

    def _enter(self, who: Sets, opened: Numbers) -> None:
        """The day's entries, and how long they forbid another."""
        law = self._rules.constitution
        before = self._entries[who]
        self._entered[who, before] = opened
        self._entries[who] += 1
        rests = opened + law.minutes_between_entries_min * _MINUTE_US
        nth = before + 1 - law.entries_per_hour_max
        counted = self._entered[who, np.maximum(nth, 0)] + _HOUR_US
        self.rests_until_us[who] = np.where(nth >= 0, np.maximum(rests, counted), rests)

    def _budget_of(self, who: Sets) -> Numbers:
        day = self._day_max + self._today[who]
        week = self._week_max + self._this_week[who]
        return np.minimum(np.minimum(day, week), self._month_max + self._this_month[who])

    def _tier_of(self, equity: Numbers) -> Sets:
        """The first tier whose upper bound lies above the equity."""
        return np.searchsorted(self._tiers_from, equity, side="right")


def stop_ticks_max_by_tier(rules: Rules) -> list[int]:
    """The widest stop of each tier, in their order, by the desk's own view of an idle day."""
    least = Decimal(0)
    found = []
    for tier in rules.constitution.tiers:
        found.append(_view(RiskState(), 1.0, least, rules).stop_ticks_max)
        least = tier.equity_usd_below or least
    return found


def cents_of(amount_usd: Decimal) -> int:
    """Whole cents; raises `InputRefused` for an amount with less than a cent in it."""
    cents = amount_usd * 100
    if cents != cents.to_integral_value():
        raise InputRefused(
            f"expected an amount in whole cents, got {amount_usd}; a sweep counts in cents: "
            "round the fee or the tick value in the instrument's contract"
        )
    return int(cents)


def _view(risk: RiskState, eqs: float, equity_usd: Decimal, rules: Rules) -> OwnView:
    facts = OwnFacts(
        lock=None, is_flat=True, risk=risk, eqs=eqs, equity_usd=equity_usd, standings={}
    )
    return own_view(facts, rules)


def _numbers(values: Any) -> Numbers:
    return np.fromiter(values, np.int64)
