"""How orders of an unmodified ib_insync are placed, changed and refused, one rule at a time."""

import pytest
from hand_fed import Desk, play
from ib_insync import Order

from engine.units import Side


def test_a_market_order_trades_at_the_standing_quote_at_once() -> None:
    async def scene(desk: Desk) -> None:
        trade = await desk.place("BUY", "MKT")

        assert trade.orderStatus.status == "Filled"
        assert trade.orderStatus.avgFillPrice == 5000.25
        assert trade.fills[0].execution.time.isoformat() == "2024-03-05T14:30:05+00:00"

    play(scene)


def test_a_resting_limit_waits_for_the_market_to_trade_through_it() -> None:
    async def scene(desk: Desk) -> None:
        trade = await desk.place("BUY", "LMT", 4999.5)
        desk.gateway.bar(0, 0, -2, 0)
        await desk.settle()
        assert trade.orderStatus.status == "Submitted"

        desk.gateway.bar(0, 0, -3, 0)
        await desk.settle()
        assert (trade.orderStatus.status, trade.orderStatus.avgFillPrice) == ("Filled", 4999.5)

    play(scene)


def test_a_live_order_is_changed_under_its_own_id() -> None:
    async def scene(desk: Desk) -> None:
        trade = await desk.place("SELL", "STP", 4990.0, orderRef="s")
        trade.order.auxPrice = 4999.0
        trade.order.totalQuantity = 2
        desk.ib.placeOrder(desk.contract, trade.order)
        await desk.settle()
        (listed,) = await desk.ib.reqOpenOrdersAsync()
        assert (listed.order.auxPrice, listed.order.totalQuantity) == (4999.0, 2)
        assert listed.order.permId == 1_500_000_001

        desk.gateway.bar(0, 0, -4, -4)
        await desk.settle()
        assert (trade.orderStatus.status, trade.orderStatus.filled) == ("Filled", 2)

    play(scene)


def test_a_change_of_side_or_kind_is_no_change_and_the_order_stays() -> None:
    async def scene(desk: Desk) -> None:
        trade = await desk.place("BUY", "LMT", 4990.0)
        desk.ib.client.placeOrder(
            trade.order.orderId,
            desk.contract,
            Order(action="SELL", orderType="LMT", totalQuantity=1, lmtPrice=5010, tif="GTC"),
        )
        await desk.settle()

        assert desk.errors == [(trade.order.orderId, 105)]
        assert [order.side for order in desk.gateway.venue.books.working] == [Side.LONG]

    play(scene)


def test_an_id_is_not_used_twice() -> None:
    async def scene(desk: Desk) -> None:
        filled = await desk.place("BUY", "MKT")
        cancelled = await desk.place("BUY", "LMT", 4990.0)
        desk.ib.cancelOrder(cancelled.order)
        await desk.settle()
        desk.errors.clear()

        for trade in (filled, cancelled):
            desk.ib.client.placeOrder(trade.order.orderId, desk.contract, trade.order)
        other = Order(action="SELL", orderType="MKT", totalQuantity=1, tif="GTC")
        desk.ib.client.placeOrder(filled.order.orderId, desk.contract, other)
        await desk.settle()

        filled_id, cancelled_id = filled.order.orderId, cancelled.order.orderId
        assert desk.errors == [(filled_id, 104), (cancelled_id, 103), (filled_id, 103)]
        assert desk.gateway.venue.books.holding.quantity == 1

    play(scene)


def test_untransmitted_orders_wait_for_the_last_of_their_family() -> None:
    async def scene(desk: Desk) -> None:
        entry = await desk.place("BUY", "LMT", 4999.0, transmit=False, orderRef="entry")
        parent_id = entry.order.orderId
        await desk.place("SELL", "STP", 4990.0, parentId=parent_id, transmit=False, orderRef="stop")
        assert desk.gateway.venue.books.working == []

        await desk.place("SELL", "LMT", 5010.0, parentId=parent_id, orderRef="target")

        assert desk.statuses == {
            "entry": "Submitted",
            "stop": "PreSubmitted",
            "target": "PreSubmitted",
        }

    play(scene)


