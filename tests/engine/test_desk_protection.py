"""The step between fills: a stop that is missing, a position that is not what it was."""

from dataclasses import replace

from desk_cases import connection, kill_cause, kinds_of
from desk_stage import PRICE, RULES, at, fill, row, setup, snapshot, told, working

from engine.broker import (
    CancelOrder,
    ConnectionState,
    OrderEvent,
    OrderKind,
    PlaceProtection,
    PositionReported,
    QueryBroker,
    ReplaceStop,
)
from engine.desk import CommandFailed, Desk
from engine.execution_quality import Trouble
from engine.kill import KillCause
from engine.orders import OrderState
from engine.units import Side


def test_a_missing_stop_is_put_back_once_the_broker_confirms_it(stage):
    bracket = stage.hold()

    asked = stage.tell(told(bracket.stop_ref, OrderEvent.CANCELLED, 42))
    repaired = stage.tell(snapshot(42.01, position=1, executions=stage.state.ledger.executions))

    assert asked == [QueryBroker(cause="no stop is alive")]
    protection = repaired[0]
    assert isinstance(protection, PlaceProtection)
    assert (protection.stop_ref, protection.stop_ticks) == (
        "2024-03-05/MES-1511/stop-2",
        bracket.stop_ticks,
    )
    assert stage.state.unprotected_since == at(42)  # The new one may be refused as well.
    stage.tell(told(protection.stop_ref, OrderEvent.ACCEPTED, 42.02))
    assert stage.state.unprotected_since is None


def test_a_second_stop_is_not_sent_while_the_first_is_on_its_way(stage):
    bracket = stage.hold()
    stage.tell(told(bracket.stop_ref, OrderEvent.CANCELLED, 42))
    fills = stage.state.ledger.executions
    stage.tell(snapshot(42.01, position=1, executions=fills))

    again = stage.tell(snapshot(42.03, position=1, executions=fills))

    assert again == []


def test_stops_that_are_refused_again_and_again_cost_quality_and_kill_within_the_bound(stage):
    bracket = stage.hold()
    fills = stage.state.ledger.executions
    second = 1 / 60
    asked = stage.tell(
        told(bracket.stop_ref, OrderEvent.REJECTED, 42),
        told(bracket.target_ref, OrderEvent.CANCELLED, 42),
    )
    refused, minute = 0, 42.0
    while not stage.state.kill.is_killed and minute < 43:
        minute += second / 2
        for command in [*asked, *stage.tick(minute)]:
            if isinstance(command, QueryBroker):
                asked = stage.tell(snapshot(minute, position=1, executions=fills))
            elif isinstance(command, PlaceProtection):
                refused += 1
                asked = stage.tell(
                    told(command.stop_ref, OrderEvent.REJECTED, minute),
                    told(command.target_ref, OrderEvent.REJECTED, minute),
                )

    assert kill_cause(stage) is KillCause.UNPROTECTED_POSITION
    assert minute - 42 < 7 * second
    assert "FlattenPosition" in kinds_of(stage.commands)
    rejects = [each for each in stage.facts("TroubleNoted") if each.trouble is Trouble.REJECT]
    assert len(rejects) == 1 + refused  # The bracket's own stop, and each protection once.


def test_an_entry_that_fills_between_two_parts_of_an_answer_gets_no_second_stop(stage):
    bracket = stage.enter()
    held = {"is_held": True}
    listed = [
        working(bracket.entry_ref, Side.LONG, bracket.entry_limit_ticks, OrderKind.LIMIT),
        working(bracket.stop_ref, Side.SHORT, bracket.stop_ticks, OrderKind.STOP_MARKET, **held),
        working(bracket.target_ref, Side.SHORT, bracket.target_ticks, OrderKind.LIMIT, **held),
    ]
    filled = fill(bracket.entry_ref, Side.LONG, bracket.entry_limit_ticks, 41.56)

    first = stage.tell(snapshot(41.56, position=1, working=listed, executions=[filled]))
    active = [replace(each, is_held=False) for each in listed[1:]]
    second = stage.tell(snapshot(41.58, position=1, working=active, executions=[filled]))

    assert first == [QueryBroker(cause="a filled order works")]
    assert second == []
    assert stage.state.kill.is_running


def test_a_position_without_a_stop_for_too_long_kills(stage):
    bracket = stage.hold()
    stage.tell(told(bracket.stop_ref, OrderEvent.CANCELLED, 42))

    stage.tick(42 + 5 / 60)
    before = kill_cause(stage)
    asked = stage.tick(42 + 5.1 / 60)

    assert before is None
    assert kill_cause(stage) is KillCause.UNPROTECTED_POSITION
    assert "FlattenPosition" in kinds_of(asked)


