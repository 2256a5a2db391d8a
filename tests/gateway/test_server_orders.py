"""What becomes of orders that an unmodified ib_insync sends, one rule of the gateway at a time."""

from datetime import datetime
from decimal import Decimal

import pytest
from hand_fed import Desk, play
from ib_insync import ExecutionFilter, Order

from engine.exchange import FaultKind
from engine.units import Side
from pipelines.gateway.order_terms import day_end


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


def test_cancelling_an_entry_takes_its_children_along() -> None:
    async def scene(desk: Desk) -> None:
        entry = await desk.place("BUY", "LMT", 4999.0, transmit=False, orderRef="entry")
        await desk.place("SELL", "STP", 4990.0, parentId=entry.order.orderId, orderRef="stop")
        desk.ib.cancelOrder(entry.order)
        await desk.settle()

        assert desk.statuses == {"entry": "Cancelled", "stop": "Cancelled"}
        assert sorted(code for _, code in desk.errors) == [202, 202]

    play(scene)


def test_orders_of_one_group_cancel_each_other() -> None:
    async def scene(desk: Desk) -> None:
        for ref, price in (("a", 4999.0), ("b", 4998.0)):
            await desk.place("BUY", "LMT", price, ocaGroup="g", ocaType=1, orderRef=ref)
        desk.gateway.bar(0, 0, -5, -5)
        await desk.settle()

        assert desk.statuses == {"a": "Filled", "b": "Cancelled"}

    play(scene)


def test_a_cancel_that_cannot_be_is_answered_with_the_reason() -> None:
    async def scene(desk: Desk) -> None:
        filled = await desk.place("BUY", "MKT")
        desk.ib.client.cancelOrder(filled.order.orderId)
        desk.ib.client.cancelOrder(4711)
        await desk.settle()

        assert desk.errors == [(filled.order.orderId, 10148), (4711, 10147)]

    play(scene)


def test_a_global_cancel_ends_the_orders_of_every_client() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "LMT", 4990.0, orderRef="own")
        other = await desk.gateway.connect(8)
        other.placeOrder(
            desk.contract, Order(action="BUY", orderType="LMT", totalQuantity=1, lmtPrice=4980)
        )
        await other.reqCurrentTimeAsync()
        other.reqGlobalCancel()
        await other.reqCurrentTimeAsync()

        assert desk.gateway.venue.books.working == []
        other.disconnect()

    play(scene)


def test_orders_of_others_are_seen_only_by_asking_for_all() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "LMT", 4990.0, orderRef="own")
        other = await desk.gateway.connect(8)

        assert await other.reqOpenOrdersAsync() == []
        (seen,) = await other.reqAllOpenOrdersAsync()
        assert (seen.order.orderRef, seen.order.clientId) == ("own", 7)
        other.disconnect()

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


def test_a_good_till_date_ends_an_order_in_market_time() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place(
            "BUY", "LMT", 4990.0, tif="GTD", goodTillDate="20240305 09:30:20 US/Eastern"
        )
        desk.gateway.bar(0, 0, 0, 0)
        desk.gateway.bar(0, 0, 0, 0)
        assert len(desk.gateway.venue.books.working) == 1

        desk.gateway.bar(0, 0, 0, 0)
        await desk.settle()

        assert desk.gateway.venue.books.working == []
        assert [code for _, code in desk.errors] == [202]

    play(scene)


@pytest.mark.parametrize(
    ("placed", "ends"),
    [
        ("2024-03-05T14:30+00:00", "2024-03-05T22:00+00:00"),
        ("2024-03-05T22:00+00:00", "2024-03-06T22:00+00:00"),
        ("2024-03-08T23:00+00:00", "2024-03-09T22:00+00:00"),
        ("2024-03-09T23:00+00:00", "2024-03-10T21:00+00:00"),
    ],
)
def test_the_trading_day_ends_at_five_in_new_york(placed: str, ends: str) -> None:
    assert day_end(datetime.fromisoformat(placed)) == datetime.fromisoformat(ends)


