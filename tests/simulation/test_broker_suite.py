"""What the desk may expect of every broker: one suite of behaviours, run against each adapter."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from broker_benches import (
    ADAPTERS,
    PROTECTION_STOP,
    PROTECTION_TARGET,
    Bench,
    Follower,
    opened,
    placed,
    working,
)
from exchange_tables import (
    ENTRY,
    FEE,
    FLAT,
    STOP,
    TARGET,
    bracket,
    cancel,
    flatten,
    instant,
    move_stop,
    refs,
)

from engine.broker import (
    BrokerSnapshot,
    CompletedOrder,
    ConnectionState,
    OrderEvent,
    OrderKind,
    OrderReported,
    PlaceProtection,
    QueryBroker,
)
from engine.errors import BrokerUnreachable, DuplicateOrderRef
from engine.orders import OrderState, next_state
from engine.units import Side
from pipelines.brokers.dispatch import carry_out, take_stock


@pytest.fixture(params=sorted(ADAPTERS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = ADAPTERS[request.param]()
    yield made
    made.close()


def test_a_bracket_is_accepted_and_its_children_wait_for_the_entry(bench: Bench) -> None:
    follower = placed(bench)

    assert follower.bracket_states() == (OrderState.WORKING,) * 3
    assert {ref: order.is_held for ref, order in working(bench).items()} == {
        ENTRY: False,
        STOP: True,
        TARGET: True,
    }
    assert list(bench.broker.positions()) == []


def test_a_filled_entry_opens_a_position_that_both_children_guard(bench: Bench) -> None:
    follower = opened(bench)

    assert follower.bracket_states() == (OrderState.FILLED, OrderState.WORKING, OrderState.WORKING)
    assert follower.position == 1
    assert [p.quantity for p in bench.broker.positions()] == [1]
    stop, target = working(bench)[STOP], working(bench)[TARGET]
    assert (stop.side, stop.kind, stop.quantity, stop.price_ticks, stop.is_held) == (
        Side.SHORT,
        OrderKind.STOP_MARKET,
        1,
        94,
        False,
    )
    assert (target.side, target.kind, target.quantity, target.price_ticks, target.is_held) == (
        Side.SHORT,
        OrderKind.LIMIT,
        1,
        108,
        False,
    )


def test_a_target_that_fills_cancels_the_stop(bench: Bench) -> None:
    follower = opened(bench)

    bench.play(2, 101, 110, 101, 109)
    follower.listen()

    assert follower.bracket_states() == (OrderState.FILLED, OrderState.CANCELLED, OrderState.FILLED)
    assert follower.position == 0
    assert working(bench) == {}
    assert [e.price_ticks for e in follower.executions.values()] == [100, 108]


def test_a_stop_that_fills_cancels_the_target(bench: Bench) -> None:
    follower = opened(bench)

    bench.play(2, 100, 101, 92, 93)
    follower.listen()

    assert follower.bracket_states() == (OrderState.FILLED, OrderState.FILLED, OrderState.CANCELLED)
    assert follower.position == 0


def test_a_cancelled_entry_takes_its_children_along(bench: Bench) -> None:
    follower = placed(bench, entry=97)

    bench.broker.cancel(cancel(ENTRY))
    follower.states[ENTRY] = next_state(follower.states[ENTRY], OrderEvent.CANCEL_REQUESTED)
    follower.listen()
    bench.play(1, 100, 102, 90, 95)
    follower.listen()

    assert follower.bracket_states() == (OrderState.CANCELLED,) * 3
    assert working(bench) == {}
    assert follower.executions == {}


def test_an_entry_expires_at_the_end_of_its_life(bench: Bench) -> None:
    follower = placed(bench, entry=97)

    bench.play(1, 100, 102, 99, 101)
    bench.play(2, 101, 103, 100, 102)
    follower.listen()

    assert follower.states[ENTRY] is OrderState.EXPIRED
    assert working(bench) == {}


def test_a_replaced_stop_is_listed_and_trades_at_its_new_price(bench: Bench) -> None:
    follower = opened(bench)

    bench.broker.replace(move_stop(STOP, 99))
    follower.listen()
    listed = working(bench)[STOP]
    bench.play(2, 101, 102, 98, 100)
    follower.listen()

    assert (listed.price_ticks, listed.quantity) == (99, 1)
    assert follower.bracket_states() == (OrderState.FILLED, OrderState.FILLED, OrderState.CANCELLED)
    assert [e.price_ticks for e in follower.executions.values()] == [100, 99]


def test_flatten_cancels_everything_and_closes_at_market(bench: Bench) -> None:
    follower = opened(bench)

    bench.broker.flatten(flatten())
    follower.sent(FLAT).listen()
    bench.play(2, 103, 104, 102, 103)
    follower.listen()

    assert follower.bracket_states()[1:] == (OrderState.CANCELLED, OrderState.CANCELLED)
    assert follower.states[FLAT] is OrderState.FILLED
    assert follower.position == 0
    assert list(bench.broker.positions()) == []
    assert working(bench) == {}


def test_flatten_while_flat_ends_without_a_trade(bench: Bench) -> None:
    follower = Follower(bench)

    bench.broker.flatten(flatten())
    follower.sent(FLAT).listen()
    bench.play(1, 103, 104, 102, 103)
    follower.listen()

    assert follower.states[FLAT] is OrderState.CANCELLED
    assert follower.executions == {}


def test_a_missing_child_can_be_replaced_by_a_protection(bench: Bench) -> None:
    follower = opened(bench)
    for ref in (STOP, TARGET):
        bench.broker.cancel(cancel(ref))
    follower.listen()

    bench.broker.place_protection(
        PlaceProtection(
            symbol="MES",
            side=Side.LONG,
            quantity=1,
            stop_ref=PROTECTION_STOP,
            stop_ticks=95,
            target_ref=PROTECTION_TARGET,
            target_ticks=108,
        )
    )
    follower.sent(PROTECTION_STOP, PROTECTION_TARGET).listen()
    listed = set(working(bench))
    bench.play(2, 100, 101, 93, 94)
    follower.listen()

    assert listed == {PROTECTION_STOP, PROTECTION_TARGET}
    assert follower.states[PROTECTION_STOP] is OrderState.FILLED
    assert follower.states[PROTECTION_TARGET] is OrderState.CANCELLED
    assert follower.position == 0


def test_a_ref_is_never_taken_twice(bench: Bench) -> None:
    follower = opened(bench)

    with pytest.raises(DuplicateOrderRef, match=ENTRY):
        bench.broker.place_bracket(bracket(100, 94, 108, sent=2))
    follower.listen()

    assert follower.bracket_states() == (OrderState.FILLED, OrderState.WORKING, OrderState.WORKING)
    assert [order.quantity for order in bench.broker.open_orders()] == [1, 1]


def test_a_reject_is_a_report_with_a_reason(bench: Bench) -> None:
    bench.broker.place_bracket(bracket(100, 94, 108, quantity=0))
    follower = Follower(bench).sent(ENTRY, STOP, TARGET).listen()

    assert follower.bracket_states() == (OrderState.REJECTED,) * 3
    assert all(r.text for r in follower.heard if isinstance(r, OrderReported))


def test_asking_to_cancel_what_has_filled_does_not_unfill_it(bench: Bench) -> None:
    follower = opened(bench)

    bench.broker.cancel(cancel(ENTRY))
    follower.listen()

    assert follower.states[ENTRY] is OrderState.FILLED
    assert follower.position == 1


def test_asking_to_cancel_what_nobody_knows_is_not_a_reject(bench: Bench) -> None:
    unknown = refs("nobody")[0]

    bench.broker.cancel(cancel(unknown))
    follower = Follower(bench).sent(unknown).listen()

    assert follower.states[unknown] is OrderState.UNKNOWN


def test_every_execution_has_its_own_id_and_its_commission(bench: Bench) -> None:
    follower = opened(bench)
    bench.play(2, 101, 110, 101, 109)
    follower.listen()

    assert len(follower.executions) == 2
    assert follower.commissions == dict.fromkeys(follower.executions, FEE)
    assert list(bench.broker.executions(instant(0))) == list(follower.executions.values())


def test_executions_can_be_asked_from_an_instant_on(bench: Bench) -> None:
    opened(bench)
    bench.play(2, 101, 110, 101, 109)

    later = bench.broker.executions(instant(2))

    assert [e.ref for e in later] == [TARGET]


def test_the_account_knows_its_money_to_the_cent(bench: Bench) -> None:
    opened(bench)
    bench.play(2, 101, 110, 101, 109)
    bench.settle()

    account = bench.broker.account()

    assert account.equity_usd == 5000 + 8 * Decimal("1.25") - 2 * FEE
    assert account.available_funds_usd == account.equity_usd


def test_reports_are_told_once_and_in_aware_time(bench: Bench) -> None:
    follower = opened(bench)

    assert list(bench.broker.reports()) == []
    assert all(r.at.tzinfo is not None for r in follower.heard)


def test_without_a_connection_every_verb_raises_and_no_query_is_empty(bench: Bench) -> None:
    follower = opened(bench)

    bench.lose_connection()
    follower.listen()

    broker = bench.broker
    assert follower.connection is ConnectionState.DOWN
    verbs: list[Callable[[], object]] = [
        broker.account,
        broker.positions,
        broker.open_orders,
        broker.completed_orders,
        lambda: broker.executions(instant(0)),
        lambda: broker.cancel(cancel(STOP)),
        lambda: broker.replace(move_stop(STOP, 95)),
        lambda: broker.flatten(flatten()),
        lambda: broker.place_bracket(bracket(100, 94, 108, name="b")),
        lambda: take_stock(broker, instant(2)),
    ]
    for verb in verbs:
        with pytest.raises(BrokerUnreachable):
            verb()


def test_nothing_refused_for_want_of_a_connection_was_sent(bench: Bench) -> None:
    opened(bench)
    bench.lose_connection()
    with pytest.raises(BrokerUnreachable):
        bench.broker.flatten(flatten())

    bench.restore_connection()

    assert set(working(bench)) == {STOP, TARGET}


def test_after_a_reconnect_the_broker_is_asked_and_knows_what_was_missed(bench: Bench) -> None:
    follower = opened(bench)
    bench.lose_connection()
    bench.play(2, 101, 110, 101, 109)
    follower.listen()
    position_before_asking = follower.position

    bench.restore_connection()
    follower.listen()
    account, snapshot = carry_out(bench.broker, QueryBroker(cause="reconnect"), instant(3))

    assert position_before_asking == 1
    assert follower.connection is ConnectionState.UP
    assert isinstance(snapshot, BrokerSnapshot)
    assert account == bench.broker.account()
    assert (snapshot.positions, snapshot.working) == ((), ())
    assert {e.ref: e.price_ticks for e in snapshot.executions} == {ENTRY: 100, TARGET: 108}
    assert set(snapshot.completed) == {
        CompletedOrder(ref=ENTRY, event=OrderEvent.FILLED),
        CompletedOrder(ref=STOP, event=OrderEvent.CANCELLED),
        CompletedOrder(ref=TARGET, event=OrderEvent.FILLED),
    }


def test_the_native_stop_protects_while_the_connection_is_down(bench: Bench) -> None:
    opened(bench)
    bench.lose_connection()

    bench.play(2, 100, 101, 92, 93)
    bench.restore_connection()

    assert list(bench.broker.positions()) == []
    assert [e.price_ticks for e in bench.broker.executions(instant(0))] == [100, 94]


def test_every_command_reaches_its_verb(bench: Bench) -> None:
    follower = Follower(bench).sent(ENTRY, STOP, TARGET)

    carry_out(bench.broker, bracket(100, 94, 108), instant(1))
    bench.play(1, 100, 102, 99, 101)
    carry_out(bench.broker, move_stop(STOP, 96), instant(2))
    moved = working(bench)[STOP].price_ticks
    carry_out(bench.broker, cancel(TARGET), instant(2))
    left = set(working(bench))
    carry_out(bench.broker, flatten(), instant(2))
    bench.play(2, 101, 102, 100, 101)
    follower.sent(FLAT).listen()

    assert (moved, left) == (96, {STOP})
    assert follower.states[FLAT] is OrderState.FILLED
