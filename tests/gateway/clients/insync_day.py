"""A short trading day of an unmodified ib_insync or ib_async: MODULE PORT [NEWEST_VERSION].

Prints one JSON object with everything it was told. It asks for the time whenever it has nothing
left to do, which is how a client keeps a gateway at full speed waiting no longer than it must.
"""

import asyncio
import importlib
import json
import sys
from types import ModuleType
from typing import Any

WAIT_SECONDS = 20.0
LAST_BAR_SECOND = 55


class Day:
    def __init__(self, api: ModuleType, port: int) -> None:
        self.api = api
        self.port = port
        self.ib = api.IB()
        self.seen: dict[str, Any] = {"errors": []}
        self.bars: list[list[float]] = []
        self.news = asyncio.Event()
        self.ib.errorEvent += lambda _id, code, text, *_rest: self.seen["errors"].append(
            [code, text]
        )
        self.ib.orderStatusEvent += lambda *_told: self.news.set()
        self.ib.positionEvent += lambda *_told: self.news.set()

    async def go_on_until(self, is_so) -> None:
        async def wait() -> None:
            while not is_so():
                self.news.clear()
                await self.ib.reqCurrentTimeAsync()
                if not is_so():
                    await self.news.wait()

        await asyncio.wait_for(wait(), WAIT_SECONDS)

    async def minutes(self, count: int) -> None:
        await self.go_on_until(lambda: len(self.bars) >= 12 * count)

    async def live(self) -> dict[str, Any]:
        await self.connect("first")
        await self.ib.reqCurrentTimeAsync()
        await self.look_at_the_contract()
        await self.subscribe()
        await self.trade_a_bracket()
        await self.cancel_a_bracket()
        await self.hold_a_position()
        await self.come_back()
        self.ib.disconnect()
        return self.seen

    async def connect(self, which: str) -> None:
        await self.ib.connectAsync("127.0.0.1", self.port, clientId=7, timeout=WAIT_SECONDS)
        self.seen[f"connected_{which}"] = {
            "server_version": self.ib.client.serverVersion(),
            "accounts": self.ib.managedAccounts(),
        }

    async def look_at_the_contract(self) -> None:
        found = await self.ib.reqContractDetailsAsync(self.api.Future("MES", exchange="CME"))
        nearest = min(found, key=lambda each: each.contract.lastTradeDateOrContractMonth)
        self.contract = nearest.contract
        self.seen["contract"] = {
            "symbol": self.contract.symbol,
            "multiplier": self.contract.multiplier,
            "exchange": self.contract.exchange,
            "expiry": self.contract.lastTradeDateOrContractMonth,
            "min_tick": nearest.minTick,
            "expiries": len(found),
        }

    async def subscribe(self) -> None:
        history = await self.ib.reqHistoricalDataAsync(
            self.contract, "", "1 D", "1 min", "TRADES", True, 2, True
        )
        self.history = history
        self.seen["history_closes"] = [history[0].close, history[-1].close]
        self.seen["history_bars"] = len(history)
        self.ticker = self.ib.reqMktData(self.contract)
        told = self.ib.reqRealTimeBars(self.contract, 5, "TRADES", False)
        told.updateEvent += self.on_bar

    def on_bar(self, bars: Any, _has_new: bool) -> None:
        bar = bars[-1]
        self.bars.append(
            [bar.time.timestamp(), bar.open_, bar.high, bar.low, bar.close, bar.volume, bar.count]
        )
        if bar.time.second == LAST_BAR_SECOND:
            self.news.set()

    def bracket(self, ref: str, prices: tuple[float, float, float]) -> list[Any]:
        legs = self.ib.bracketOrder("BUY", 2, *prices, tif="DAY", account=self.account)
        for leg, name in zip(legs, ("entry", "target", "stop"), strict=True):
            leg.orderRef = f"{ref}/{name}"
            if name != "entry":
                leg.ocaGroup, leg.ocaType = ref, 1
        return [self.ib.placeOrder(self.contract, leg) for leg in legs]

    @property
    def account(self) -> str:
        return self.ib.managedAccounts()[0]

    async def trade_a_bracket(self) -> None:
        await self.minutes(2)
        self.seen["quote"] = [self.ticker.bid, self.ticker.ask]
        entry, target, stop = self.bracket("one", (5999.0, 6001.0, 5995.0))
        await self.go_on_until(lambda: entry.isDone() and self.ib.positions())
        held = self.ib.positions()[0]
        self.seen["held"] = [held.position, held.avgCost]
        await self.go_on_until(lambda: target.isDone() and stop.isDone())
        await self.minutes(6)
        self.seen["bracket"] = {
            trade.order.orderRef: {
                "status": trade.orderStatus.status,
                "filled": trade.orderStatus.filled,
                "average": trade.orderStatus.avgFillPrice,
                "fills": [
                    [f.execution.side, f.execution.shares, f.execution.price] for f in trade.fills
                ],
                "commission": sum(f.commissionReport.commission for f in trade.fills),
                "realized": sum(f.commissionReport.realizedPNL for f in trade.fills),
            }
            for trade in (entry, target, stop)
        }
        newest = [[int(b.date.timestamp()), [b.close, b.volume]] for b in self.history]
        self.seen["history_updated"] = newest[self.seen["history_bars"] :][:5]

    async def cancel_a_bracket(self) -> None:
        trades = self.bracket("two", (5950.0, 5970.0, 5940.0))
        await self.minutes(7)
        self.ib.cancelOrder(trades[0].order)
        await self.go_on_until(lambda: all(trade.isDone() for trade in trades))
        self.seen["cancelled"] = [trade.orderStatus.status for trade in trades]

    async def hold_a_position(self) -> None:
        order = self.api.MarketOrder("BUY", 1, orderRef="three/entry", account=self.account)
        trade = self.ib.placeOrder(self.contract, order)
        await self.go_on_until(trade.isDone)
        await self.minutes(10)
        self.seen["market_order"] = [trade.orderStatus.status, trade.orderStatus.filled]
        self.seen["positions"] = [
            [p.contract.symbol, p.position, p.avgCost] for p in self.ib.positions()
        ]
        summary = await self.ib.accountSummaryAsync()
        self.seen["summary"] = {
            row.tag: row.value for row in summary if row.account == self.account
        }
        self.seen["values"] = {
            row.tag: row.value for row in self.ib.accountValues() if row.currency in ("USD", "")
        }
        self.executions = sorted(fill.execution.execId for fill in self.ib.fills())

    async def come_back(self) -> None:
        self.ib.disconnect()
        await self.connect("again")
        fills = await self.ib.reqExecutionsAsync()
        completed = await self.ib.reqCompletedOrdersAsync(False)
        self.seen["after_reconnect"] = {
            "same_executions": sorted({f.execution.execId for f in fills}) == self.executions,
            "executions": len(self.executions),
            "refs": sorted({f.execution.orderRef for f in fills}),
            "commissions": sorted(f.commissionReport.commission for f in self.ib.fills()),
            "positions": [[p.position, p.avgCost] for p in self.ib.positions()],
            "open": [trade.order.orderRef for trade in self.ib.openTrades()],
            "completed": sorted(
                [trade.order.orderRef, trade.orderStatus.status] for trade in completed
            ),
        }
        self.seen["bars"] = self.bars


async def main() -> None:
    module, port, *newest = sys.argv[1:]
    day = Day(importlib.import_module(module), int(port))
    if newest:
        day.ib.client.MaxClientVersion = int(newest[0])
    print(json.dumps(await day.live()))


if __name__ == "__main__":
    asyncio.run(main())
