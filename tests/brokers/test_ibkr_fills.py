"""Fills, statuses and fees as IB tells them: late, twice, in parts, or made by another hand."""

from brokers.gateway_bench import bench, parts_of
from exchange_tables import ENTRY, FLAT, STOP, TARGET, bracket, cancel, flatten, instant
from ibkr_scene import Scene

from engine.broker import CommissionReported, ExecutionReported, OrderEvent, PositionReported
from engine.orders import OrderState

# ── Statuses, executions and commissions out of order ───────────────────────────────────────────


def test_partial_fills_are_told_one_by_one_and_make_the_whole(at: Scene) -> None:
    at.gateway.fault("partial", rate=1.0)
    at.place(quantity=2)
    at.bench.tell(parts_of(1, 100, 100, 95, 95)[0])
    (left,) = [o.quantity for o in at.broker.open_orders() if o.ref == ENTRY]
    at.bench.play(2, 100, 102, 95, 101)
    at.listen()

    assert left == 1
    entries = [e for e in at.of(ExecutionReported) if e.ref == ENTRY]
    assert [e.quantity for e in entries] == [1, 1]
    assert at.events(ENTRY) == [
        OrderEvent.ACCEPTED,
        OrderEvent.PARTIALLY_FILLED,
        OrderEvent.FILLED,
    ]


def test_a_status_told_twice_is_told_once(at: Scene) -> None:
    at.gateway.fault("dup-status")
    at.open()

    assert at.events(ENTRY) == [OrderEvent.ACCEPTED, OrderEvent.FILLED]
    assert len(at.of(ExecutionReported)) == 1


def test_fills_are_told_although_every_status_is_lost(at: Scene) -> None:
    at.gateway.fault("lost-status")
    at.open()

    assert at.events(ENTRY)[-1] is OrderEvent.FILLED
    assert [p.quantity for p in at.of(PositionReported)] == [1]


def test_an_answer_that_comes_late_changes_nothing_but_the_time(at: Scene) -> None:
    at.gateway.fault("late-ack", seconds=30)
    at.place(entry=97)
    early = at.events(ENTRY)
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert early == []
    assert at.events(ENTRY) == [OrderEvent.ACCEPTED]


def test_a_commission_that_comes_late_is_told_when_it_comes(at: Scene) -> None:
    at.gateway.fault("no-commission")
    at.open()
    before = at.of(CommissionReported)

    at.gateway.fault("no-commission", "off")
    at.bench.play(2, 101, 102, 100, 101)
    at.listen()

    (execution,) = at.of(ExecutionReported)
    assert before == []
    assert [c.execution_id for c in at.of(CommissionReported)] == [execution.execution_id]


def test_a_fill_after_a_cancel_is_told_because_the_exchange_is_right(at: Scene) -> None:
    at.gateway.fault("fill-after-cancel", rate=1.0)
    at.place()
    at.broker.cancel(cancel(ENTRY))
    at.listen()
    ended = at.events(ENTRY)[-1]
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert ended is OrderEvent.CANCELLED
    assert at.events(ENTRY)[-1] is OrderEvent.FILLED
    assert [e.ref for e in at.of(ExecutionReported)] == [ENTRY]


def test_an_order_we_took_for_ended_is_cancelled_when_the_desk_asks_for_it(at: Scene) -> None:
    at.place(entry=97)
    at.broker._orders.by_ref[ENTRY].state = OrderState.REJECTED

    at.broker.cancel(cancel(ENTRY))
    at.listen()

    assert at.at_the_exchange() == 0


def test_a_cancel_that_is_never_answered_leaves_the_order_working_and_can_be_asked_again(
    at: Scene,
) -> None:
    at.place(entry=97)
    at.gateway.fault("cancel-unanswered")
    at.broker.cancel(cancel(ENTRY))
    at.listen()
    unanswered, working = at.events(ENTRY), at.working()

    at.gateway.fault("cancel-unanswered", "off")
    at.broker.cancel(cancel(ENTRY))
    at.listen()

    assert unanswered == [OrderEvent.ACCEPTED]
    assert working == {ENTRY, STOP, TARGET}
    assert at.events(ENTRY) == [OrderEvent.ACCEPTED, OrderEvent.CANCELLED]


def test_executions_of_an_earlier_day_are_gone_and_the_position_is_not(at: Scene) -> None:
    at.open()
    at.bench.jump(instant(24 * 60 + 5))
    yesterday = instant(0)

    assert list(at.broker.executions(yesterday)) == []
    assert [p.quantity for p in at.broker.positions()] == [1]


# ── By another hand ─────────────────────────────────────────────────────────────────────────────


def test_a_position_that_somebody_else_opened_is_told(at: Scene) -> None:
    at.bench.play(1, 100, 102, 99, 101)
    at.gateway.fault("foreign-position", quantity=2)
    at.listen()

    assert [p.quantity for p in at.of(PositionReported)] == [2]
    assert [p.quantity for p in at.broker.positions()] == [2]


def test_an_order_that_somebody_else_placed_is_listed_without_a_ref() -> None:
    with bench(price_ticks=20_000) as made:
        made.play(1, 20_000, 20_002, 19_999, 20_001)
        made.gateway.fault("unknown-order")

        (listed,) = made.broker.open_orders()

    assert listed.ref is None
    assert listed.symbol == "MES"


def test_flatten_ends_the_orders_and_the_position_of_another_hand_too() -> None:
    with bench(price_ticks=20_000) as made:
        at = Scene(made)
        at.broker.place_bracket(bracket(20_000, 19_994, 20_008))
        at.bench.play(1, 20_000, 20_002, 19_999, 20_001)
        at.gateway.fault("foreign-position", quantity=2)
        at.gateway.fault("unknown-order")
        before = at.listen().at_the_exchange()

        at.broker.flatten(flatten())
        at.bench.play(2, 20_001, 20_002, 20_000, 20_001)
        at.listen()

        assert before == 3
        assert [e.quantity for e in at.of(ExecutionReported) if e.ref == FLAT] == [3]
        assert list(at.broker.positions()) == []
        assert at.at_the_exchange() == 0


def test_a_margin_call_is_seen_in_the_funds(at: Scene) -> None:
    at.open()
    at.gateway.fault("margin-call")

    funds = at.broker.account().available_funds_usd

    assert funds is not None
    assert funds < 0
