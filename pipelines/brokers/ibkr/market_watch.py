"""The market of one symbol: subscribed, made into minutes, and missed when it falls silent."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from engine.broker import BarReported, MarketReport, QuoteReported
from engine.calendar import Session
from engine.errors import RetryLater
from pipelines.brokers.ibkr.client_library import library_future
from pipelines.brokers.ibkr.error_codes import DataReaction, data_reaction
from pipelines.brokers.ibkr.feed_health import FeedHealth
from pipelines.brokers.ibkr.history import History, HistoryBar
from pipelines.brokers.ibkr.link import Link
from pipelines.brokers.ibkr.market_clock import MarketClock
from pipelines.brokers.ibkr.messages import (
    NO_REQUEST,
    DataTypeTold,
    ErrorTold,
    FiveSecondBar,
    ListedContract,
    Message,
    QuoteTold,
)
from pipelines.brokers.ibkr.minute_bars import FIVE_SECONDS, MinuteBars, Missing, Quotes

LOG: Final = logging.getLogger(__name__)
LOOK_SECONDS: Final = 1.0
_NO: Final = (False,)  # Not only regular hours; no snapshot, no regulatory snapshot.
SessionAt = Callable[[datetime], Session | None]


class MarketWatch:
    """Tells closed minutes in order, quotes and the state of the feed.

    `session_at` says which regular session an instant lies in. A minute that cannot be told whole
    is asked for as history; minutes after it wait for the answer, within its bound.
    """

    def __init__(
        self,
        link: Link,
        history: History,
        clock: MarketClock,
        session_at: SessionAt,
        tell: Callable[[Iterable[MarketReport]], None],
    ) -> None:
        self.feed = FeedHealth()
        self._link = link
        self._history = history
        self._clock = clock
        self._session_at = session_at
        self._tell = tell
        self._contract: ListedContract | None = None
        self._minutes = MinuteBars("")
        self._quotes = Quotes()
        self._bars_ids: list[int] = []
        self._quotes_id = NO_REQUEST
        self._requested_on = 0
        self._heard_at = self._asked_at = time.monotonic()
        self._was_open = False
        self._waiting: deque[BarReported | Missing] = deque()
        self._is_catching_up = False

    def subscribe(self, contract: ListedContract) -> None:
        """Ask for 5-second bars and quotes, in place of what was asked for before."""
        client = self._link.client.client
        if self._requested_on == id(client):
            client.cancelRealTimeBars(self._bars_ids[-1])
            client.cancelMktData(self._quotes_id)
        else:
            self._bars_ids.clear()
        if self._contract is None or self._contract.con_id != contract.con_id:
            self._contract, self._minutes = contract, MinuteBars(contract.symbol)
        future = library_future(self._link.settings.library, contract)
        self._requested_on = id(client)
        self._bars_ids = [*self._bars_ids[-1:], client.getReqId()]
        self._quotes_id = client.getReqId()
        self._quotes = Quotes()
        client.reqRealTimeBars(self._bars_ids[-1], future, 5, "TRADES", *_NO, [])
        client.reqMktData(self._quotes_id, future, "", *_NO, *_NO, [])
        self._asked_at = time.monotonic()

    @property
    def is_subscribed(self) -> bool:
        return self._contract is not None

    # ── What is told ────────────────────────────────────────────────────────────────────────────

    def on_message(self, message: Message) -> None:
        """Hear what concerns the market.

        Bars of the last subscription may still be on their way, and are as good as the new one's.
        """
        match message:
            case FiveSecondBar() if message.request_id in self._bars_ids:
                self._on_bar(message)
            case QuoteTold() if message.request_id == self._quotes_id:
                self._on_quote(message)
            case DataTypeTold() if message.request_id == self._quotes_id:
                self._tell(self.feed.on_data_type(message.data_type, self._clock.now()))
            case ErrorTold() if message.request_id in (
                NO_REQUEST,
                self._quotes_id,
                *self._bars_ids,
            ):
                self._on_error(message)
            case _:
                return

    def _on_bar(self, part: FiveSecondBar) -> None:
        self._clock.told(part.opens_at + FIVE_SECONDS)
        self._heard_at = time.monotonic()
        now = self._clock.now()
        self._tell(self.feed.on_bar(now))
        closed = self._minutes.add(part, self._quotes, self._session_at(part.opens_at), now)
        if closed is None:
            return
        if isinstance(closed, BarReported) and not self._waiting:
            self._tell([closed])
            return
        self._waiting.append(closed)
        if not self._is_catching_up:
            self._is_catching_up = True
            self._link.start(self._catch_up())

    def _on_quote(self, told: QuoteTold) -> None:
        before = self._quotes
        changed = {"bid" if told.is_bid else "ask": told.price}
        self._quotes = before._replace(**changed)
        if self._quotes != before and self._contract is not None:
            symbol = self._contract.symbol
            self._tell(
                [QuoteReported(at=self._clock.now(), symbol=symbol, **self._quotes._asdict())]
            )

    def _on_error(self, told: ErrorTold) -> None:
        self._tell(self.feed.on_error(told, self._clock.now()))
        if data_reaction(told.code) is DataReaction.ASK_AGAIN and told.request_id != NO_REQUEST:
            self._ask_again()

    # ── What is missing ─────────────────────────────────────────────────────────────────────────

    async def _catch_up(self) -> None:
        """Tell waiting minutes in order, asking the broker for those that are missing."""
        try:
            while self._waiting:
                item = self._waiting[0]
                if isinstance(item, Missing):
                    self._tell(await self._missed(item))
                else:
                    self._tell([item])
                self._waiting.popleft()
        finally:
            self._is_catching_up = False

    async def _missed(self, missing: Missing) -> list[BarReported]:
        assert self._contract is not None  # noqa: S101 - a bar came, so something was subscribed.
        try:
            bars = await self._history.minutes(
                self._contract,
                missing.since,
                missing.until,
                within_seconds=self._link.settings.patience.history_seconds,
            )
        except RetryLater as error:
            LOG.warning("minutes from %s to %s stay missing: %s", *missing, error)
            return []
        now = self._clock.now()
        return [backfilled(self._contract.symbol, bar, now) for bar in bars]

    async def watch(self) -> None:
        """Look once a second, until cancelled, whether bars come while the market is open."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Notice that no bar came for too long in a session: say so and ask again."""
        wall, now = time.monotonic(), self._clock.now()
        is_open = self._session_at(now) is not None
        if is_open and not self._was_open:
            self._heard_at = wall  # Nothing was to be expected before.
        self._was_open = is_open
        if not (is_open and self.is_subscribed and self._link.is_up):
            return
        patience, age = self._link.settings.patience, wall - max(self._heard_at, self._asked_at)
        if wall - self._heard_at >= patience.bar_age_seconds:
            self._tell(self.feed.on_silence(wall - self._heard_at, now))
            if age >= patience.ask_again_seconds:
                self._ask_again()

    def _ask_again(self) -> None:
        if self._contract is not None and self._link.is_up:
            LOG.warning("asking for the bars of %s again", self._contract.local_symbol)
            self.subscribe(self._contract)


def backfilled(symbol: str, bar: HistoryBar, at: datetime) -> BarReported:
    """A minute asked for after the fact; nobody knows the quotes of then."""
    return BarReported(at=at, symbol=symbol, **bar._asdict(), bid=None, ask=None, is_backfill=True)
