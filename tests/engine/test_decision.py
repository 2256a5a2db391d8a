"""The authority ladder: every reason is reachable, the first no wins, and nothing can loosen it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from decision_cases import (
    CLEAR,
    CLEAR_RISK,
    GOOD_SETUP,
    NOW,
    RULES,
    TODAY,
    entered,
    own,
    row,
    setup,
)
from hypothesis import given
from hypothesis import strategies as st

from engine.broker import FeedState
from engine.decision import (
    Action,
    Decision,
    could_enter,
    decide,
    decide_in_full,
    decision_payload,
    managed,
)
from engine.errors import InputRefused
from engine.ladder import LADDER, LAYER, PASSED, STEP, Reason
from engine.market import MarketRow, Setup
from engine.odds import BeliefMap, EarnedOdds
from engine.own_view import OwnFacts, Standing, own_view
from engine.risk import RiskState, worst_case_usd
from engine.rules import Rules

SCORE = Reason.EDGE_SCORE_BELOW_THETA
FIRST_TEMPLATE_STEP = STEP[Reason.TEMPLATE_NOT_ALLOWED_BY_TIER]


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


def market_reason(found: Setup, bar: MarketRow) -> str | None:
    """The first no of a setup by the specification; the market's columns say the same."""
    assert bar.f5 is not None
    assert bar.f6 is not None
    assert bar.friction_ticks is not None
    block = next(b for b in RULES.strategies.templates if b.id == found.template)
    noes = {
        Reason.STOP_EXCEEDS_RISK_BUDGET: found.stop_ticks > 12,
        Reason.BELIEF_TOO_LOW: bar.f6 < RULES.strategies.tradability_belief_min,
        Reason.STABILITY_NOT_MET: found.instability > block.instability_max,
        Reason.NOISE_VETO: bar.f5 >= RULES.strategies.noise_veto_belief,
        Reason.FRICTION_TOO_HIGH: bar.friction_ticks / found.target_ticks > 0.30,
        Reason.EDGE_SCORE_BELOW_THETA: found.euc < found.theta,
    }
    return next((reason.value for reason, is_no in noes.items() if is_no), None)


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


def test_with_perfect_execution_and_no_learning_the_score_is_the_markets_to_the_bit() -> None:
    odd = setup(euc=0.1 + 0.2 - 0.15, edge=1 / 3)

    score = decide(row(odd), own(), RULES).scores[0]

    assert (score.euc, score.edge, score.p_win, score.belief) == (
        odd.euc,
        odd.edge,
        odd.p_win,
        odd.belief,
    )


def test_a_learning_modifier_multiplies_the_cost() -> None:
    # Given friction 2 and stop 8: a cost of 0.25 R, half of it again is 0.125
    decision = decide(row(setup(euc=0.30)), own(standings={"K1": Standing(modifier=1.5)}), RULES)

    assert decision.scores[0].cost == pytest.approx(0.375)
    assert decision.scores[0].euc == pytest.approx(0.175)


def test_a_lower_eqs_adds_its_share_of_uncertainty() -> None:
    decision = decide(row(setup(euc=0.30)), own(eqs=0.80), RULES)

    assert decision.action is Action.ENTER
    assert decision.scores[0].euc == pytest.approx(0.30 - 0.25 * 0.20)


def test_below_its_gate_the_eqs_takes_from_belief_and_odds_as_well() -> None:
    # Given an EQS of two thirds of what lets a belief count in full
    score = decide(row(GOOD_SETUP), own(eqs=0.50), RULES).scores[0]

    assert score.belief == pytest.approx(0.70 * 2 / 3)
    assert score.p_win == pytest.approx(GOOD_SETUP.p_win - 0.5 * 0.70 / 3)
    assert score.edge == pytest.approx(score.p_win * 1.5 - (1 - score.p_win))
    assert score.reason is Reason.BELIEF_TOO_LOW


def test_learning_cannot_lower_a_cost() -> None:
    for modifier in (0.99, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputRefused, match="at least 1"):
            Standing(modifier=modifier)


def test_a_cooldown_ends_at_its_minute_and_says_when() -> None:
    waiting = own(risk=entered(minutes_ago=30))
    over = row(GOOD_SETUP, closes_at=NOW + timedelta(minutes=30))

    decision = decide(row(GOOD_SETUP), waiting, RULES)

    assert decision.sentence == (
        "10:42 ET skip: cooling down after the last entry. Until 11:12 ET."
    )
    assert decision.counterfactual == "needs the cooldown to end at 11:12 ET"
    assert decide(over, waiting, RULES).action is Action.ENTER


