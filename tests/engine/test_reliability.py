"""How a template loses trust, and that it can always win it back."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import load_rules
from engine.errors import InputRefused
from engine.learning.reliability import (
    Reliability,
    Result,
    Trigger,
    Trust,
    learn,
    learn_all,
    standing,
)

RULES = load_rules("MES").learning.reliability
NEW = Reliability(template="K1")
DAY = date(2025, 1, 2)


def real(net_r: float) -> Result:
    return Result(session_date=DAY, net_r=net_r)


def shadow(net_r: float) -> Result:
    return Result(session_date=DAY, net_r=net_r, is_shadow=True)


def after(*results: Result, start: Reliability = NEW) -> Reliability:
    return learn_all(start, results, RULES)[0]


def test_a_template_begins_active() -> None:
    assert NEW.trust is Trust.ACTIVE
    assert standing(NEW, RULES).modifier == 1.0


def test_two_losses_in_a_row_quarantine() -> None:
    state, changes = learn_all(NEW, [real(2), real(-1), real(-1)], RULES)

    assert state.trust is Trust.QUARANTINED
    assert state.trigger is Trigger.LOSSES_IN_A_ROW
    assert standing(state, RULES).is_quarantined
    assert [change.after for change in changes] == [Trust.QUARANTINED]
    assert changes[0].text == (
        "K1: quarantined for losses in a row (3 results, 33% won, +0.00 R each)"
    )


def test_five_results_that_lose_on_average_quarantine() -> None:
    state = after(real(0.1), real(-1), real(0.1), real(-1), real(0.1))

    assert state.trigger is Trigger.EXPECTANCY


def test_ten_results_of_which_too_few_win_quarantine() -> None:
    won_rarely = [real(net_r) for net_r in (3, -1, -1, 3, -1, -1, 3, -1, -1, -1)]
    kind = replace(RULES, losses_in_a_row=5)

    state, _ = learn_all(NEW, won_rarely, kind)

    assert state.trigger is Trigger.WIN_RATE


@pytest.mark.parametrize(
    ("wins", "trust", "modifier"),
    [
        (1, Trust.THROTTLED_HARD, 1.5),
        (2, Trust.ACTIVE, 1.0),
    ],
)
def test_a_low_win_rate_over_five_results_throttles(
    wins: int, trust: Trust, modifier: float
) -> None:
    kind = replace(RULES, losses_in_a_row=5)
    results = [real(9)] * wins + [real(-1)] * (5 - wins)

    state, _ = learn_all(NEW, results, kind)

    assert state.trust is trust
    assert standing(state, kind).modifier == modifier


def test_a_win_rate_between_the_two_throttles_a_little() -> None:
    kind = replace(RULES, losses_in_a_row=9)
    results = [real(9), real(9), *[real(-1)] * 4]

    state, _ = learn_all(NEW, results, kind)

    assert state.trust is Trust.THROTTLED
    assert standing(state, kind).modifier == 1.2


def test_two_shadow_wins_bring_it_back_on_probation_and_two_real_ones_to_full_trust() -> None:
    quarantined = after(real(2), real(2), real(-1), real(-1))

    back = after(shadow(1), shadow(1), start=quarantined)
    first = after(real(1), start=back)
    second = after(real(1), start=first)

    assert quarantined.is_quarantined
    assert back.trust is Trust.PROBATION
    assert standing(back, RULES).modifier == 1.2
    assert first.trust is Trust.PROBATION
    assert second.trust is Trust.ACTIVE


def test_two_losses_on_probation_quarantine_again() -> None:
    back = after(real(2), real(2), real(-1), real(-1), shadow(1), shadow(1))

    state = after(real(-1), real(-1), start=back)

    assert back.trust is Trust.PROBATION
    assert state.is_quarantined


def test_a_shadow_loss_begins_the_count_of_shadow_wins_anew() -> None:
    quarantined = after(real(9), real(-1), real(-1))

    state = after(shadow(1), shadow(-1), shadow(1), start=quarantined)

    assert state.is_quarantined
    assert state.shadow_wins == 1


def test_shadow_wins_alone_do_not_end_a_quarantine_whose_trigger_still_holds() -> None:
    quarantined = after(*[real(-1), real(0.2)] * 2, real(-1))

    state = after(shadow(0.1), shadow(0.1), start=quarantined)

    assert quarantined.trigger is Trigger.EXPECTANCY
    assert state.is_quarantined


def test_shadow_results_of_a_template_that_trades_are_refused() -> None:
    with pytest.raises(InputRefused, match="expected shadow results only in quarantine"):
        learn(NEW, shadow(1), RULES)


def results(*, is_shadow: st.SearchStrategy[bool]) -> st.SearchStrategy[Result]:
    net_r = st.floats(-3, 3).map(lambda value: round(value, 2))
    return st.builds(Result, session_date=st.just(DAY), net_r=net_r, is_shadow=is_shadow)


HISTORIES = st.lists(results(is_shadow=st.booleans()), max_size=80)


@given(history=HISTORIES)
def test_no_history_leaves_a_template_quarantined_for_ever(history: list[Result]) -> None:
    state = after(*history)

    healed = after(*[shadow(0.01)] * RULES.window, start=state)

    assert not healed.is_quarantined


def test_the_law_of_recovery_sees_a_window_that_stands_still() -> None:
    quarantined = after(*[real(-1)] * 10)

    deaf = quarantined
    for _ in range(RULES.window):
        heard = after(shadow(0.01), start=deaf)
        deaf = replace(heard, window=quarantined.window, trust=Trust.QUARANTINED)

    assert after(shadow(0.01), start=deaf).is_quarantined


@given(history=HISTORIES)
def test_learning_never_makes_anything_cheaper_than_it_was_without(history: list[Result]) -> None:
    told = standing(after(*history), RULES)

    assert told.modifier >= 1.0


@given(history=HISTORIES, cut=st.integers(0, 80))
def test_learning_in_two_nights_is_learning_in_one(history: list[Result], cut: int) -> None:
    whole, changes = learn_all(NEW, history, RULES)

    half, first = learn_all(NEW, history[:cut], RULES)
    rest, second = learn_all(half, history[cut:], RULES)

    assert rest == whole
    assert first + second == changes


@given(history=HISTORIES)
def test_every_change_is_told_and_leads_from_one_trust_to_the_next(history: list[Result]) -> None:
    state, changes = learn_all(NEW, history, RULES)

    trusts = [Trust.ACTIVE, *(change.after for change in changes)]
    assert [change.before for change in changes] == trusts[:-1]
    assert trusts[-1] is state.trust
