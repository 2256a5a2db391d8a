"""Each adapter with a hand on its market, and a follower who believes what it reports."""

import os
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from brokers.gateway_bench import GatewayBench
from exchange_tables import ENTRY, MES, STOP, TARGET, bar, bracket, instant, settings

from engine.broker import (
    Broker,
    BrokerReport,
    CommissionReported,
    ConnectionReported,
    ConnectionState,
    ExecutionReported,
    OrderEvent,
    OrderReported,
    PositionReported,
    WorkingOrder,
)
from engine.exchange import ExchangeBar
from engine.orders import OrderState, next_state
from engine.units import OrderRef
from pipelines.brokers.exchange_orders import KeptExchange
from pipelines.brokers.ibkr import Library
from pipelines.brokers.simulated_live import SimulatedLiveBroker

IBKR_LIBRARY = Library(os.environ.get("CREDENCE_TEST_IBKR_LIBRARY", Library.IB_INSYNC))
PROTECTION_STOP, PROTECTION_TARGET = OrderRef("p/stop"), OrderRef("p/target")


class Bench(Protocol):
    """An adapter with a hand on the market and on the wire behind it.

    A bench starts flat with $5,000, without slippage or latency, at the close of bar 0. Each method
    returns when its consequences have reached the adapter.
    """

    @property
    def broker(self) -> Broker: ...
    def play(
        self, minute: int, open_ticks: int, high_ticks: int, low_ticks: int, close_ticks: int
    ) -> None: ...
    def settle(self) -> None: ...
    def lose_connection(self) -> None: ...
    def restore_connection(self) -> None: ...
    def close(self) -> None: ...


class HandPlayed(SimulatedLiveBroker):
    """The broker of `--broker simulated`, with bars from a test's hand in place of a tape."""

    def play(self, bar: ExchangeBar) -> None:
        self._now = max(self._now, bar.closes_at)
        self.pass_bar(bar)

    def settle(self) -> None:
        self.pass_time(self._now)


class SimulatedBench:
    def __init__(self) -> None:
        self._kept = KeptExchange(settings())
        self.broker = HandPlayed(self._kept, [], MES, starts_at=instant(1))

    def play(
        self, minute: int, open_ticks: int, high_ticks: int, low_ticks: int, close_ticks: int
    ) -> None:
        self.broker.play(bar(minute, open_ticks, high_ticks, low_ticks, close_ticks))

    def settle(self) -> None:
        self.broker.settle()

    def lose_connection(self) -> None:
        self._kept.exchange.disconnect(self.broker.now())
        self.settle()

    def restore_connection(self) -> None:
        self.broker.connect()

    def close(self) -> None:
        self.broker.close()


ADAPTERS: dict[str, Callable[[], Bench]] = {
    "simulated": SimulatedBench,
    "ibkr": lambda: GatewayBench(IBKR_LIBRARY),
}
"""The adapter for IBKR runs over a loopback socket, in this environment with `ib_insync`."""


class Follower:
    """Folds what a broker reports into what the desk would believe."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.states: dict[OrderRef, OrderState] = {}
        self.executions: dict[str, ExecutionReported] = {}
        self.commissions: dict[str, Decimal] = {}
        self.position = 0
        self.connection = ConnectionState.UP
        self.heard: list[BrokerReport] = []

    def sent(self, *sent_refs: OrderRef) -> "Follower":
        for ref in sent_refs:
            self.states[ref] = next_state(OrderState.CREATED, OrderEvent.SEND)
        return self

    def listen(self) -> "Follower":
        self.bench.settle()
        for report in self.bench.broker.reports():
            self.heard.append(report)
            if isinstance(report, OrderReported):
                known = self.states.get(report.ref, OrderState.CREATED)
                self.states[report.ref] = next_state(known, report.event)
            elif isinstance(report, ExecutionReported):
                self.executions[report.execution_id] = report
            elif isinstance(report, CommissionReported):
                self.commissions[report.execution_id] = report.commission_usd
            elif isinstance(report, PositionReported):
                self.position = report.quantity
            elif isinstance(report, ConnectionReported):
                self.connection = report.state
        return self

    def bracket_states(self) -> tuple[OrderState, ...]:
        return tuple(self.states[ref] for ref in (ENTRY, STOP, TARGET))


def placed(bench: Bench, *, entry: int = 100) -> Follower:
    """A long bracket at the broker: stop 94, target 108."""
    bench.broker.place_bracket(bracket(entry, 94, 108))
    return Follower(bench).sent(ENTRY, STOP, TARGET).listen()


def opened(bench: Bench) -> Follower:
    """Long one from 100, the bracket's children working."""
    follower = placed(bench)
    bench.play(1, 100, 102, 99, 101)
    return follower.listen()


def working(bench: Bench) -> dict[OrderRef | None, WorkingOrder]:
    return {order.ref: order for order in bench.broker.open_orders()}
