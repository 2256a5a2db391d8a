"""What a set has won, lost and done so far: the desk's `RiskState`, EQS and equity, counted fast.

The desk counts in `Decimal` and instants; here they are whole cents and microseconds, which is the
same arithmetic. A test holds every limit against `engine.risk`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from engine.errors import InputRefused
from engine.execution_quality import ExecutionQuality
from engine.learning.sweep.tape import TapeSession
from engine.learning.sweep.terms import Played
from engine.own_view import OwnFacts, OwnView, own_view
from engine.risk import RiskState, smallest_worst_case_usd, tier_of
from engine.rules import Rules

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
    """The counters of one set; amounts in cents, instants in microseconds since 1970."""

    def __init__(self, carried: Carried, rules: Rules) -> None:
        law = rules.constitution
        self._rules = rules
        self._day_max = cents_of(law.loss_usd_per_day_max)
        self._week_max = cents_of(law.loss_usd_per_week_max)
        self._month_max = cents_of(law.loss_usd_per_month_max)
        self._smallest = cents_of(smallest_worst_case_usd(rules))
        self._fee = cents_of(rules.instrument.fees.per_side_usd)
        self._trades_max = law.trades_per_day_max
        self._losses_max = law.consecutive_losses_max
        self._apart_us = law.minutes_between_entries_min * _MINUTE_US
        self._per_hour = law.entries_per_hour_max
        self._this_week, self._this_month = carried.this_week, carried.this_month
        self._week, self._month = carried.week, carried.month
        self._streak = carried.loss_streak
        self._quality = carried.quality
        self.equity = carried.equity
        self._today = self._losses_today = 0
        self._entered: list[int] = []
        self.rests_until_us = 0
        self.budget = 0
        self.tier = ""
        self.stop_ticks_max = 0
        self._rise_to_tier()

    @property
    def carried(self) -> Carried:
        """Where the next stretch of sessions begins."""
        return Carried(
            equity=self.equity,
            this_week=self._this_week,
            this_month=self._this_month,
            loss_streak=self._streak,
            week=self._week,
            month=self._month,
            quality=self._quality,
        )

    @property
    def is_ruined(self) -> bool:
        """A margin call at every open from here on."""
        return self.equity < 0

    @property
    def is_nearly_ruined(self) -> bool:
        """The fee of an entry alone would be a margin call."""
        return self.equity < self._fee

    def open(self, session: TapeSession) -> None:
        """A new session; those without a candidate may have been passed over."""
        if session.week != self._week:
            self._week, self._this_week = session.week, 0
        if session.month != self._month:
            self._month, self._this_month = session.month, 0
        self._today = self._losses_today = 0
        self._entered = []
        self.rests_until_us = 0
        if self._quality.impairments:
            self._quality = self._quality.pruned(session.minutes_before, self._rules.execution)
        self._count_budget()

    def may_enter(self) -> bool:
        """Whether the limits leave room for the smallest trade there is."""
        return (
            len(self._entered) < self._trades_max
            and not (self._losses_today and self._streak >= self._losses_max)
            and self._smallest <= self.budget
            and self.equity >= 0
        )

    def eqs(self, session: TapeSession, closes_us: int) -> float:
        """Execution quality at the close of a bar."""
        if not self._quality.impairments:
            return 1.0
        minute = (closes_us - session.opens_us) // _MINUTE_US
        return self._quality.eqs(session.minutes_before + minute, self._rules.execution)

    def book(self, played: Played, session: TapeSession) -> None:
        """A trade that is over; one that never filled counts for nothing but its troubles."""
        for trouble, minute in played.troubles:
            self._quality = self._quality.impaired(trouble, session.minutes_before + minute)
        if played.opened_us is None:
            return
        net = played.net_cents
        self._entered.append(played.opened_us)
        self._today += net
        self._this_week += net
        self._this_month += net
        self.equity += net
        if net < 0:
            self._losses_today += 1
            self._streak += 1
        else:
            self._streak = 0
        self._count_budget()
        self._count_rest()
        if not self._tier_from <= self.equity < self._tier_until:
            self._rise_to_tier()

    def own_view(self, session: TapeSession, eqs: float) -> OwnView:
        """The desk's own half of the ladder as the desk would make it now."""
        risk = RiskState(
            session_date=session.session_date,
            net_usd_today=Decimal(self._today) / 100,
            net_usd_this_week=Decimal(self._this_week) / 100,
            net_usd_this_month=Decimal(self._this_month) / 100,
            entered_at=tuple(_EPOCH + timedelta(microseconds=us) for us in self._entered),
            losses_today=self._losses_today,
            loss_streak=self._streak,
        )
        return self._view(risk, eqs)

    def _view(self, risk: RiskState, eqs: float) -> OwnView:
        facts = OwnFacts(
            lock=None,
            is_flat=True,
            risk=risk,
            eqs=eqs,
            equity_usd=Decimal(self.equity) / 100,
            standings={},
        )
        return own_view(facts, self._rules)

    def _count_budget(self) -> None:
        self.budget = min(
            self._day_max + self._today,
            self._week_max + self._this_week,
            self._month_max + self._this_month,
        )

    def _count_rest(self) -> None:
        """First instant that the day's entries leave open."""
        entered = self._entered
        self.rests_until_us = entered[-1] + self._apart_us
        if len(entered) >= self._per_hour:
            self.rests_until_us = max(self.rests_until_us, entered[-self._per_hour] + _HOUR_US)

    def _rise_to_tier(self) -> None:
        """What the equity allows, and between which amounts that stays so."""
        law = self._rules.constitution
        tier = tier_of(Decimal(self.equity) / 100, law)
        bounds = [
            0 if t.equity_usd_below is None else int(t.equity_usd_below * 100) for t in law.tiers
        ]
        place = law.tiers.index(tier)
        self._tier_from = bounds[place - 1] if place else -(10**12)
        self._tier_until = bounds[place] or 10**12
        self.tier = tier.name
        self.stop_ticks_max = self._view(RiskState(), 1.0).stop_ticks_max


def cents_of(amount_usd: Decimal) -> int:
    """Whole cents; raises `InputRefused` for an amount with less than a cent in it."""
    cents = amount_usd * 100
    if cents != cents.to_integral_value():
        raise InputRefused(
            f"expected an amount in whole cents, got {amount_usd}; a sweep counts in cents: "
            "round the fee or the tick value in the instrument's contract"
        )
    return int(cents)
