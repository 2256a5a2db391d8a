"""The constitution, counted: what has been lost and traded, and what that still allows.

The counters are a fold of our own entries and closed trades. Learning never reaches this module:
nothing here takes a modifier. Limits and worst cases are positive amounts; results are signed.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Final

from engine.instrument import Instrument
from engine.ladder import Reason
from engine.measures import per_rules
from engine.rules import Constitution, Rules, Tier
from engine.units import CENT

ZERO_USD: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskState:
    """Results net of fees and entries of the running session, ISO week and calendar month.

    `loss_streak` counts losing trades in a row across sessions, but locks the desk out only in a
    session that added to it: the lockout ends with the session, the streak survives the night.
    """

    session_date: date | None = None
    net_usd_today: Decimal = ZERO_USD
    net_usd_this_week: Decimal = ZERO_USD
    net_usd_this_month: Decimal = ZERO_USD
    entered_at: tuple[datetime, ...] = ()
    losses_today: int = 0
    loss_streak: int = 0

    @property
    def trades_today(self) -> int:
        return len(self.entered_at)

    @property
    def last_entry_at(self) -> datetime | None:
        return self.entered_at[-1] if self.entered_at else None

    def new_session(self, session_date: date) -> "RiskState":
        """The counters at the open of a session; the same value if it is the running one."""
        before = self.session_date
        if before == session_date:
            return self
        same_week = before and before.isocalendar()[:2] == session_date.isocalendar()[:2]
        same_month = before and before.replace(day=1) == session_date.replace(day=1)
        return RiskState(
            session_date=session_date,
            net_usd_this_week=self.net_usd_this_week if same_week else ZERO_USD,
            net_usd_this_month=self.net_usd_this_month if same_month else ZERO_USD,
            loss_streak=self.loss_streak,
        )

    def entered(self, at: datetime) -> "RiskState":
        """After an entry, counted at its first fill."""
        return replace(self, entered_at=(*self.entered_at, at))

    def closed(self, net_usd: Decimal) -> "RiskState":
        """After a round trip with this result, fees included; exactly zero is not a loss."""
        is_loss = net_usd < 0
        return replace(
            self,
            net_usd_today=self.net_usd_today + net_usd,
            net_usd_this_week=self.net_usd_this_week + net_usd,
            net_usd_this_month=self.net_usd_this_month + net_usd,
            losses_today=self.losses_today + is_loss,
            loss_streak=self.loss_streak + 1 if is_loss else 0,
        )

    def corrected(self, difference_usd: Decimal) -> "RiskState":
        """After the costs of a round trip already counted turned out different."""
        return replace(
            self,
            net_usd_today=self.net_usd_today + difference_usd,
            net_usd_this_week=self.net_usd_this_week + difference_usd,
            net_usd_this_month=self.net_usd_this_month + difference_usd,
        )


def tier_of(equity_usd: Decimal, constitution: Constitution) -> Tier:
    """The capital tier of a known broker equity; the first whose upper bound lies above it."""
    for tier in constitution.tiers:
        if tier.equity_usd_below is None or equity_usd < tier.equity_usd_below:
            return tier
    raise AssertionError("the schema requires the last tier to have no upper bound")


def worst_case_usd(stop_ticks: int, friction_ticks: float, instrument: Instrument) -> Decimal:
    """Loss of one contract stopped out: stop, fees and expected slippage, rounded up to a cent."""
    loss = instrument.to_usd(stop_ticks) + Decimal(friction_ticks) * instrument.tick_value_usd
    return loss.quantize(CENT, rounding=ROUND_UP)


@per_rules
def smallest_worst_case_usd(rules: Rules) -> Decimal:
    """Worst case of the least risky trade there is: minimum stop, fees, base slippage."""
    per_side = rules.instrument.fee_ticks_per_side + rules.execution.slippage_ticks_per_side
    return worst_case_usd(rules.strategies.stop_ticks_min, 2 * per_side, rules.instrument)


def budget_usd(risk: RiskState, constitution: Constitution) -> Decimal:
    """What the next trade may lose at most before the first of the day, week and month limits."""
    return min(
        constitution.loss_usd_per_day_max + risk.net_usd_today,
        constitution.loss_usd_per_week_max + risk.net_usd_this_week,
        constitution.loss_usd_per_month_max + risk.net_usd_this_month,
    )


def cooldown_ends_at(risk: RiskState, constitution: Constitution) -> datetime | None:
    """First instant at which the entries made today allow another one; null without an entry."""
    entries = risk.entered_at
    if not entries:
        return None
    apart = entries[-1] + timedelta(minutes=constitution.minutes_between_entries_min)
    counted = constitution.entries_per_hour_max
    if len(entries) < counted:
        return apart
    return max(apart, entries[-counted] + timedelta(hours=1))


def is_locked_out(risk: RiskState, constitution: Constitution) -> bool:
    """Whether too many losses in a row, the latest of them today, end the session's entries."""
    return risk.losses_today > 0 and risk.loss_streak >= constitution.consecutive_losses_max


def risk_reasons(
    risk: RiskState, constitution: Constitution, worst_usd: Decimal
) -> tuple[Reason, ...]:
    """Every limit a trade with this worst case would break, in ladder order; not the cooldown."""
    limits = (
        (Reason.DAILY_LOSS_LIMIT, constitution.loss_usd_per_day_max, risk.net_usd_today),
        (Reason.WEEKLY_LOSS_LIMIT, constitution.loss_usd_per_week_max, risk.net_usd_this_week),
        (Reason.MONTHLY_LOSS_LIMIT, constitution.loss_usd_per_month_max, risk.net_usd_this_month),
    )
    broken = [reason for reason, limit, net in limits if worst_usd - net > limit]
    if risk.trades_today >= constitution.trades_per_day_max:
        broken.append(Reason.MAX_TRADES_REACHED)
    if is_locked_out(risk, constitution):
        broken.append(Reason.CONSECUTIVE_LOSS_LOCKOUT)
    return tuple(broken)


def risk_reason(
    risk: RiskState, constitution: Constitution, worst_usd: Decimal, at: datetime
) -> Reason | None:
    """The first constitutional reason against a trade with this worst case; null when allowed."""
    broken = risk_reasons(risk, constitution, worst_usd)
    if broken:
        return broken[0]
    ends_at = cooldown_ends_at(risk, constitution)
    return Reason.COOLDOWN_ACTIVE if ends_at is not None and at < ends_at else None
