"""A live broker without a network: stored bars played through the exchange in this process."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Final

from engine.broker import (
    BarReported,
    ConnectionReported,
    ConnectionState,
    FeedReported,
    FeedState,
)
from engine.errors import BrokerUnreachable
from engine.instrument import Instrument
from pipelines.brokers.exchange_orders import ExchangeOrders, KeptExchange
from pipelines.gateway.tape import TapeBar

MINUTE: Final = timedelta(minutes=1)
PAPER_ACCOUNT: Final = "DU0000001"


class SimulatedLiveBroker(ExchangeOrders):
    """A `LiveBroker` over an exchange and a tape; a minute passes each time it is waited for.

    `seconds_per_minute` of wall time slow it down. Time goes on without bars when the tape ends.
    An exchange that was kept on disk goes on from the instant at which it was kept last.
    """

    def __init__(
        self,
        kept: KeptExchange,
        minutes: Sequence[TapeBar],
        instrument: Instrument,
        *,
        starts_at: datetime,
        account_id: str = PAPER_ACCOUNT,
        seconds_per_minute: float = 0.0,
    ) -> None:
        super().__init__(kept, self.now)
        self._account_id = account_id
        self._instrument = instrument
        self._minutes = {bar.closes_at: bar for bar in minutes}
        self._now = starts_at if kept.at is None else max(kept.at, starts_at)
        self._seconds_per_minute = seconds_per_minute
        self._next_at = monotonic() + seconds_per_minute
        self._is_subscribed = False
        self._is_connected = False

    @property
    def account_id(self) -> str:
        return self._account_id

    def now(self) -> datetime:
        return self._now

    def connect(self) -> None:
        self._is_connected = True
        self._inbox += self._exchange.reconnect(self._now)
        self._inbox.append(ConnectionReported(at=self._now, state=ConnectionState.UP))

    def close(self) -> None:
        self._is_connected = False

    def subscribe(self, symbol: str) -> None:
        """Have bars told; raises `BrokerUnreachable` before `connect`."""
        if not self._is_connected:
            raise BrokerUnreachable(
                f"expected a connection to subscribe to {symbol}: connect first"
            )
        self._is_subscribed = True
        self._inbox.append(FeedReported(at=self._now, state=FeedState.LIVE))

    def bars(self, symbol: str, since: datetime) -> Sequence[BarReported]:
        return [
            self._told_bar(bar, is_backfill=True)
            for closes_at, bar in sorted(self._minutes.items())
            if bar.opens_at >= since and closes_at <= self._now and bar.symbol == symbol
        ]

    def wait(self, timeout_seconds: float) -> bool:
        """Return at once when something can be read; else let a minute pass, if it is due."""
        if self._inbox:
            return True
        left = self._next_at - monotonic()
        if self._seconds_per_minute and left > 0:
            sleep(min(left, timeout_seconds))
            if left > timeout_seconds:
                return False
        self._next_at = monotonic() + self._seconds_per_minute
        self._pass_minute()
        return bool(self._inbox)

    def caught_up(self) -> None:
        """Nothing to do: the next minute passes when it is waited for."""

    def _pass_minute(self) -> None:
        self._now = self._now.replace(second=0, microsecond=0) + MINUTE
        bar = self._minutes.get(self._now)
        if bar is None:
            self.pass_time(self._now)
            return
        self.pass_bar(bar)
        if self._is_subscribed:
            self._inbox.append(self._told_bar(bar, is_backfill=False))

    def _told_bar(self, bar: TapeBar, *, is_backfill: bool) -> BarReported:
        points = self._instrument.to_points
        return BarReported(
            at=bar.closes_at,
            symbol=bar.symbol,
            opens_at=bar.opens_at,
            open=float(points(bar.open_ticks)),
            high=float(points(bar.high_ticks)),
            low=float(points(bar.low_ticks)),
            close=float(points(bar.close_ticks)),
            volume=bar.volume,
            trades=bar.trades,
            bid=None if bar.bid_ticks is None else float(points(bar.bid_ticks)),
            ask=None if bar.ask_ticks is None else float(points(bar.ask_ticks)),
            is_backfill=is_backfill,
        )
