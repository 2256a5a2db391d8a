"""The desk's own half of the ladder: all that a decision depends on about us, in one value.

It changes only with our own acts, the account and the night's learning, so the desk keeps it
between bars; while the EQS is below 1 it changes on every bar.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Final, NamedTuple

import orjson

from engine.broker import FeedState
from engine.errors import InputRefused
from engine.ladder import LADDER, STEP, Reason
from engine.odds import EarnedOdds, Odds
from engine.risk import (
    RiskState,
    budget_usd,
    cooldown_ends_at,
    risk_reasons,
    smallest_worst_case_usd,
    tier_of,
)
from engine.rules import Rules, Tier
from engine.wording import CLOCKS, clock_at, needs_of, usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What learning says of a template: a factor on its cost, whether it may enter, and its odds.

    Learning adds friction and quarantines; a modifier below 1 is refused. A side without `odds` has
    the prior's.
    """

    modifier: float = 1.0
    is_quarantined: bool = False
    odds: tuple[Odds, ...] = ()

    def __post_init__(self) -> None:
        if not 1.0 <= self.modifier < float("inf"):
            raise InputRefused(
                f"learning modifier: expected at least 1, got {self.modifier}; "
                "learning may add friction, it cannot remove any"
            )

    def earned_on(self, side: int) -> EarnedOdds | None:
        """The odds of a side where a map was earned; null where the prior stays."""
        for odds in self.odds:
            if odds.side == side and isinstance(odds, EarnedOdds):
                return odds
        return None


ACTIVE: Final = Standing()

_A_HUNDREDTH: Final = 0.01
"""Of a tick: more than floats and cents can round, so that only close calls are judged in money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFacts:
    """What the ladder wants to know of us.

    `lock` is `KILL_SWITCH_ACTIVE`, `HALTED` or null; `is_flat` is false from the entry's intent to
    the trade's close; unknown equity is null and refuses every template; a template that has no
    standing is active. `feed` is null where nobody tells of one: bars that are read, not awaited.
    """

    lock: Reason | None
    is_flat: bool
    risk: RiskState
    eqs: float
    equity_usd: Decimal | None
    standings: Mapping[str, Standing]
    feed: FeedState | None = None


class Refusals(NamedTuple):
    """What the desk and one step of the market refuse together; the same for every such bar.

    `tail` follows the clock in the sentence, and is null where the market speaks for itself. The
    market's needs stand between `before` and `after`; `alone` is the text if it has none.
    """

    reason: Reason
    layer: int
    tail: str | None
    before: str
    after: str
    alone: str

    def words(self, minute: int, sentence: str, missing: str) -> tuple[str, str]:
        """Sentence and counterfactual of one such bar, made of the market's own."""
        if self.tail is not None:
            sentence = CLOCKS[minute + 1] + self.tail
        if self.alone:
            needs = needs_of(missing)
            missing = f"{self.before}{needs}{self.after}" if needs else self.alone
        return sentence, missing


@dataclass(frozen=True, kw_only=True)
class OwnView:
    """The facts against the rules.

    `noes` are the failing steps of the ladder; the cooldown's is there from the entry on and counts
    until `cooldown_ends_at`. `stop_ticks_max` is 0 for unknown equity; a stop and friction below
    `ample_ticks` fit the loss limits for certain, others are judged in money. `refusals` is
    `decision`'s memory of what it has made of this view, by the market's step and whether the
    cooldown runs. Without slots, to keep the texts that are made when they are first asked for.
    """

    facts: OwnFacts
    rules: Rules
    noes: tuple[int, ...]
    cooldown_ends_at: datetime | None
    eqs: float
    eqs_factor: float
    tier: Tier | None
    stop_ticks_max: int
    budget_usd: Decimal
    ample_ticks: float
    standings: Mapping[str, Standing]
    refusals: dict[tuple[int, bool], Refusals] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @cached_property
    def words(self) -> Mapping[int, tuple[str, str]]:
        """Detail and need of each failing step."""
        ends_at = self.cooldown_ends_at
        until = "" if ends_at is None else clock_at(ends_at, self.rules)
        return {step: _words(LADDER[step], self.facts, until, self.rules) for step in self.noes}

    @cached_property
    def gates(self) -> str:
        """The desk's own gates as JSON text, `name: [value, limit]`."""
        return _gates(self.facts, self.cooldown_ends_at, self.rules)


