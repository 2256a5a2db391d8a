"""How orders of an unmodified ib_insync end, and who sees them, one rule at a time."""

from datetime import datetime

import pytest
from hand_fed import Desk, play
from ib_insync import Order

from engine.units import Side
from pipelines.gateway.order_terms import day_end


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


def test_an_order_by_another_hand_is_seen_by_asking_for_all() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.server.desk.place_by_hand(Side.LONG, 1, 19_000)

        assert await desk.ib.reqOpenOrdersAsync() == []
        (seen,) = await desk.ib.reqAllOpenOrdersAsync()
        assert (seen.order.clientId, seen.order.orderRef, seen.order.lmtPrice) == (0, "", 4750.0)

    play(scene)
