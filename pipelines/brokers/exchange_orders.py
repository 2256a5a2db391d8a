"""The order half of a live broker whose orders go to an exchange in this process."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import orjson

from engine.broker import (
    AccountReported,
    BrokerReport,
    BrokerSnapshot,
    CancelOrder,
    Command,
    CompletedOrder,
    ExecutionReported,
    FlattenPosition,
    MarketReport,
    PlaceBracket,
    PlaceProtection,
    PositionReported,
    ReplaceStop,
    WorkingOrder,
)
from engine.errors import InputRefused
from engine.exchange import Exchange, ExchangeSettings
from engine.exchange.matching import ExchangeBar


class KeptExchange:
    """An exchange whose state is on disk after every change, so that it outlives its process.

    Without a path it lives in memory alone. Raises `InputRefused` for a file it cannot read.
    """

    def __init__(self, settings: ExchangeSettings, path: Path | None = None) -> None:
        self.path = path
        self.exchange = Exchange(settings)
        self.at: datetime | None = None
        if path is not None and path.is_file():
            try:
                kept = orjson.loads(path.read_bytes())
                self.exchange = Exchange.restore(settings, kept["exchange"])
                self.at = datetime.fromisoformat(kept["at"])
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise InputRefused(
                    f"{path}: expected the state of a simulated exchange, could not read it "
                    f"({error}); remove the file if nothing on it matters any more"
                ) from error

    def keep(self, at: datetime) -> None:
        """Put the state on disk, in one step."""
        self.at = at
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(".tmp")
        aside.write_bytes(
            orjson.dumps({"at": at.isoformat(), "exchange": self.exchange.state()}, default=str)
        )
        aside.replace(self.path)


class ExchangeOrders:
    """The verbs of the port over a `KeptExchange`; `now` tells the time that orders carry."""

    def __init__(self, kept: KeptExchange, now: Callable[[], datetime]) -> None:
        self._kept = kept
        self._exchange = kept.exchange
        self._clock = now
        self._inbox: list[BrokerReport | MarketReport] = []

    def account(self) -> AccountReported:
        return self._exchange.query("account", self._clock())[0]

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
        told = [each for each in self._inbox if isinstance(each, BrokerReport)]
        self._inbox = [each for each in self._inbox if not isinstance(each, BrokerReport)]
        return told

    def told(self) -> Sequence[BrokerReport | MarketReport]:
        """Everything in the order it happened: what a bar did at the exchange, then the bar."""
        told, self._inbox = self._inbox, []
        return told

    def pass_bar(self, bar: ExchangeBar) -> None:
        """Let one bar pass at the exchange; what it led to is in the inbox before the bar is."""
        was_idle = self._exchange.is_idle
        self._inbox += self._exchange.on_bar(bar)
        if not (was_idle and self._exchange.is_idle):
            self._kept.keep(bar.closes_at)

    def pass_time(self, at: datetime) -> None:
        """Let time pass at the exchange without a price."""
        self._inbox += self._exchange.advance(at)

    def _send(self, command: Command) -> None:
        at = self._clock()
        self._inbox += self._exchange.submit(command, at)
        self._kept.keep(at)

    def _ask(self, cause: str) -> BrokerSnapshot:
        return self._exchange.query(cause, self._clock())[1]
