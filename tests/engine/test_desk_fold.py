"""The state of the desk is the fold of its journal."""

from decimal import Decimal
from functools import reduce
from typing import Any

from desk_cases import connection
from desk_stage import PRICE, RULES, Stage, account, at, fill, row, setup, snapshot, told

from engine.broker import CommissionReported, ConnectionState, OrderEvent
from engine.desk import EMPTY, DeskState, SessionClosed, apply, fact_of, fold
from engine.units import OrderRef, Side


def eventful() -> Stage:
    """A session with most of what can happen, ending in a kill and a resume."""
    stage = Stage()
    stage.open_session()
    stage.tell(row(39), row(40, dvs=0.7))
    bracket = stage.hold(41)
    stage.tell(row(42, PRICE + 9), row(43, PRICE + 6))
    stage.tell(fill(bracket.stop_ref, Side.SHORT, PRICE + 3, 44.5, name="x.2.01"))
    stage.tell(
        told(bracket.target_ref, OrderEvent.CANCELLED, 44.5),
        CommissionReported(at=at(44.6), execution_id="x.1.01", commission_usd=Decimal("0.6")),
        account("4999.50", "4999.50", 44.7),
        connection(ConnectionState.DOWN, 60),
        connection(ConnectionState.UP, 61),
        snapshot(61.1, executions=stage.state.ledger.executions),
        *(row(minute) for minute in range(62, 330)),
    )
    second = stage.enter(330, -1)
    stage.tell(told(second.stop_ref, OrderEvent.CANCELLED, 331.2))
    stage.tell(fill(second.entry_ref, Side.SHORT, PRICE, 331.3, name="x.3.01"))
    stage.tick(331.5)
    stage.tick(331.9)
    stage.tell(SessionClosed(at=at(395), position=-1, equity_usd=Decimal(5000)))
    return stage


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
