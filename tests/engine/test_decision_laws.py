"""Laws of the decision: shortcuts answer as the whole ladder, and nothing can loosen a limit."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from decision_cases import (
    CLEAR,
    CLEAR_RISK,
    FIRST_TEMPLATE_STEP,
    NOW,
    RULES,
    SCORE,
    TODAY,
    entered,
    market_reason,
    own,
    row,
    setup,
)
from hypothesis import given
from hypothesis import strategies as st

from engine.decision import Action, Decision, could_enter, decide, decide_in_full, decision_payload
from engine.ladder import PASSED, STEP, Reason
from engine.market import MarketRow, Setup
from engine.odds import BeliefMap, EarnedOdds
from engine.own_view import OwnFacts, Standing, own_view
from engine.risk import RiskState, worst_case_usd
from engine.rules import Rules


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
