"""One trade: its table, what a bar asks of it, and a stop that never moves away from profit."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from desk_stage import PRICE, RULES, Stage, at, row
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ImpossibleTransition
from engine.kill import KillState, KillSwitch
from engine.trade import (
    HOLD,
    NEXT_STATE,
    Exit,
    ExitKind,
    Filled,
    Tighten,
    Trade,
    TradeEvent,
    TradeState,
    manage,
    next_state,
)
from engine.units import Side

ENTRY = PRICE + 1
KILLED = KillSwitch(state=KillState.KILLED)


def trade(side: int = 1, **changes: Any) -> Trade:
    """An open K1 trade: entered 1 tick above the close, stop 8, target 12, ATR14 6 ticks."""
    stage = Stage()
    stage.open_session()
    stage.hold(40, side)
    assert stage.state.trade is not None
    return replace(stage.state.trade, **changes)


LONG, SHORT = trade(1), trade(-1)


def asked(held: Trade, bar: Any, *, kill: KillSwitch = KillSwitch(), eqs: float = 1.0) -> object:  # noqa: B008
    return manage(held, bar, kill=kill, eqs=eqs, rules=RULES)


@pytest.mark.parametrize("state", TradeState)
@pytest.mark.parametrize("event", TradeEvent)
def test_every_pair_is_in_the_table_or_raises_with_both_names(state, event):
    if (state, event) in NEXT_STATE:
        assert next_state(state, event) is NEXT_STATE[state, event]
    else:
        with pytest.raises(ImpossibleTransition) as refused:
            next_state(state, event)
        assert state.value in str(refused.value)
        assert event.value in str(refused.value)


def test_nothing_is_asked_of_a_trade_whose_belief_holds():
    assert asked(LONG, row(45)) == HOLD


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"minutes_to_close": 5}, ExitKind.FLATTEN_TIME),
        ({"minutes_to_close": 4}, ExitKind.FLATTEN_TIME),
        ({"f1_long": 0.44}, ExitKind.THESIS),
        ({"f1_long": None}, ExitKind.THESIS),
        ({"f1_short": 0.65}, ExitKind.OPPOSITE_BELIEF),
        ({"dvs": 0.59}, ExitKind.QUALITY),
    ],
)
def test_a_bar_closes_the_trade_for_its_own_reason(changes, kind):
    assert asked(LONG, row(45, **changes)) == Exit(kind=kind)


@pytest.mark.parametrize(("minute", "expected"), [(70, HOLD), (71, Exit(kind=ExitKind.TIME_STOP))])
def test_time_is_over_so_many_minutes_after_the_fill(minute, expected):
    filled = replace(LONG, entry=Filled(at=at(42), price_ticks=ENTRY))

    assert asked(filled, row(minute)) == expected


def test_what_is_asked_first_is_asked_first():
    everything = {"minutes_to_close": 5, "dvs": 0.5, "f1_long": 0.1, "atr_14_ticks": 60.0}

    in_order = [
        asked(LONG, row(45, **everything), kill=KILLED),
        asked(LONG, row(45, **{**everything, "minutes_to_close": 90}), kill=KILLED),
        asked(LONG, row(45, **{**everything, "minutes_to_close": 90})),
        asked(LONG, row(45, **{**everything, "minutes_to_close": 90, "dvs": 1.0})),
    ]

    kinds = [ExitKind.FLATTEN_TIME, ExitKind.KILL, ExitKind.QUALITY, ExitKind.THESIS]
    assert in_order == [Exit(kind=kind) for kind in kinds]


@pytest.mark.parametrize("held", [LONG, SHORT])
def test_volatility_pulls_the_stop_to_one_atr_behind_price(held):
    side = held.plan.side

    calm = asked(held, row(45, held.plan.entry_limit_ticks, atr_14_ticks=10.7))
    wild = asked(held, row(45, held.plan.entry_limit_ticks + side * 6, atr_14_ticks=10.8))

    assert calm == HOLD
    stop = held.plan.entry_limit_ticks + side * 6 - side * 11
    assert wild == Tighten(stop_price_ticks=stop, cause="volatility")


@pytest.mark.parametrize("held", [LONG, SHORT])
def test_at_one_r_the_stop_goes_to_entry_plus_friction(held):
    side, entry = held.plan.side, held.plan.entry_limit_ticks

    below = asked(held, row(45, entry + side * 7))
    reached = asked(held, row(45, entry + side * 8))

    assert below == HOLD
    assert reached == Tighten(stop_price_ticks=entry + side * 2, cause="profit_protection")


def test_doubtful_data_tightens_a_trade_in_profit_to_break_even_and_closes_another():
    in_profit = asked(LONG, row(45, ENTRY + 3, dvs=0.5))
    at_break_even = asked(LONG, row(45, ENTRY + 2, dvs=0.5))
    already_tight = asked(replace(LONG, stop_price_ticks=ENTRY + 2), row(45, ENTRY + 9, dvs=0.5))

    assert in_profit == Tighten(stop_price_ticks=ENTRY + 2, cause="quality")
    assert at_break_even == Exit(kind=ExitKind.QUALITY)
    assert already_tight == HOLD


def test_doubtful_execution_counts_like_doubtful_data():
    assert asked(LONG, row(45), eqs=0.59) == Exit(kind=ExitKind.QUALITY)
    assert asked(LONG, row(45), eqs=0.60) == HOLD


def test_of_an_entry_that_has_not_filled_only_flatten_time_and_kill_are_asked():
    pending = replace(LONG, entry=None, state=TradeState.PENDING)
    doubtful = {"dvs": 0.4, "f1_long": 0.0}

    assert asked(pending, row(45, **doubtful)) == HOLD
    assert asked(pending, row(45), kill=KILLED) == Exit(kind=ExitKind.KILL)
    assert asked(pending, row(384)) == Exit(kind=ExitKind.FLATTEN_TIME)


BARS = st.tuples(
    st.integers(-30, 30), st.floats(1.0, 40.0), st.floats(0.0, 1.0), st.floats(0.46, 1.0)
)


@given(st.sampled_from([LONG, SHORT]), st.lists(BARS, max_size=12))
def test_a_stop_only_ever_moves_toward_profit_and_stays_behind_price(held, bars):
    for minute, (moved, atr, dvs, belief) in enumerate(bars, start=45):
        close = held.plan.entry_limit_ticks + moved
        bar = row(minute, close, atr_14_ticks=atr, dvs=dvs, f1_long=belief, f1_short=0.5)

        answer = asked(held, bar)

        if isinstance(answer, Tighten):
            side = held.plan.side
            assert side * (answer.stop_price_ticks - held.stop_price_ticks) > 0
            assert side * (close - answer.stop_price_ticks) > 0
            held = replace(held, stop_price_ticks=answer.stop_price_ticks)


def test_the_path_is_kept_and_the_worst_and_best_are_seen():
    opened_at = at(41)
    held = replace(LONG, entry=Filled(at=opened_at + timedelta(seconds=6), price_ticks=ENTRY))

    held = held.after_bar(opened_at, ENTRY + 50, ENTRY - 50, ENTRY + 1)
    held = held.after_bar(at(42), ENTRY + 5, ENTRY - 3, ENTRY + 2)
    held = held.after_bar(at(43), ENTRY + 4, ENTRY - 1, ENTRY - 1)

    assert held.path_ticks == (1, 2, -1)
    assert (held.mae_ticks, held.mfe_ticks) == (-3, 5)


def test_a_short_gains_when_price_falls():
    assert SHORT.plan.side is Side.SHORT
    assert SHORT.gained_ticks(SHORT.plan.entry_limit_ticks - 4) == 4
