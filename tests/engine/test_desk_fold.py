"""The state of the desk is the fold of its journal."""

from functools import reduce
from typing import Any

from desk_stage import PRICE, RULES, Stage, fill, row, setup, snapshot, told
from eventful import eventful

from engine.broker import OrderEvent
from engine.desk import (
    EMPTY,
    DeskState,
    apply,
    fact_of,
    fold,
    state_from_json,
    state_to_json,
)
from engine.units import OrderRef, Side

EVENTFUL = eventful()


def test_the_state_is_the_fold_of_the_journal_at_every_input():
    facts = [fact_of(event) for event in EVENTFUL.events()]

    for entries, live in EVENTFUL.states:
        assert fold(facts[:entries], RULES) == live


def test_the_fold_is_associative_over_restarts():
    facts = [fact_of(event) for event in EVENTFUL.events()]
    whole = fold(facts, RULES)

    for cut in range(0, len(facts), 17):
        assert fold(facts[cut:], RULES, fold(facts[:cut], RULES)) == whole


def test_a_state_comes_back_from_its_text_equal_at_every_input():
    for _, live in EVENTFUL.states:
        again = state_from_json(state_to_json(live))
        assert again == live
        assert state_to_json(again) == state_to_json(live)


def test_a_fold_that_forgets_one_fact_is_another_state():
    facts = [fact_of(event) for event in EVENTFUL.events()]
    without_a_fill = [f for f in facts if getattr(f, "execution_id", "") != "x.3.01"]

    planted = reduce(
        lambda state, fact: state if fact is None else _or_same(state, fact), without_a_fill, EMPTY
    )

    assert planted != EVENTFUL.state


def _or_same(state: DeskState, fact: Any) -> DeskState:
    try:
        return apply(state, fact, RULES)
    except Exception:  # noqa: BLE001 - The planted gap may make later facts impossible.
        return state


def test_a_desk_woken_from_its_journal_goes_on_as_if_it_had_never_slept():
    awake, sleepy = Stage(), Stage()
    for stage in (awake, sleepy):
        stage.open_session()
    inputs = [
        row(40, PRICE, setup()),
        snapshot(41.01),
        told(OrderRef("2024-03-05/MES-1511/entry"), OrderEvent.ACCEPTED, 41.02),
        fill(OrderRef("2024-03-05/MES-1511/entry"), Side.LONG, PRICE + 1, 41.1),
        row(41),
        row(42, PRICE + 9),
        fill(OrderRef("2024-03-05/MES-1511/stop"), Side.SHORT, PRICE + 3, 43.5, name="x.2.01"),
        row(43),
    ]

    for happened in inputs:
        awake.tell(happened)
        sleepy.wake()
        sleepy.tell(happened)

    assert sleepy.events() == awake.events()
    assert sleepy.commands == awake.commands
