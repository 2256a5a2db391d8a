"""The authority ladder: every reason is reachable, and the first no wins."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from decision_cases import (
    CLEAR,
    CLEAR_RISK,
    FIRST_TEMPLATE_STEP,
    GOOD_SETUP,
    NOW,
    RULES,
    market_reason,
    own,
    row,
    setup,
)

from engine.broker import FeedState
from engine.decision import Action, Decision, decide
from engine.ladder import LADDER, LAYER, PASSED, STEP, Reason
from engine.market import Setup
from engine.own_view import OwnFacts, Standing, own_view


@dataclass
class Case:
    """A bar that would be an entry, to be spoiled."""

    facts: OwnFacts = CLEAR
    setup: Setup = GOOD_SETUP
    has_setup: bool = True
    bar_steps: list[int] = field(default_factory=list)
    beliefs: dict[str, float] = field(default_factory=dict)

    def lose(self, **changes: object) -> None:
        self.facts = replace(self.facts, risk=replace(self.facts.risk, **changes))

    def refuse_bar(self, reason: Reason) -> None:
        self.bar_steps.append(STEP[reason])

    def change_setup(self, **changes: object) -> None:
        self.setup = self.setup._replace(**changes)

    def decide(self) -> Decision:
        setups = [self.setup] if self.has_setup else []
        step = STEP[Reason.NO_CANDIDATE]
        if setups:
            bar = row(**self.beliefs)
            self.setup = self.setup._replace(reason=market_reason(self.setup, bar))
            setups = [self.setup]
            step = STEP[Reason(self.setup.reason)] if self.setup.reason else PASSED
        bar = row(*setups, **self.beliefs, market_step=min([step, *self.bar_steps]))
        return decide(bar, own_view(self.facts, RULES), RULES)


def fact(**changes: object) -> Callable[[Case], None]:
    def spoil(case: Case) -> None:
        case.facts = replace(case.facts, **changes)

    return spoil


def quarantine(case: Case) -> None:
    case.facts = replace(case.facts, standings={"K1": Standing(is_quarantined=True)})


def worsen_execution(case: Case) -> None:
    case.facts = replace(case.facts, eqs=0.74)
    case.change_setup(euc=case.setup.euc + 0.10)  # So that the score would bear it.


def lose_the_setup(case: Case) -> None:
    case.has_setup = False


def trade_twice(case: Case) -> None:
    case.lose(entered_at=(NOW - timedelta(minutes=200), NOW - timedelta(minutes=100)))


SPOIL: dict[Reason, Callable[[Case], None]] = {
    Reason.KILL_SWITCH_ACTIVE: fact(lock=Reason.KILL_SWITCH_ACTIVE),
    Reason.HALTED: fact(lock=Reason.HALTED),
    Reason.IN_POSITION: fact(is_flat=False),
    Reason.DAILY_LOSS_LIMIT: lambda case: case.lose(net_usd_today=Decimal(-25)),
    Reason.WEEKLY_LOSS_LIMIT: lambda case: case.lose(net_usd_this_week=Decimal(-70)),
    Reason.MONTHLY_LOSS_LIMIT: lambda case: case.lose(net_usd_this_month=Decimal(-145)),
    Reason.MAX_TRADES_REACHED: trade_twice,
    Reason.CONSECUTIVE_LOSS_LOCKOUT: lambda case: case.lose(losses_today=1, loss_streak=2),
    Reason.COOLDOWN_ACTIVE: lambda case: case.lose(
        entered_at=(*case.facts.risk.entered_at, NOW - timedelta(minutes=30))[-2:]
    ),
    Reason.FEED_NOT_LIVE: fact(feed=FeedState.DELAYED),
    Reason.DVS_TOO_LOW: lambda case: case.refuse_bar(Reason.DVS_TOO_LOW),
    Reason.EQS_TOO_LOW: worsen_execution,
    Reason.MISSING_REQUIRED_SIGNAL: lambda case: case.refuse_bar(Reason.MISSING_REQUIRED_SIGNAL),
    Reason.SESSION_NOT_TRADABLE: lambda case: case.refuse_bar(Reason.SESSION_NOT_TRADABLE),
    Reason.SESSION_WINDOW_BLOCK: lambda case: case.refuse_bar(Reason.SESSION_WINDOW_BLOCK),
    Reason.VOL_SHOCK_LOCKOUT: lambda case: case.refuse_bar(Reason.VOL_SHOCK_LOCKOUT),
    Reason.SPREAD_SLIPPAGE_LOCKOUT: lambda case: case.refuse_bar(Reason.SPREAD_SLIPPAGE_LOCKOUT),
    Reason.NEWS_LOCKOUT: lambda case: case.refuse_bar(Reason.NEWS_LOCKOUT),
    Reason.TEMPLATE_NOT_ALLOWED_BY_TIER: fact(equity_usd=None),
    Reason.STOP_EXCEEDS_RISK_BUDGET: lambda case: case.change_setup(stop_ticks=13),
    Reason.BELIEF_TOO_LOW: lambda case: case.beliefs.update(f6=0.10),
    Reason.STABILITY_NOT_MET: lambda case: case.change_setup(instability=0.25),
    Reason.NOISE_VETO: lambda case: case.beliefs.update(f5=0.90),
    Reason.STRATEGY_QUARANTINED: quarantine,
    Reason.FRICTION_TOO_HIGH: lambda case: case.change_setup(target_ticks=6),
    Reason.EDGE_SCORE_BELOW_THETA: lambda case: case.change_setup(euc=0.04),
    Reason.NO_CANDIDATE: lose_the_setup,
}


def test_an_unspoiled_bar_is_an_entry() -> None:
    decision = Case().decide()

    assert (decision.action, decision.reason, decision.layer) == (Action.ENTER, None, None)
    assert decision.chosen == GOOD_SETUP
    assert decision.sentence == (
        "10:42 ET enter K1 long (VWAP reversion): F1 at 0.70 of 0.65, p_win 0.57 by the prior, "
        "EUC 0.12 over theta 0.10. Stop 8 ticks, target 12, risking $12.50 with costs."
    )


@pytest.mark.parametrize("reason", LADDER)
def test_every_reason_of_the_ladder_can_be_the_answer(reason: Reason) -> None:
    case = Case()

    SPOIL[reason](case)
    decision = case.decide()

    assert (decision.action, decision.reason) == (Action.SKIP, reason)
    assert decision.layer == LAYER[reason]
    assert decision.sentence
    assert decision.counterfactual.startswith("needs ")


def can_both_fail(earlier: Reason, later: Reason) -> bool:
    """The kill switch has one state, and without a setup no gate of a setup is asked."""
    if later is Reason.NO_CANDIDATE:
        return STEP[earlier] <= FIRST_TEMPLATE_STEP
    return (earlier, later) != (Reason.KILL_SWITCH_ACTIVE, Reason.HALTED)


PAIRS = [pair for pair in combinations(LADDER, 2) if can_both_fail(*pair)]


@pytest.mark.parametrize(("earlier", "later"), PAIRS)
def test_of_two_noes_the_earlier_on_the_ladder_is_the_reason(
    earlier: Reason, later: Reason
) -> None:
    case = Case()

    SPOIL[later](case)
    SPOIL[earlier](case)

    assert case.decide().reason is earlier


def test_a_template_of_another_tier_is_refused_and_the_others_are_not() -> None:
    momentum = setup(template="K4", euc=0.30, belief=0.75)

    both = decide(row(GOOD_SETUP, momentum), own(equity_usd=Decimal(5_000)), RULES)
    alone = decide(row(momentum), own(equity_usd=Decimal(5_000)), RULES)

    assert both.chosen == GOOD_SETUP
    assert [score.reason for score in both.scores] == [None, Reason.TEMPLATE_NOT_ALLOWED_BY_TIER]
    assert alone.reason is Reason.TEMPLATE_NOT_ALLOWED_BY_TIER
    assert alone.counterfactual == "needs a tier of B for K4 long, was A"


def test_unknown_equity_says_so() -> None:
    decision = decide(row(GOOD_SETUP), own(equity_usd=None), RULES)

    assert decision.sentence == (
        "10:42 ET skip: not allowed at this equity. The equity of the account is unknown."
    )
    assert decision.counterfactual == "needs a known account equity"


@pytest.mark.parametrize(("equity", "stop", "enters"), [(2_000, 10, True), (2_000, 11, False)])
def test_the_stop_has_to_fit_the_tier(equity: int, stop: int, *, enters: bool) -> None:
    decision = decide(row(setup(stop_ticks=stop)), own(equity_usd=Decimal(equity)), RULES)

    assert (decision.action is Action.ENTER) is enters
    assert enters or decision.reason is Reason.STOP_EXCEEDS_RISK_BUDGET


@pytest.mark.parametrize(("net", "enters"), [("-17.50", True), ("-17.51", False)])
def test_the_worst_case_has_to_fit_what_is_left_of_the_day_to_the_cent(
    net: str, *, enters: bool
) -> None:
    # Given 8 ticks of stop and 2 of friction: $12.50 of the day's $30
    risk = replace(CLEAR_RISK, net_usd_today=Decimal(net))

    decision = decide(row(GOOD_SETUP), own(risk=risk), RULES)

    assert (decision.action is Action.ENTER) is enters
    assert enters or decision.counterfactual == "needs a stop of 7 ticks for K1 long, was 8"


def test_the_highest_score_wins_and_a_tie_goes_to_the_first_template() -> None:
    better = setup(template="K2", euc=0.20)
    equal = setup(template="K2")

    assert decide(row(GOOD_SETUP, better), own(), RULES).chosen == better
    assert decide(row(equal, GOOD_SETUP), own(), RULES).chosen == GOOD_SETUP


def test_a_refused_setup_is_told_by_the_one_that_came_furthest() -> None:
    early = setup(reason="STABILITY_NOT_MET", instability=0.25, euc=0.50)
    late = setup(template="K2", reason="EDGE_SCORE_BELOW_THETA", euc=0.04)

    decision = decide(row(early, late), own(), RULES)

    assert decision.reason is Reason.EDGE_SCORE_BELOW_THETA
    assert decision.sentence == (
        "10:42 ET skip: edge score below theta. Nearest was K2 long at belief 0.70, p_win 0.57 by "
        "the prior, EUC 0.04 for theta 0.10."
    )
    assert decision.counterfactual == "needs K2 long EUC 0.10, was 0.04"