def test_what_was_never_transmitted_is_gone_with_its_client() -> None:
    async def scene(desk: Desk) -> None:
        entry = await desk.place("BUY", "LMT", 4999.0, transmit=False)
        desk.ib.disconnect()
        again = Desk(desk.gateway, await desk.gateway.connect(), desk.contract)

        child = await again.place("SELL", "STP", 4990.0, parentId=entry.order.orderId)

        assert again.errors == [(child.order.orderId, 10006)]
        assert desk.gateway.venue.books.orders == {}
        again.ib.disconnect()

    play(scene)


def test_a_child_without_its_parent_is_refused() -> None:
    async def scene(desk: Desk) -> None:
        trade = await desk.place("SELL", "STP", 4990.0, parentId=99)

        assert desk.errors == [(trade.order.orderId, 10006)]
        assert desk.gateway.venue.books.orders == {}

    play(scene)


def test_the_next_order_id_is_the_clients_own_and_survives_a_reconnect() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "LMT", 4990.0, orderId=41)
        desk.ib.disconnect()
        again, other = await desk.gateway.connect(), await desk.gateway.connect(8)

        assert again.client.getReqId() >= 42
        assert other.client.getReqId() < 20
        again.disconnect()
        other.disconnect()

    play(scene)


@pytest.mark.parametrize(
    ("kind", "price", "words", "code"),
    [
        ("LMT", 5000.1, {}, 110),
        ("LMT", 5000.0, {"totalQuantity": 0}, 434),
        ("LMT", 5000.0, {"totalQuantity": 1.5}, 10243),
        ("LMT", 5000.0, {"totalQuantity": 20_000}, 383),
        ("LMT", 2_000_000.0, {}, 109),
        ("LMT", 5000.0, {"lmtPrice": 0.0}, 321),
        ("LMT", 5000.0, {"side": "HOLD"}, 321),
        ("LMT", 5000.0, {"account": "U1"}, 321),
        ("LMT", 5000.0, {"algoStrategy": "Adaptive"}, 321),
        ("LMT", 5000.0, {"tif": "FOK"}, 10052),
        ("LMT", 5000.0, {"tif": "GTD", "goodTillDate": "soon"}, 343),
        ("LMT", 5000.0, {"tif": "GTD", "goodTillDate": "20240305 09:00:00"}, 201),
        ("TRAIL", 0.0, {}, 387),
        ("MKT", 0.0, {"totalQuantity": 6}, 201),
    ],
)
def test_what_cannot_be_placed_is_refused_with_the_code_of_ib(
    kind: str, price: float, words: dict[str, object], code: int
) -> None:
    async def scene(desk: Desk) -> None:
        side = str(words.pop("side", "BUY"))
        trade = await desk.place(side, kind, price, **words)

        assert desk.errors == [(trade.order.orderId, code)]
        assert desk.gateway.venue.books.working == []
        assert desk.gateway.venue.books.holding.quantity == 0

    play(scene)


def test_no_more_than_fifteen_orders_work_on_one_side() -> None:
    async def scene(desk: Desk) -> None:
        for _ in range(16):
            last = await desk.place("BUY", "LMT", 4990.0)
        await desk.place("SELL", "LMT", 5010.0)

        assert desk.errors == [(last.order.orderId, 201)]
        assert len(desk.gateway.venue.books.working) == 16

    play(scene)


def test_a_what_if_order_is_answered_and_not_placed() -> None:
    async def scene(desk: Desk) -> None:
        order = Order(action="BUY", orderType="MKT", totalQuantity=2, tif="DAY")
        state = await desk.ib.whatIfOrderAsync(desk.contract, order)

        assert (state.initMarginChange, state.commission) == ("4000", 1.24)
        assert desk.gateway.venue.books.orders == {}

    play(scene)
