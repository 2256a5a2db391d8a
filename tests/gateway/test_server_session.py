"""One whole paper session of an unmodified ib_insync against the gateway, market fed by hand."""

import asyncio

from hand_fed import OPENS_AT, HandFedGateway, mes, opened, until
from ib_insync import IB, Contract, LimitOrder, StopOrder, Trade


def bracket(ib: IB, contract: Contract, *, limit: float, stop: float, target: float) -> list[Trade]:
    """A long bracket of one lot whose orders carry refs and are transmitted with the last."""
    first = ib.client.getReqId()
    common = {"tif": "GTC", "outsideRth": True}
    orders = [
        LimitOrder("BUY", 1, limit, orderId=first, transmit=False, orderRef="d/1/entry", **common),
        StopOrder("SELL", 1, stop, parentId=first, transmit=False, orderRef="d/1/stop", **common),
        LimitOrder("SELL", 1, target, parentId=first, orderRef="d/1/target", **common),
    ]
    return [ib.placeOrder(contract, order) for order in orders]


def test_an_unmodified_client_lives_through_a_whole_session() -> None:
    async def live() -> None:
        async with opened() as gateway:
            gateway.bar(0, 2, -2, 1)
            gateway.bar(1, 3, 0, 2)
            ib = await gateway.connect()

            (contract,) = await ib.qualifyContractsAsync(mes())
            assert (contract.conId, contract.localSymbol) == (600_202_403, "MESH4")
            bars = await ib.reqHistoricalDataAsync(
                contract, "", "1 D", "5 secs", "TRADES", useRTH=True, formatDate=2
            )
            assert [(bar.open, bar.close, bar.volume) for bar in bars] == [
                (5000.0, 5000.25, 10.0),
                (5000.25, 5000.5, 10.0),
            ]
            assert bars[0].date == OPENS_AT
            told = ib.reqRealTimeBars(contract, 5, "TRADES", False)
            await ib.reqCurrentTimeAsync()

            gateway.bar(2, 4, 1, 3)
            await until(lambda: len(told) == 1, told.updateEvent)
            assert (told[0].time, told[0].open_, told[0].close) == (
                bars[1].date + (bars[1].date - bars[0].date),
                5000.5,
                5000.75,
            )

            entry, stop, target = bracket(ib, contract, limit=5000.0, stop=4998.0, target=5002.0)
            await until(lambda: target.orderStatus.status == "PreSubmitted", target.statusEvent)
            assert entry.orderStatus.status == "Submitted"
            assert stop.orderStatus.whyHeld == "child,trigger"

            gateway.bar(3, 3, -1, 0)
            await until(lambda: bool(entry.fills), ib.updateEvent)
            await until(lambda: stop.orderStatus.whyHeld == "trigger", ib.updateEvent)
            assert target.orderStatus.status == "Submitted"
            await until(lambda: bool(ib.positions()), ib.updateEvent)
            assert [(p.position, p.avgCost) for p in ib.positions()] == [(1.0, 25_000.62)]

            gateway.bar(0, 9, 0, 9)
            await until(stop.isDone, ib.updateEvent)
            assert (target.orderStatus.status, stop.orderStatus.status) == ("Filled", "Cancelled")
            opened_by, closed_by = (fill.commissionReport for fill in ib.fills())
            assert (opened_by.commission, closed_by.commission) == (0.62, 0.62)
            assert closed_by.realizedPNL == 8.76
            await until(lambda: not ib.positions(), ib.updateEvent)
            await _reconnects(gateway, ib)

    asyncio.run(live())


async def _reconnects(gateway: HandFedGateway, ib: IB) -> None:
    ib.disconnect()
    again = await gateway.connect()

    assert [fill.execution.orderRef for fill in again.fills()] == ["d/1/entry", "d/1/target"]
    ended = {trade.order.orderRef: trade.orderStatus.status for trade in again.trades()}
    assert ended == {"d/1/entry": "Filled", "d/1/stop": "Cancelled", "d/1/target": "Filled"}
    assert again.client.getReqId() >= 4
    values = {value.tag: value.value for value in again.accountValues() if value.currency == "USD"}
    assert values["NetLiquidation"] == "10008.76"
    again.disconnect()