def own_view(facts: OwnFacts, rules: Rules) -> OwnView:
    """Judge what does not depend on the bar: do the loss limits leave room for the smallest trade?

    A larger trade is judged by `decision` against what is left, `budget_usd`.
    """
    law = rules.constitution
    ends_at = cooldown_ends_at(facts.risk, law)
    tier = None if facts.equity_usd is None else tier_of(facts.equity_usd, law)
    left_usd = budget_usd(facts.risk, law)
    failing = [] if facts.lock is None else [facts.lock]
    if not facts.is_flat:
        failing.append(Reason.IN_POSITION)
    failing += risk_reasons(facts.risk, law, smallest_worst_case_usd(rules))
    if ends_at is not None:
        failing.append(Reason.COOLDOWN_ACTIVE)
    if facts.feed not in (None, FeedState.LIVE):
        failing.append(Reason.FEED_NOT_LIVE)
    if facts.eqs < law.eqs_entry_min:
        failing.append(Reason.EQS_TOO_LOW)
    if facts.equity_usd is None:
        failing.append(Reason.TEMPLATE_NOT_ALLOWED_BY_TIER)
    return OwnView(
        facts=facts,
        rules=rules,
        noes=tuple(STEP[reason] for reason in failing),
        cooldown_ends_at=ends_at,
        eqs=facts.eqs,
        eqs_factor=min(1.0, facts.eqs / rules.beliefs.applicability_eqs_min),
        tier=tier,
        stop_ticks_max=0 if tier is None else _stop_ticks_max(tier, rules),
        budget_usd=left_usd,
        ample_ticks=float(left_usd / rules.instrument.tick_value_usd) - _A_HUNDREDTH,
        standings=facts.standings,
    )


def _stop_ticks_max(tier: Tier, rules: Rules) -> int:
    """Widest stop of any trade at this tier: both caps in ticks, both in dollars."""
    law = rules.constitution
    per_trade_usd = min(law.loss_usd_per_trade_max, tier.loss_usd_per_trade_max)
    affordable = int(per_trade_usd // rules.instrument.tick_value_usd)
    return min(law.stop_ticks_max, tier.stop_ticks_max, affordable)


def _words(reason: Reason, facts: OwnFacts, until: str, rules: Rules) -> tuple[str, str]:
    """Detail of one failing reason for the sentence, and need for the counterfactual."""
    risk, law = facts.risk, rules.constitution
    match reason:
        case Reason.KILL_SWITCH_ACTIVE:
            return "", "a person to resume the desk"
        case Reason.HALTED:
            return "", "the halt to be lifted"
        case Reason.IN_POSITION:
            return "", "the open trade to close"
        case Reason.DAILY_LOSS_LIMIT:
            return _limit_words("today", risk.net_usd_today, law.loss_usd_per_day_max, rules)
        case Reason.WEEKLY_LOSS_LIMIT:
            return _limit_words(
                "this week", risk.net_usd_this_week, law.loss_usd_per_week_max, rules
            )
        case Reason.MONTHLY_LOSS_LIMIT:
            net, limit = risk.net_usd_this_month, law.loss_usd_per_month_max
            return _limit_words("this month", net, limit, rules)
        case Reason.MAX_TRADES_REACHED:
            taken = f"{risk.trades_today} of {law.trades_per_day_max} taken"
            return taken, "the next session, this one's trades are used"
        case Reason.CONSECUTIVE_LOSS_LOCKOUT:
            return f"{risk.loss_streak} in a row", "the next session, this one is locked out"
        case Reason.COOLDOWN_ACTIVE:
            return f"until {until}", f"the cooldown to end at {until}"
        case Reason.FEED_NOT_LIVE:
            return f"it is {facts.feed}", "live market data"
        case Reason.EQS_TOO_LOW:
            least = f"{law.eqs_entry_min:.2f}"
            return f"EQS {facts.eqs:.2f} of {least}", f"EQS {least}, was {facts.eqs:.2f}"
        case Reason.TEMPLATE_NOT_ALLOWED_BY_TIER:
            return "the equity of the account is unknown", "a known account equity"
        case _:
            raise AssertionError(f"{reason} is not a reason of the desk's own")


def _limit_words(
    period: str, net_usd: Decimal, limit_usd: Decimal, rules: Rules
) -> tuple[str, str]:
    least_usd = usd(smallest_worst_case_usd(rules))
    left_usd = usd(max(limit_usd + net_usd, Decimal(0)))
    return (
        f"{usd(net_usd)} {period} of {usd(-limit_usd)}, and the smallest trade risks {least_usd}",
        f"more left to lose {period} than {left_usd}",
    )


def _gates(facts: OwnFacts, ends_at: datetime | None, rules: Rules) -> str:
    risk, law = facts.risk, rules.constitution
    equity = facts.equity_usd
    gates: dict[str, list[object]] = {
        "lock": [facts.lock, None],
        "positions": [int(not facts.is_flat), law.positions_max],
        "net_usd_today": [float(risk.net_usd_today), -float(law.loss_usd_per_day_max)],
        "net_usd_this_week": [float(risk.net_usd_this_week), -float(law.loss_usd_per_week_max)],
        "net_usd_this_month": [float(risk.net_usd_this_month), -float(law.loss_usd_per_month_max)],
        "trades_today": [risk.trades_today, law.trades_per_day_max],
        # A streak of earlier sessions locks nothing until a loss of today joins it.
        "loss_streak": [risk.loss_streak if risk.losses_today else 0, law.consecutive_losses_max],
        "cooldown_ends_at": [None if ends_at is None else ends_at.isoformat(), None],
        "eqs": [round(facts.eqs, 4), law.eqs_entry_min],
        "feed": [facts.feed, None],
        "equity_usd": [None if equity is None else float(equity), None],
        "standings": [
            {id_: [s.modifier, s.is_quarantined] for id_, s in sorted(facts.standings.items())},
            None,
        ],
    }
    return orjson.dumps(gates).decode()
