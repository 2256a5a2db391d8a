"""The step on a tick of the clock."""

from itertools import pairwise

from desk_cases import person
from desk_stage import PRICE, row, snapshot, told, working

from engine.broker import CancelOrder, FlattenPosition, OrderEvent, OrderKind, QueryBroker
from engine.desk import OperatorVerb
from engine.kill import KillCause, KillState
from engine.orders import OrderState
from engine.trade import ExitKind
from engine.units import Side


def test_a_tick_leaves_a_record_only_where_it_brought_something_about(stage):
    stage.hold()
    before = len(stage.entries)

    nothing = stage.tick(41.2)
    in_between = stage.entries[before:]
    (asked,) = stage.tick(42.5)

    assert (nothing, in_between) == ([], [])
    assert asked == QueryBroker(cause="routine")
    assert [str(entry.kind) for entry in stage.entries[before:]] == ["clock", "intent"]


def test_where_no_bar_comes_at_the_flatten_time_the_clock_flattens(stage):
    stage.hold()
    stage.tell(row(41))
    late = 385 + 10 / 60

    early = stage.tick(late - 1 / 60)
    asked = stage.tick(late)

    assert not [each for each in early if isinstance(each, FlattenPosition)]
    assert [each for each in asked if isinstance(each, FlattenPosition)]
    assert stage.state.kill.is_running
    assert stage.state.trade.exit_kind is ExitKind.FLATTEN_TIME


def test_an_entry_that_works_at_the_flatten_time_is_ended_by_the_clock(stage):
    bracket = stage.enter(383)

    asked = stage.tick(385.2)

    entry = stage.state.orders.find(bracket.entry_ref)
    assert entry.state is OrderState.CANCELLING
    assert [each for each in asked if isinstance(each, FlattenPosition)]


def test_a_clock_that_went_back_keeps_no_desk_from_asking_and_flattening(stage):
    bracket = stage.hold()
    (asked,) = stage.tick(45)
    stage.tell(person(OperatorVerb.FLATTEN, 45.1))
    first = stage.commands[-1]
    stage.tell(told(first.ref, OrderEvent.REJECTED, 45.2))

    again = stage.tell(person(OperatorVerb.FLATTEN, 43))

    assert asked == QueryBroker(cause="routine")
    assert [type(each) for each in again if each != asked] == [FlattenPosition]
    assert stage.state.orders.find(bracket.stop_ref).state is OrderState.CANCELLING


def test_a_cancel_that_nobody_answers_is_not_repeated_with_every_tick_and_ends_in_a_kill(stage):
    bracket = stage.enter()
    still = [working(bracket.entry_ref, Side.LONG, PRICE, OrderKind.LIMIT)]
    cancels, minute = [], 42.5
    while minute < 44.5 and stage.state.kill.is_running:
        minute += 0.2 / 60
        for command in stage.tick(minute):
            if command == CancelOrder(ref=bracket.entry_ref):
                cancels.append(minute)
            elif isinstance(command, QueryBroker):
                stage.tell(snapshot(minute, working=still))

    running_until = stage.state.kill.state
    stage.tell(row(43))

    between = [later - earlier for earlier, later in pairwise(cancels)]
    assert (running_until, stage.state.kill.cause) == (
        KillState.RUNNING,
        KillCause.EXECUTION_QUALITY,
    )
    assert 2 <= len(cancels) <= 12
    assert min(between) > 9.9 / 60
