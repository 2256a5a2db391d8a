"""What IB does to orders, done to the adapter over a real socket."""

import pytest
from exchange_tables import ENTRY, STOP, TARGET, bracket, cancel, move_stop
from ibkr_scene import DOWN, Scene

from engine.broker import (
    CompletedOrder,
    ExecutionReported,
    OrderEvent,
    OrderReported,
    PositionReported,
)
from engine.errors import DuplicateOrderRef
from pipelines.brokers.dispatch import take_stock

# ── Orders that are refused, doubted, or live in spite of a warning ─────────────────────────────


def test_a_reject_is_told_with_code_and_reason(at: Scene) -> None:
    at.gateway.fault("reject")
    at.place()

    assert [at.events(ref) for ref in (ENTRY, STOP, TARGET)] == [[OrderEvent.REJECTED]] * 3
    assert at.of(OrderReported)[0].text.startswith("201: ")


def test_a_read_only_gateway_refuses_orders_by_name(at: Scene) -> None:
    at.gateway.fault("read-only")
    at.place()

    assert at.events(ENTRY) == [OrderEvent.REJECTED]
    assert at.of(OrderReported)[0].text.startswith("321: ")


def test_a_read_only_gateway_does_not_end_what_it_will_not_cancel(at: Scene) -> None:
    at.open()
    at.gateway.fault("read-only")

    at.broker.cancel(cancel(STOP))
    at.listen()

    assert at.events(STOP) == [OrderEvent.ACCEPTED, OrderEvent.LOST_TRACK]
    assert at.working() == {STOP, TARGET}


@pytest.mark.parametrize("code", [399, 404, 10349])
def test_an_order_with_a_warning_lives(at: Scene, code: int) -> None:
    at.gateway.fault("warning", code=code)
    at.place()

    assert at.events(ENTRY) == [OrderEvent.ACCEPTED]
    assert at.working() == {ENTRY, STOP, TARGET}


@pytest.mark.parametrize("code", [103, 104, 105, 110, 161, 321, 354, 387, 10147, 10197, 10311])
def test_a_code_that_the_library_takes_for_an_end_ends_nothing(at: Scene, code: int) -> None:
    at.open()

    at.say(STOP, code)

    assert at.events(STOP) == [OrderEvent.ACCEPTED, OrderEvent.LOST_TRACK]
    assert at.working() == {STOP, TARGET}


def test_an_order_in_doubt_is_found_again_by_asking_and_can_still_be_moved(at: Scene) -> None:
    at.open()
    at.say(STOP, 10311)

    at.working()
    at.broker.replace(move_stop(STOP, 97))
    at.listen()

    assert at.events(STOP) == [OrderEvent.ACCEPTED, OrderEvent.LOST_TRACK, OrderEvent.ACCEPTED]
    assert {o.ref: o.price_ticks for o in at.broker.open_orders()} == {STOP: 97, TARGET: 108}


def test_moving_or_cancelling_what_nobody_knows_makes_the_desk_ask(at: Scene) -> None:
    at.broker.replace(move_stop(STOP, 97))
    at.broker.cancel(cancel(TARGET))
    at.listen()

    assert at.events(STOP) == [OrderEvent.LOST_TRACK]
    assert at.events(TARGET) == [OrderEvent.LOST_TRACK]


# ── Sends whose end nobody heard ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "working"),
    [("disconnect-before-send", 0), ("disconnect-after-send", 3)],
)
def test_a_send_cut_by_the_connection_is_lost_and_then_known_by_asking(
    at: Scene, fault: str, working: int
) -> None:
    at.gateway.fault(fault)
    at.broker.place_bracket(bracket(100, 94, 108))
    at.until(lambda: DOWN in at.connections, "the lost connection is told")
    at.reconnected()

    assert at.events(ENTRY) == [OrderEvent.LOST_TRACK]
    assert len(at.working()) == working
    assert at.at_the_exchange() == working


def test_what_was_sent_before_a_cut_is_never_sent_again(at: Scene) -> None:
    at.gateway.fault("disconnect-after-send")
    at.broker.place_bracket(bracket(100, 94, 108))
    at.until(lambda: DOWN in at.connections, "the lost connection is told")
    at.reconnected()

    with pytest.raises(DuplicateOrderRef, match=ENTRY):
        at.broker.place_bracket(bracket(100, 94, 108))
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert [e.ref for e in at.of(ExecutionReported)] == [ENTRY]


def test_a_fill_that_cuts_the_connection_is_in_the_executions_afterwards(at: Scene) -> None:
    at.place()
    at.gateway.fault("disconnect-mid-fill")
    at.bench.play(1, 100, 102, 99, 101)
    at.reconnected()
    told = [*at.of(ExecutionReported), *at.of(PositionReported)]
    _, snapshot = take_stock(at.broker, at.broker.now())

    assert told == []
    assert [e.ref for e in snapshot.executions] == [ENTRY]
    assert CompletedOrder(ref=ENTRY, event=OrderEvent.FILLED) in snapshot.completed
    assert [p.quantity for p in snapshot.positions] == [1]


def test_a_new_process_knows_the_orders_of_the_last_one_by_their_refs(at: Scene) -> None:
    at.open()
    at.broker.close()
    at.broker = at.bench.broker = at.bench.made()
    at.broker.connect()
    at.heard.clear()

    with pytest.raises(DuplicateOrderRef, match=ENTRY):
        at.broker.place_bracket(bracket(100, 94, 108))
    at.broker.replace(move_stop(STOP, 98))
    at.broker.cancel(cancel(TARGET))
    at.listen()
    moved = {order.ref: order.price_ticks for order in at.broker.open_orders()}
    at.bench.play(2, 100, 101, 97, 98)
    at.listen()

    assert moved == {STOP: 98}
    assert at.events(STOP)[-1] is OrderEvent.FILLED
    assert [e.price_ticks for e in at.of(ExecutionReported)] == [98]
