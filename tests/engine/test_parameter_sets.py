"""Parameter sets: drawn from a grid, never of the constitution, and counted as the desk counts."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import load_rules
from contracts.ceilings import check_ranges
from engine.errors import InputRefused
from engine.learning.parameter_sets import (
    ParameterSet,
    knobs,
    parameter_sets,
    rules_with,
    value_of,
)
from engine.learning.sweep.counters import Carried, Counters, cents_of
from engine.learning.sweep.tape import TapeSession
from engine.learning.sweep.terms import Played, Terms
from engine.learning.variants import Variant, variants
from engine.risk import (
    RiskState,
    budget_usd,
    cooldown_ends_at,
    risk_reasons,
    smallest_worst_case_usd,
)
from engine.trade import ExitKind, TradeClosed
from engine.units import DecisionId, Side

RULES = load_rules("MES")
LAW = RULES.constitution
MONDAY = date(2025, 3, 24)


def test_the_first_set_is_today_and_the_same_seed_draws_the_same() -> None:
    few, many = parameter_sets(RULES, 5, 1), parameter_sets(RULES, 50, 1)

    assert few[0] == ParameterSet(number=0, changes=())
    assert many[:5] == few
    assert parameter_sets(RULES, 5, 2)[1:] != few[1:]


def test_every_number_of_a_set_lies_on_its_grid_and_within_the_contracts_ranges() -> None:
    grid = {(knob.file, knob.key): knob for knob in knobs(RULES)}

    for chosen in parameter_sets(RULES, 200, 4):
        for change in chosen.changes:
            knob = grid[change.file, change.key]
            steps = (change.after - change.before) / knob.step
            assert steps == pytest.approx(round(steps), abs=1e-6)
            assert 1 <= abs(round(steps)) <= knob.reach
        changed = rules_with(RULES, chosen.changes)
        check_ranges("strategies", changed.strategies)
        check_ranges("decision", changed.decision)
        check_ranges("trade", changed.trade)


def test_a_set_changes_what_it_says_and_nothing_else() -> None:
    chosen = parameter_sets(RULES, 2, 0)[1]

    changed = rules_with(RULES, chosen.changes)

    for change in chosen.changes:
        assert value_of(changed, change.file, change.key) == change.after
    back = [
        Variant(file=each.file, key=each.key, before=each.after, after=each.before)
        for each in chosen.changes
    ]
    assert rules_with(changed, back) == RULES
    assert (changed.constitution, changed.beliefs) == (RULES.constitution, RULES.beliefs)


def test_a_single_change_makes_the_rules_of_the_weekly_variant() -> None:
    of_templates = [
        (variant, rules)
        for variant, rules in variants(RULES, RULES.learning.evolution)
        if variant.file == "strategies"
    ]

    assert of_templates
    for variant, rules in of_templates:
        assert rules_with(RULES, [variant]) == rules


def test_a_key_of_nothing_is_refused() -> None:
    for key in ("templates[K9].belief_min", "templates[K1].colour", "fitness"):
        with pytest.raises(InputRefused, match="expected the key of a number"):
            value_of(RULES, "strategies", key)


def test_an_amount_that_is_no_whole_cent_is_refused() -> None:
    with pytest.raises(InputRefused, match=r"whole cents, got 0\.625"):
        cents_of(Decimal("0.625"))


def session_on(day: date, number: int) -> TapeSession:
    opens_at = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    return TapeSession(
        session_date=day,
        opens_at=opens_at,
        opens_us=int(opens_at.timestamp()) * 1_000_000,
        start=0,
        end=0,
        minutes_before=390 * number,
        killed_from=0,
        seed=0,
    )


def played(at: datetime, net_cents: int) -> Played:
    closed = TradeClosed(
        at=at,
        decision_id=DecisionId("MES-1500"),
        template="K1",
        side=Side.LONG,
        exit_kind=ExitKind.STOP,
        opened_at=at,
        entry_price_ticks=1,
        exit_price_ticks=1,
        gross_ticks=0,
        gross_usd=Decimal(0),
        fees_usd=Decimal(0),
        net_usd=Decimal(net_cents) / 100,
        mae_ticks=0,
        mfe_ticks=0,
        path_ticks=(),
    )
    none = Terms(0, 0, 0, 0)
    return Played(closed, int(at.timestamp()) * 1_000_000, net_cents, 0, (), none, none)


ONE = np.array([0])
TRADES = st.lists(st.integers(-2_600, 2_600), max_size=3)


@settings(max_examples=60, deadline=None)
@given(days=st.lists(TRADES, min_size=1, max_size=40))
def test_the_counters_allow_what_the_constitution_allows(days: list[list[int]]) -> None:
    counters, risk = Counters([Carried(equity=1_000_000)], RULES), RiskState()
    smallest, gained = smallest_worst_case_usd(RULES), Decimal(0)

    for number, results in enumerate(days):
        session = session_on(MONDAY + timedelta(days=number), number)
        counters.open(session)
        risk = risk.new_session(session.session_date)
        for nth, net in enumerate(results):
            assert counters.may_enter() == [not risk_reasons(risk, LAW, smallest)]
            assert counters.budget == [cents_of(budget_usd(risk, LAW))]
            if not counters.may_enter():
                break
            at = session.opens_at + timedelta(minutes=40 * nth)
            counters.book(ONE, [played(at, net)], session)
            risk = risk.entered(at).closed(Decimal(net) / 100)
            gained += Decimal(net) / 100
            ends_at = cooldown_ends_at(risk, LAW)
            assert ends_at is not None
            assert counters.rests_until_us == [int(ends_at.timestamp()) * 1_000_000]
        counters = Counters([counters.carried(0)], RULES)
        assert counters.equity == [1_000_000 + cents_of(gained)]


def test_a_desk_that_has_lost_everything_enters_no_more() -> None:
    counters = Counters([Carried(equity=100)], RULES)
    session = session_on(MONDAY, 0)
    counters.open(session)
    assert counters.may_enter()

    counters.book(ONE, [played(session.opens_at, -200)], session)

    assert not counters.may_enter()
    assert counters.is_ruined