def test_a_day_order_ends_with_the_trading_day() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "LMT", 4990.0, tif="DAY")
        desk.gateway.pass_time(7 * 3600 + 29 * 60 + 50)
        assert len(desk.gateway.venue.books.working) == 1

        desk.gateway.pass_time(5)

        assert desk.gateway.venue.books.working == []

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


def test_a_fill_in_parts_is_told_part_by_part() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.venue.exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
        trade = await desk.place("BUY", "MKT", totalQuantity=3)
        while not trade.isDone():
            assert trade.orderStatus.status == "Submitted"
            desk.gateway.bar(4, 4, 4, 4)
            await desk.settle()

        shares = [fill.execution.shares for fill in trade.fills]
        assert (len(shares) > 1, sum(shares)) == (True, 3)
        assert [fill.execution.cumQty for fill in trade.fills][-1] == 3
        paid = sum(fill.execution.shares * fill.execution.price for fill in trade.fills)
        assert trade.orderStatus.avgFillPrice == pytest.approx(paid / 3)

    play(scene)


def test_a_fill_after_a_cancel_is_told_and_the_exchange_is_right() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.venue.exchange.switch(FaultKind.FILL_AFTER_CANCEL, 1.0)
        trade = await desk.place("BUY", "LMT", 4999.5)
        desk.ib.cancelOrder(trade.order)
        await desk.settle()
        assert trade.orderStatus.status == "Cancelled"

        desk.gateway.bar(0, 0, -4, -4)
        await desk.settle()

        assert [fill.execution.shares for fill in desk.ib.fills()] == [1]
        assert [fill.execution.orderRef for fill in desk.ib.fills()] == [""]
        assert desk.gateway.venue.books.holding.quantity == 1
        (completed,) = desk.gateway.venue.books.completed_today()
        assert completed.status == "Filled"

    play(scene)


def test_executions_are_those_of_today_that_pass_the_filter() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "MKT", orderRef="a")
        desk.gateway.bar(0, 0, 0, 0)
        await desk.place("SELL", "MKT", orderRef="b")

        async def refs(**words: object) -> list[str]:
            fills = await desk.ib.reqExecutionsAsync(ExecutionFilter(**words))
            return [fill.execution.orderRef for fill in fills]

        assert await refs() == ["a", "b"]
        assert await refs(side="SELL") == ["b"]
        assert await refs(clientId=8) == []
        assert await refs(time="20240305 09:30:08") == ["b"]

        desk.gateway.pass_time(24 * 3600)
        assert await refs() == []

    play(scene)


def test_a_trade_by_another_hand_is_an_execution_of_nobodys_order() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.venue.trade_by_hand(Side.SHORT, 2, 20_000)
        await desk.settle()

        assert [(p.position, p.avgCost) for p in desk.ib.positions()] == [(-2, 24_999.38)]
        (fill,) = await desk.ib.reqExecutionsAsync()
        assert (fill.execution.permId, fill.execution.shares) == (0, 2)

    play(scene)


def test_an_order_by_another_hand_is_seen_by_asking_for_all() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.server.desk.place_by_hand(Side.LONG, 1, 19_000)

        assert await desk.ib.reqOpenOrdersAsync() == []
        (seen,) = await desk.ib.reqAllOpenOrdersAsync()
        assert (seen.order.clientId, seen.order.orderRef, seen.order.lmtPrice) == (0, "", 4750.0)

    play(scene)


def test_profit_and_fees_are_those_of_the_exchange_to_the_cent() -> None:
    async def scene(desk: Desk) -> None:
        gateway = desk.gateway
        for action, lots, price in (("BUY", 2, 3), ("SELL", 3, 9), ("SELL", 1, -4), ("BUY", 1, 2)):
            gateway.bar(price, price, price, price)
            await desk.place(action, "MKT", totalQuantity=lots)
        gateway.bar(7, 7, 7, 7)

        holding, account = gateway.venue.books.holding, gateway.venue.exchange.account
        value_usd = gateway.market.instrument.to_usd(20_007)
        profit = holding.realized_usd + holding.unrealized_usd(value_usd)
        assert holding.quantity == -1
        assert account(gateway.market.at).equity_usd == Decimal(10_000) + profit

    play(scene)