def test_a_stop_at_another_price_is_moved_to_where_it_belongs(stage):
    bracket = stage.hold()
    wrong = working(bracket.stop_ref, Side.SHORT, PRICE - 30, OrderKind.STOP_MARKET)

    asked = stage.tell(
        snapshot(45, position=1, working=[wrong], executions=stage.state.ledger.executions)
    )

    assert ReplaceStop(ref=bracket.stop_ref, stop_ticks=bracket.stop_ticks) in asked


def test_an_orphaned_child_is_cancelled(stage):
    bracket = stage.hold()
    stage.tell(fill(bracket.target_ref, Side.SHORT, PRICE + 13, 44, name="x.2.01"))
    orphan = working(bracket.stop_ref, Side.SHORT, PRICE - 7, OrderKind.STOP_MARKET)

    asked = stage.tell(snapshot(45, working=[orphan], executions=stage.state.ledger.executions))

    assert asked == [CancelOrder(ref=bracket.stop_ref)]
    assert kill_cause(stage) is None


def test_while_something_is_open_the_broker_is_asked_every_thirty_seconds(stage):
    stage.hold()

    asked = {minute: kinds_of(stage.tick(minute)) for minute in (41.4, 41.52)}

    assert asked == {41.4: [], 41.52: ["QueryBroker"]}


def test_a_question_without_an_answer_is_asked_again_by_a_desk_that_believes_it_is_flat(stage):
    stage.tell(PositionReported(at=at(30), symbol="MES", quantity=1))
    assert not stage.state.is_exposed

    asked = {minute: stage.tick(minute) for minute in (30.1, 30.2, 30.3, 30.4)}

    again = [QueryBroker(cause="the position differs")]
    assert asked == {30.1: [], 30.2: again, 30.3: [], 30.4: again}


def test_a_flat_desk_leaves_no_trace_of_the_clock_until_it_is_time_to_look(stage):
    stage.tell(snapshot(47))
    before = len(stage.entries)

    asked = {minute: stage.tick(minute) for minute in (50, 51.9)}

    assert asked == {50: [], 51.9: []}
    assert len(stage.entries) == before


def test_a_desk_that_believes_it_is_flat_looks_every_five_minutes_of_the_session(stage):
    stage.tell(snapshot(47))

    asked = {minute: stage.tick(minute) for minute in (52, 52.1)}
    stage.tell(snapshot(52.1))
    late = stage.tick(391)

    assert asked == {52: [QueryBroker(cause="routine")], 52.1: []}
    assert late == []


def test_a_flat_desk_that_is_to_look_oftener_than_one_that_holds_does(stage):
    law = replace(RULES.execution, reconcile_flat_seconds=12)
    stage.desk = Desk(replace(RULES, execution=law))
    stage.tell(snapshot(47))

    asked = {minute: kinds_of(stage.tick(minute)) for minute in (47.1, 47.2)}

    assert law.reconcile_seconds > law.reconcile_flat_seconds
    assert asked == {47.1: [], 47.2: ["QueryBroker"]}


def test_past_the_flatten_time_a_flat_desk_looks_as_often_as_one_that_holds(stage):
    stage.tell(snapshot(384))

    asked = {minute: kinds_of(stage.tick(minute)) for minute in (384.9, 385)}
    stage.tell(snapshot(385))
    again = {minute: kinds_of(stage.tick(minute)) for minute in (385.4, 385.5)}

    assert asked == {384.9: [], 385: ["QueryBroker"]}
    assert again == {385.4: [], 385.5: ["QueryBroker"]}


def test_a_position_whose_report_was_lost_is_found_by_a_flat_desk(stage):
    strange = fill("hand-1", Side.LONG, PRICE, 20, name="x.9.01")

    asked = stage.tick(20.1)
    found = stage.tell(snapshot(20.11, position=1, executions=[strange]))

    assert asked == [QueryBroker(cause="routine")]
    assert kill_cause(stage) is KillCause.UNEXPECTED_POSITION
    assert "FlattenPosition" in kinds_of(found)


def test_the_connection_coming_back_is_followed_by_a_question(stage):
    stage.tell(connection(ConnectionState.DOWN, 30))

    asked = stage.tell(connection(ConnectionState.UP, 31))

    assert asked == [QueryBroker(cause="reconnected")]


def test_an_order_never_acknowledged_is_lost_and_asked_for(stage):
    stage.tell(row(40, PRICE, setup()))
    bracket = stage.tell(snapshot(41.01))[0]

    asked = stage.tick(41.6)

    assert stage.state.orders.find(bracket.entry_ref).state is OrderState.UNKNOWN
    assert QueryBroker(cause="routine") in asked


def test_what_surely_never_left_is_not_waited_for(stage):
    stage.tell(row(40, PRICE, setup()))
    bracket = stage.tell(snapshot(41.01))[0]
    refs = (bracket.entry_ref, bracket.stop_ref, bracket.target_ref)

    stage.tell(CommandFailed(at=at(41.02), refs=refs, text="the link is down"))

    assert stage.state.trade is None
    assert not stage.state.is_exposed