def test_when_several_gates_fail_the_counterfactual_says_that_no_single_change_would_do() -> None:
    waiting = own(risk=entered(minutes_ago=30), eqs=0.70)

    decision = decide(row(), waiting, RULES)

    assert decision.counterfactual == (
        "no single change: the cooldown to end at 11:12 ET; EQS 0.75, was 0.70; "
        "F2 long 0.65, was 0.61"
    )


def test_a_market_that_lacks_two_things_is_not_told_as_one_by_an_unquiet_desk() -> None:
    two = row(counterfactual="no single change: F1 long 0.65, was 0.61; a K1 long setup")

    decision = decide(two, own(eqs=0.90), RULES)

    assert decision.counterfactual == two.counterfactual


def test_a_bar_without_text_gets_none() -> None:
    silent = row(setup(reason="NOISE_VETO"), sentence="", counterfactual="")

    decision = decide(silent, own(eqs=0.90), RULES)

    assert (decision.reason, decision.sentence, decision.counterfactual) == (
        Reason.NOISE_VETO,
        "",
        "",
    )


def test_the_payload_of_a_quiet_bar_is_json_with_the_markets_own_text() -> None:
    quiet, view = row(), own()

    payload = json.loads(decision_payload(decide(quiet, view, RULES), quiet, view))

    assert payload["action"] == "SKIP"
    assert payload["reason"] == "BELIEF_TOO_LOW"
    assert payload["layer"] == 6
    assert payload["sentence"] == quiet.sentence
    assert payload["counterfactual"] == quiet.counterfactual
    assert payload["market"] == {"dvs": [1.0, 0.8]}
    assert payload["own"]["net_usd_today"] == [0.0, -30.0]
    assert payload["own"]["eqs"] == [1.0, 0.75]
    assert (payload["chosen"], payload["scores"]) == (None, [])


def test_the_payload_of_an_entry_holds_every_score_to_four_decimals() -> None:
    bar = row(setup(euc=1 / 3), setup(template="K2", reason="NOISE_VETO"))
    view = own()

    payload = json.loads(decision_payload(decide(bar, view, RULES), bar, view))

    assert (payload["action"], payload["reason"], payload["chosen"]) == ("ENTER", None, "K1")
    assert [score["template"] for score in payload["scores"]] == ["K1", "K2"]
    assert payload["scores"][0]["euc"] == 0.3333
    assert payload["scores"][1]["reason"] == "NOISE_VETO"


def test_the_record_of_an_open_trade_names_its_cause() -> None:
    bar, view = row(), own(is_flat=False)

    decision = managed(Action.EXIT, "time_stop", "11:12 ET exit K1 long: +2 ticks (+0.25 R).")
    payload = json.loads(decision_payload(decision, bar, view))

    assert (payload["action"], payload["cause"]) == ("EXIT", "time_stop")
    assert payload["reason"] == "IN_POSITION"


# ── Laws ────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def market_setups(draw: st.DrawFn, template: str) -> Setup:
    """A setup that passes every gate, or fails some of them by its own numbers."""
    theta = draw(st.floats(0.0, 0.6))
    return setup(
        template=template,
        side=draw(st.sampled_from([-1, 1])),
        stop_ticks=draw(st.integers(6, 14)),
        target_ticks=draw(st.integers(8, 24)),
        belief=draw(st.floats(0.70, 0.95)),
        instability=draw(st.sampled_from([0.01, 0.01, 0.01, 0.20])),
        theta=theta,
        euc=theta + draw(st.floats(-0.2, 0.4)),
    )


@st.composite
def market_rows(draw: st.DrawFn) -> MarketRow:
    templates = draw(st.lists(st.sampled_from(["K1", "K2", "K3", "K4"]), unique=True, max_size=3))
    market = {
        "minute": draw(st.integers(0, 389)),
        "closes_at": NOW + timedelta(minutes=draw(st.integers(-60, 60))),
        "friction_ticks": draw(st.floats(1.2, 6.0)),
        "f5": draw(st.sampled_from([0.2, 0.2, 0.2, 0.9])),
        "f6": draw(st.sampled_from([0.6, 0.6, 0.6, 0.1])),
    }
    found = [draw(market_setups(template)) for template in sorted(templates)]
    setups = [one._replace(reason=market_reason(one, row(**market))) for one in found]
    bar = row(*setups, **market)
    if draw(st.booleans()):
        return bar
    step = min(bar.market_step, draw(st.integers(STEP[Reason.DVS_TOO_LOW], PASSED)))
    is_bars = step < FIRST_TEMPLATE_STEP and step != STEP[Reason.EQS_TOO_LOW]
    return bar._replace(market_step=step, may_enter=False) if is_bars else bar


