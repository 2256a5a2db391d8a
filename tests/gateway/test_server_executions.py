"""What an unmodified ib_insync is told of fills, fees and the trades of others."""

from decimal import Decimal

import pytest
from hand_fed import Desk, play
from ib_insync import ExecutionFilter

from engine.exchange import FaultKind
from engine.units import Side


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
