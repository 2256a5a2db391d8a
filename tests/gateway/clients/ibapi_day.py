"""A short trading day of the unmodified official ibapi: PORT [NEWEST_VERSION]; prints JSON."""
# ruff: noqa: N802, N803 - The names of its callbacks are the library's.

import json
import queue
import sys
import threading
import time
from typing import Any

import ibapi.client
from ibapi.account_summary_tags import AccountSummaryTags
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper

WAIT_SECONDS = 20.0
LAST_BAR_SECOND = 55


class Day(EWrapper, EClient):
    def __init__(self, port: int) -> None:
        EWrapper.__init__(self)
        EClient.__init__(self, wrapper=self)
        self.gateway_port = port
        self.news: queue.Queue[None] = queue.Queue()
        self.forget()
        self.bars: list[list[float]] = []
        self.has_news, self.is_asking = True, False
        self.seen: dict[str, Any] = {"errors": []}

    def forget(self) -> None:
        """What is known of the account is asked for anew on every connection."""
        self.ended: set[str] = set()
        self.next_id: int | None = None
        self.accounts = ""
        self.details: list[Any] = []
        self.history: list[Any] = []
        self.updates: list[Any] = []
        self.quote: dict[int, float] = {}
        self.status: dict[int, list[Any]] = {}
        self.fills: dict[str, list[Any]] = {}
        self.commissions: dict[str, list[float]] = {}
        self.held: dict[str, list[float]] = {}
        self.summary: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.completed: list[list[str]] = []
        self.open: list[str] = []

    # ── What is told ────────────────────────────────────────────────────────────────────────────

    def told(self) -> None:
        self.has_news = True
        self.news.put(None)

    def end(self, what: str) -> None:
        self.ended.add(what)
        self.told()

    def error(self, reqId, errorCode, errorString):
        self.seen["errors"].append([errorCode, errorString])

    def nextValidId(self, orderId):
        self.next_id = orderId
        self.told()

    def managedAccounts(self, accountsList):
        self.accounts = accountsList
        self.told()

    def currentTime(self, time):
        self.is_asking = False
        self.ended.add("time")
        self.news.put(None)

    def contractDetails(self, reqId, contractDetails):
        self.details.append(contractDetails)

    def contractDetailsEnd(self, reqId):
        self.end("details")

    def historicalData(self, reqId, bar):
        self.history.append(bar)

    def historicalDataEnd(self, reqId, start, end):
        self.end("history")

    def historicalDataUpdate(self, reqId, bar):
        self.updates.append(bar)

    def realtimeBar(self, reqId, time, open_, high, low, close, volume, wap, count):
        self.bars.append([time, open_, high, low, close, volume, count])
        if time % 60 == LAST_BAR_SECOND:
            self.told()

    def tickPrice(self, reqId, tickType, price, attrib):
        self.quote[tickType] = price

    def orderStatus(self, orderId, status, filled, remaining, avgFillPrice, *rest):
        self.status[orderId] = [status, filled, avgFillPrice]
        self.told()

    def openOrder(self, orderId, contract, order, orderState):
        self.open.append(order.orderRef)

    def openOrderEnd(self):
        self.end("open")

    def execDetails(self, reqId, contract, execution):
        e = execution
        self.fills[e.execId] = [e.orderRef, e.side, float(e.shares), e.price]
        self.told()

    def execDetailsEnd(self, reqId):
        self.end("executions")

    def commissionReport(self, commissionReport):
        report = commissionReport
        self.commissions[report.execId] = [report.commission, report.realizedPNL]

    def position(self, account, contract, position, avgCost):
        self.held[contract.symbol] = [float(position), avgCost]

    def positionEnd(self):
        self.end("positions")

    def accountSummary(self, reqId, account, tag, value, currency):
        self.summary[tag] = value

    def accountSummaryEnd(self, reqId):
        self.end("summary")

    def updateAccountValue(self, key, val, currency, accountName):
        self.values[key] = val

    def accountDownloadEnd(self, accountName):
        self.end("account")

    def completedOrder(self, contract, order, orderState):
        self.completed.append([order.orderRef, orderState.status])

    def completedOrdersEnd(self):
        self.end("completed")

    # ── What it does ────────────────────────────────────────────────────────────────────────────

    def until(self, is_so, *, going_on: bool = False) -> None:
        stop_at = time.monotonic() + WAIT_SECONDS
        while not is_so():
            if going_on and self.has_news and not self.is_asking:
                self.has_news, self.is_asking = False, True
                self.reqCurrentTime()
            self.news.get(timeout=max(0.0, stop_at - time.monotonic()))

    def answer(self, what: str, ask, *arguments) -> None:
        self.ended.discard(what)
        ask(*arguments)
        self.until(lambda: what in self.ended)

    def go_on_until(self, is_so) -> None:
        self.until(is_so, going_on=True)

    def minutes(self, count: int) -> None:
        self.go_on_until(lambda: len(self.bars) >= 12 * count)

    def live(self) -> dict[str, Any]:
        self.start("first")
        self.answer("time", self.reqCurrentTime)
        self.look_at_the_contract()
        self.subscribe()
        self.trade_a_bracket()
        self.cancel_a_bracket()
        self.hold_a_position()
        self.come_back()
        self.stop()
        self.seen["bars"] = self.bars
        return self.seen

    def start(self, which: str) -> None:
        self.connect("127.0.0.1", self.gateway_port, 7)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.until(lambda: self.next_id is not None and self.accounts)
        self.seen[f"connected_{which}"] = {
            "server_version": self.serverVersion(),
            "accounts": [self.accounts],
        }

    def stop(self) -> None:
        reader = self.reader
        self.disconnect()
        self.thread.join(WAIT_SECONDS)
        reader.join(WAIT_SECONDS)  # Until it ends, the socket is not really closed.

    def look_at_the_contract(self) -> None:
        wanted = Contract()
        wanted.symbol, wanted.secType, wanted.exchange = "MES", "FUT", "CME"
        self.answer("details", self.reqContractDetails, 1, wanted)
        nearest = min(self.details, key=lambda e: e.contract.lastTradeDateOrContractMonth)
        self.contract = nearest.contract
        self.seen["contract"] = {
            "symbol": self.contract.symbol,
            "multiplier": self.contract.multiplier,
            "exchange": self.contract.exchange,
            "expiry": self.contract.lastTradeDateOrContractMonth,
            "min_tick": nearest.minTick,
            "expiries": len(self.details),
        }

    def subscribe(self) -> None:
        self.answer(
            "history", self.reqHistoricalData,
            2, self.contract, "", "1 D", "1 min", "TRADES", 1, 2, True, [],
        )  # fmt: skip
        self.seen["history_bars"] = len(self.history)
        self.seen["history_closes"] = [self.history[0].close, self.history[-1].close]
        self.reqMktData(3, self.contract, "", False, False, [])
        self.reqRealTimeBars(4, self.contract, 5, "TRADES", 0, [])

    def order(self, ref: str, action: str, quantity: int, **fields: Any) -> int:
        order = Order()
        order.orderId, self.next_id = self.next_id, self.next_id + 1
        order.action, order.totalQuantity, order.orderRef = action, quantity, ref
        order.tif, order.account, order.eTradeOnly, order.firmQuoteOnly = (
            "DAY",
            self.accounts,
            False,
            False,
        )
        for name, value in fields.items():
            setattr(order, name, value)
        self.placeOrder(order.orderId, self.contract, order)
        return order.orderId

    def bracket(self, ref: str, limit: float, target: float, stop: float) -> list[int]:
        entry = self.order(
            f"{ref}/entry", "BUY", 2, orderType="LMT", lmtPrice=limit, transmit=False
        )
        child = {"parentId": entry, "ocaGroup": ref, "ocaType": 1}
        return [
            entry,
            self.order(
                f"{ref}/target",
                "SELL",
                2,
                orderType="LMT",
                lmtPrice=target,
                transmit=False,
                **child,
            ),
            self.order(f"{ref}/stop", "SELL", 2, orderType="STP", auxPrice=stop, **child),
        ]

    def is_done(self, order_id: int) -> bool:
        return self.status.get(order_id, [""])[0] in ("Filled", "Cancelled")

    def trade_a_bracket(self) -> None:
        self.minutes(2)
        self.seen["quote"] = [self.quote[1], self.quote[2]]
        legs = self.bracket("one", 5999.0, 6001.0, 5995.0)
        self.go_on_until(lambda: all(self.is_done(leg) for leg in legs))
        self.minutes(6)
        self.seen["bracket"] = {
            ref: {
                "status": self.status[leg][0],
                "filled": float(self.status[leg][1]),
                "average": self.status[leg][2],
                "fills": [fill[1:] for fill in self.fills.values() if fill[0] == ref],
                "commission": sum(
                    self.commissions[i][0] for i, f in self.fills.items() if f[0] == ref
                ),
                "realized": sum(
                    self.commissions[i][1] for i, f in self.fills.items() if f[0] == ref
                ),
            }
            for ref, leg in zip(("one/entry", "one/target", "one/stop"), legs, strict=True)
        }
        newest = {int(bar.date): [bar.close, bar.volume] for bar in self.updates}
        self.seen["history_updated"] = sorted(newest.items())[:5]

    def cancel_a_bracket(self) -> None:
        legs = self.bracket("two", 5950.0, 5970.0, 5940.0)
        self.minutes(7)
        self.cancelOrder(legs[0])
        self.go_on_until(lambda: all(self.is_done(leg) for leg in legs))
        self.seen["cancelled"] = [self.status[leg][0] for leg in legs]

    def hold_a_position(self) -> None:
        order = self.order("three/entry", "BUY", 1, orderType="MKT")
        self.go_on_until(lambda: self.is_done(order))
        self.minutes(10)
        self.seen["market_order"] = [self.status[order][0], float(self.status[order][1])]
        self.answer("positions", self.reqPositions)
        self.seen["positions"] = [[symbol, *held] for symbol, held in self.held.items()]
        self.answer("summary", self.reqAccountSummary, 5, "All", AccountSummaryTags.AllTags)
        self.answer("account", self.reqAccountUpdates, True, self.accounts)
        self.seen["summary"], self.seen["values"] = self.summary, self.values

    def come_back(self) -> None:
        before = set(self.fills)
        self.stop()
        EClient.reset(self)
        self.forget()
        self.start("again")
        self.answer("open", self.reqOpenOrders)
        self.answer("positions", self.reqPositions)
        self.answer("executions", self.reqExecutions, 6, ExecutionFilter())
        self.answer("completed", self.reqCompletedOrders, False)
        self.answer("time", self.reqCurrentTime)
        self.seen["after_reconnect"] = {
            "same_executions": set(self.fills) == before,
            "executions": len(before),
            "refs": sorted({fill[0] for fill in self.fills.values()}),
            "commissions": sorted(report[0] for report in self.commissions.values()),
            "positions": list(self.held.values()),
            "open": self.open,
            "completed": sorted(self.completed),
        }


if __name__ == "__main__":
    if len(sys.argv) > 2:
        ibapi.client.MAX_CLIENT_VER = int(sys.argv[2])
    print(json.dumps(Day(int(sys.argv[1])).live()))