@st.composite
def earned_odds(draw: st.DrawFn) -> tuple[EarnedOdds, ...]:
    """A map for one side or both, from nothing to certainty."""
    sides = draw(st.lists(st.sampled_from([-1, 1]), unique=True))
    knots = sorted(draw(st.lists(st.floats(0, 1), min_size=1, max_size=4, unique=True)))
    p_win = sorted(draw(st.floats(0, 1)) for _ in knots)
    fitted = BeliefMap(beliefs=tuple(knots), p_win=tuple(p_win))
    night = TODAY - timedelta(days=1)
    return tuple(
        EarnedOdds(side=side, through=night, why="drawn", belief_map=fitted) for side in sides
    )


standings = st.dictionaries(
    st.sampled_from(["K1", "K2", "K3", "K4"]),
    st.builds(
        Standing,
        modifier=st.sampled_from([1.0, 1.2, 1.5]),
        is_quarantined=st.booleans(),
        odds=st.just(()) | earned_odds(),
    ),
)


def without_odds(facts: OwnFacts) -> OwnFacts:
    kept = {name: replace(standing, odds=()) for name, standing in facts.standings.items()}
    return replace(facts, standings=kept)


money = st.sampled_from(["0", "-5.00", "-12.50", "-17.51", "-21.00", "40.00"]).map(Decimal)


@st.composite
def risks(draw: st.DrawFn) -> RiskState:
    minutes = sorted(draw(st.lists(st.integers(1, 200), max_size=2)), reverse=True)
    return RiskState(
        session_date=TODAY,
        net_usd_today=draw(money),
        net_usd_this_week=draw(money) * 3,
        net_usd_this_month=draw(money) * 6,
        entered_at=tuple(NOW - timedelta(minutes=ago) for ago in minutes),
        losses_today=draw(st.integers(0, 1)),
        loss_streak=draw(st.integers(0, 3)),
    )


own_facts = st.builds(
    OwnFacts,
    lock=st.sampled_from([None, None, None, Reason.HALTED, Reason.KILL_SWITCH_ACTIVE]),
    is_flat=st.sampled_from([True, True, True, False]),
    risk=st.just(CLEAR_RISK) | risks(),
    eqs=st.just(1.0) | st.floats(0.3, 1.0),
    equity_usd=st.sampled_from([None, Decimal(2_000), Decimal(5_000), Decimal(10_000)]),
    standings=st.just({}) | standings,
)


@given(st.lists(market_rows(), min_size=1, max_size=4), own_facts)
def test_the_shortcut_of_a_bar_gives_the_answer_of_the_whole_ladder(
    bars: list[MarketRow], facts: OwnFacts
) -> None:
    view = own_view(facts, RULES)

    # Twice over the same view: what a bar left behind in it must not speak for another.
    for bar in [*bars, *reversed(bars)]:
        quick, full = decide(bar, view, RULES), decide_in_full(bar, view, RULES)
        assert quick == full
        assert decision_payload(quick, bar, view) == decision_payload(full, bar, view)


def test_a_cooldown_that_ends_is_forgotten_by_the_shortcut() -> None:
    view = own(risk=entered(30))
    bars = [row(closes_at=NOW + timedelta(minutes=ago)) for ago in range(60)]

    decisions = [decide(bar, view, RULES) for bar in bars]

    assert decisions == [decide_in_full(bar, view, RULES) for bar in bars]
    assert {found.reason for found in decisions} == {
        Reason.COOLDOWN_ACTIVE,
        Reason.BELIEF_TOO_LOW,
    }


def test_the_law_catches_a_memory_that_forgets_the_market() -> None:
    view = own(lock=Reason.HALTED)
    plain, blind = row(), row(counterfactual="")
    decide(plain, view, RULES)

    key, kept = next(iter(view.refusals.items()))
    view.refusals[key] = kept._replace(before="", after="")

    assert decide(blind, view, RULES) == decide_in_full(blind, view, RULES)
    assert decide(plain, view, RULES) != decide_in_full(plain, view, RULES)


def test_the_law_catches_a_shortcut_that_forgets_the_desk() -> None:
    def hasty(bar: MarketRow, facts: OwnFacts) -> Decision:
        return decide(bar, replace(own_view(facts, RULES), noes=()), RULES)

    halted = replace(CLEAR, lock=Reason.HALTED)

    assert hasty(row(), halted) != decide_in_full(row(), own_view(halted, RULES), RULES)


