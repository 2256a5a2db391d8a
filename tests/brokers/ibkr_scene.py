"""The adapter on a bench, with everything that it told so far."""

from collections.abc import Callable
from typing import TypeVar

from brokers.gateway_bench import GatewayBench, eventually
from exchange_tables import bracket

from engine.broker import (
    BarReported,
    BrokerReport,
    ConnectionReported,
    ConnectionState,
    FeedReported,
    FeedState,
    MarketReport,
    OrderEvent,
    OrderReported,
)
from engine.units import OrderRef
from pipelines.brokers.ibkr import IbkrBroker
from pipelines.gateway.assembly import Gateway
from pipelines.gateway.told import ErrorTold

Told = BrokerReport | MarketReport
Kind = TypeVar("Kind")
UP, DOWN, DATA_LOST = ConnectionState.UP, ConnectionState.DOWN, ConnectionState.DATA_LOST


class Scene:
    """A bench with everything that was told so far."""

    def __init__(self, made: GatewayBench) -> None:
        self.bench = made
        self.gateway = made.gateway
        self.broker: IbkrBroker = made.broker
        self.heard: list[Told] = []

    def begun(self) -> "Scene":
        self.until(lambda: self.connections == [UP], "the first connection is told")
        self.heard.clear()
        return self

    def listen(self) -> "Scene":
        self.bench.settle()
        self.heard += self.broker.told()
        return self

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Listen until something was told."""

        def heard_and_so() -> bool:
            self.heard += self.broker.told()
            return condition()

        eventually(heard_and_so, what)

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [report for report in self.heard if isinstance(report, kind)]

    @property
    def connections(self) -> list[ConnectionState]:
        return [report.state for report in self.of(ConnectionReported)]

    @property
    def feed(self) -> list[FeedState]:
        """States of the feed, without the silence that a hand-moved market has between bars."""
        states = [r.state for r in self.of(FeedReported) if r.state is not FeedState.STALE]
        return [s for n, s in enumerate(states) if n == 0 or states[n - 1] is not s]

    @property
    def bars(self) -> list[BarReported]:
        return self.of(BarReported)

    def events(self, ref: OrderRef) -> list[OrderEvent]:
        return [report.event for report in self.of(OrderReported) if report.ref == ref]

    def place(self, **options: int) -> "Scene":
        self.broker.place_bracket(bracket(options.pop("entry", 100), 94, 108, **options))
        return self.listen()

    def open(self) -> "Scene":
        """Long one from 100."""
        self.place()
        self.bench.play(1, 100, 102, 99, 101)
        return self.listen()

    def working(self) -> set[OrderRef | None]:
        return {order.ref for order in self.broker.open_orders()}

    def at_the_exchange(self) -> int:
        """Orders that work at the gateway, whatever the adapter knows."""
        return int(self.gateway.status()["working_orders"])

    def say(self, ref: OrderRef, code: int, text: str = "words") -> "Scene":
        """Have the gateway tell an error with the id of one of our orders."""

        def say(gateway: Gateway) -> None:
            (order,) = [
                o for o in gateway.venue.books.orders.values() if o.request.order_ref == ref
            ]
            told = ErrorTold(client_id=1, order_id=order.order_id, code=code, text=text)
            gateway.venue.books.outbox.listener(told)

        self.bench.call(say)
        return self.listen()

    def broadcast(self, code: int, text: str) -> "Scene":
        self.bench.call(lambda gateway: gateway.server.broadcast(code, text))
        return self.listen()

    def reconnected(self) -> "Scene":
        before = self.connections.count(UP)
        self.until(lambda: self.connections.count(UP) > before, "the connection is told as up")
        return self
