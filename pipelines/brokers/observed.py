"""OBSERVE: the market of a real broker, and orders that never leave this process."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from engine.broker import (
    AccountReported,
    BarReported,
    BrokerReport,
    ConnectionReported,
    FeedReported,
    LiveBroker,
    MarketReport,
    QuoteReported,
)
from engine.errors import InputRefused, OffGridPrice
from engine.exchange.matching import PriceBar
from engine.instrument import Instrument
from pipelines.brokers.exchange_orders import ExchangeOrders, KeptExchange

MINUTE: Final = timedelta(minutes=1)


class ObservedBroker(ExchangeOrders):
    """A `LiveBroker` that reads one broker and trades at an exchange of its own: shadow trades.

    Money is the real account's, for the tier; orders, positions and executions are the shadow's
    alone. Of the real broker's reports only the connection and the account go through.
    """

    def __init__(self, market: LiveBroker, kept: KeptExchange, instrument: Instrument) -> None:
        super().__init__(kept, market.now)
        self._market = market
        self._instrument = instrument

    @property
    def account_id(self) -> str:
        return self._market.account_id

    def now(self) -> datetime:
        return self._market.now()

    def account(self) -> AccountReported:
        return self._market.account()

    def connect(self) -> None:
        self._market.connect()

    def close(self) -> None:
        self._market.close()

    def subscribe(self, symbol: str) -> None:
        self._market.subscribe(symbol)

    def bars(self, symbol: str, since: datetime) -> Sequence[BarReported]:
        return self._market.bars(symbol, since)

    def wait(self, timeout_seconds: float) -> bool:
        return bool(self._inbox) or self._market.wait(timeout_seconds)

    def caught_up(self) -> None:
        self._market.caught_up()

    def told(self) -> Sequence[BrokerReport | MarketReport]:
        for report in self._market.told():
            match report:
                case BarReported():
                    self._pass(report)
                    self._inbox.append(report)
                case QuoteReported() | FeedReported() | ConnectionReported() | AccountReported():
                    self._inbox.append(report)
                case _:
                    pass  # An order of somebody else on the same account; the shadow has its own.
        return super().told()

    def _pass(self, bar: BarReported) -> None:
        """Let the bar pass at the shadow's exchange; no bar, or a late one, trades nothing."""
        try:
            prices = [self._instrument.to_ticks(Decimal(str(p))) for p in _prices(bar)]
            self.pass_bar(PriceBar(bar.symbol, bar.opens_at + MINUTE, *prices))
        except (OffGridPrice, InputRefused):
            return  # The session refuses it too, and keeps it with its reason.


def _prices(bar: BarReported) -> tuple[float, float, float, float]:
    return bar.open, bar.high, bar.low, bar.close