@given(market_rows(), own_facts)
def test_a_bar_on_which_the_market_may_not_enter_is_never_an_entry(
    bar: MarketRow, facts: OwnFacts
) -> None:
    untaught = decide(bar, own_view(without_odds(facts), RULES), RULES)
    decision = decide(bar, own_view(facts, RULES), RULES)

    assert bar.may_enter or untaught.action is Action.SKIP
    assert could_enter(bar) or decision.action is Action.SKIP
    assert bool(decision.counterfactual) is (decision.action is Action.SKIP)


@given(market_rows(), own_facts)
def test_trust_can_only_turn_entries_into_skips(bar: MarketRow, facts: OwnFacts) -> None:
    taught = decide(bar, own_view(without_odds(facts), RULES), RULES)
    untaught = decide(bar, own_view(replace(facts, standings={}), RULES), RULES)

    assert taught.action is Action.SKIP or untaught.action is Action.ENTER
    for after, before in zip(taught.scores, untaught.scores, strict=True):
        assert after.euc <= before.euc
        assert after.theta == before.theta
        assert before.reason is None or after.reason is not None


def no_of_odds_but_the_score(bar: MarketRow, facts: OwnFacts, rules: Rules) -> None:
    """The law of odds: they answer the score, within the contract's bounds, and no other gate."""
    taught = decide(bar, own_view(facts, rules), rules)
    untaught = decide(bar, own_view(without_odds(facts), rules), rules)

    assert taught.action is Action.SKIP or untaught.reason in (None, SCORE)
    if taught.reason is not SCORE and untaught.reason is not SCORE:
        assert (taught.action, taught.reason) == (untaught.action, untaught.reason)
    for after, before in zip(taught.scores, untaught.scores, strict=True):
        same = ("template", "side", "stop_ticks", "target_ticks", "belief", "theta", "cost")
        assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
        assert after.reason == before.reason or {after.reason, before.reason} == {None, SCORE}
        if after.p_win_from != "prior":
            assert RULES.beliefs.p_win_min <= after.p_win <= RULES.beliefs.p_win_max


@given(market_rows(), own_facts)
def test_odds_answer_the_score_and_no_other_gate(bar: MarketRow, facts: OwnFacts) -> None:
    no_of_odds_but_the_score(bar, facts, RULES)


def test_the_law_catches_odds_that_know_no_bounds() -> None:
    sure = EarnedOdds(
        side=1,
        through=TODAY - timedelta(days=1),
        why="planted",
        belief_map=BeliefMap(beliefs=(0.5,), p_win=(1.0,)),
    )
    facts = replace(CLEAR, standings={"K1": Standing(odds=(sure,))})
    boundless = replace(RULES, beliefs=replace(RULES.beliefs, p_win_max=1.0))

    no_of_odds_but_the_score(row(setup(reason="EDGE_SCORE_BELOW_THETA")), facts, RULES)
    with pytest.raises(AssertionError):
        no_of_odds_but_the_score(row(setup()), facts, boundless)


@given(market_rows(), own_facts)
def test_worse_execution_can_only_turn_entries_into_skips(bar: MarketRow, facts: OwnFacts) -> None:
    worse = decide(bar, own_view(facts, RULES), RULES)
    perfect = decide(bar, own_view(replace(facts, eqs=1.0), RULES), RULES)

    assert worse.action is Action.SKIP or perfect.action is Action.ENTER


@given(market_rows(), own_facts)
def test_an_entry_fits_every_limit_of_the_constitution(bar: MarketRow, facts: OwnFacts) -> None:
    decision = decide(bar, own_view(facts, RULES), RULES)
    if decision.chosen is None:
        return
    law, risk, chosen = RULES.constitution, facts.risk, decision.chosen

    assert bar.friction_ticks is not None
    worst = worst_case_usd(chosen.stop_ticks, bar.friction_ticks, RULES.instrument)
    assert RULES.instrument.to_usd(chosen.stop_ticks) <= law.loss_usd_per_trade_max
    assert worst - risk.net_usd_today <= law.loss_usd_per_day_max
    assert worst - risk.net_usd_this_week <= law.loss_usd_per_week_max
    assert worst - risk.net_usd_this_month <= law.loss_usd_per_month_max
    assert risk.trades_today < law.trades_per_day_max
    assert facts.equity_usd is not None
    assert facts.eqs >= law.eqs_entry_min
    assert all(bar.closes_at - at >= timedelta(hours=1) for at in risk.entered_at)
