"""The simulated exchange behind the broker port."""

from collections.abc import Sequence
from datetime import datetime

from engine.broker import (
    AccountReported,
    BrokerReport,
    BrokerSnapshot,
    CancelOrder,
    Command,
    CompletedOrder,
    ExecutionReported,
    FlattenPosition,
    PlaceBracket,
    PlaceProtection,
    PositionReported,
    ReplaceStop,
    WorkingOrder,
)
from engine.exchange import Exchange, ExchangeBar


class SimulatedBroker:
    """A `Broker` over an `Exchange`; time comes with the bars and instants it is told.

    Every verb answers at once. A verb raises `BrokerUnreachable` while the link is down, a query
    `BrokerTimeout` when its answer got lost, an order `DuplicateOrderRef` for a ref used before.
    After `connect` nothing missed is told again; it has to be asked for.
    """

    def __init__(self, exchange: Exchange, *, starts_at: datetime) -> None:
        self.exchange = exchange
        self.now = starts_at
        self._inbox: list[BrokerReport] = []

    # ── The market and the clock ────────────────────────────────────────────────────────────────

    def on_bar(self, bar: ExchangeBar) -> None:
        """Let one bar pass at the exchange."""
        self.now = max(self.now, bar.closes_at)
        self._inbox += self.exchange.on_bar(bar)

    def on_quote(self, at: datetime, bid_ticks: int, ask_ticks: int) -> None:
        """Let one quote pass at the exchange."""
        self.now = max(self.now, at)
        self._inbox += self.exchange.on_quote(at, bid_ticks, ask_ticks)

    def advance(self, at: datetime) -> None:
        """Let time pass without a price."""
        self.now = max(self.now, at)
        self._inbox += self.exchange.advance(self.now)

    def connect(self) -> None:
        """Restore the link, if it is down; orders and executions at the exchange lived on."""
        self._inbox += self.exchange.reconnect(self.now)

    # ── The port ────────────────────────────────────────────────────────────────────────────────

    def account(self) -> AccountReported:
        return self.exchange.query("account", self.now)[0]

    def positions(self) -> Sequence[PositionReported]:
        return self._ask("positions").positions

    def open_orders(self) -> Sequence[WorkingOrder]:
        return self._ask("open orders").working

    def executions(self, since: datetime) -> Sequence[ExecutionReported]:
        """Executions from an instant on, of the current UTC day at most, as real brokers answer."""
        return tuple(e for e in self._ask("executions").executions if e.at >= since)

    def completed_orders(self) -> Sequence[CompletedOrder]:
        return self._ask("completed orders").completed

    def place_bracket(self, intent: PlaceBracket) -> None:
        self._send(intent)

    def place_protection(self, intent: PlaceProtection) -> None:
        self._send(intent)

    def replace(self, change: ReplaceStop) -> None:
        self._send(change)

    def cancel(self, cancel: CancelOrder) -> None:
        self._send(cancel)

    def flatten(self, flatten: FlattenPosition) -> None:
        self._send(flatten)

    def reports(self) -> Sequence[BrokerReport]:
        told, self._inbox = self._inbox, []
        return told

    def _send(self, command: Command) -> None:
        self._inbox += self.exchange.submit(command, self.now)

    def _ask(self, cause: str) -> BrokerSnapshot:
        return self.exchange.query(cause, self.now)[1]
