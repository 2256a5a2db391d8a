"""Market data that clients follow: real-time bars, quotes, prints and bars kept up to date."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from pipelines.gateway.bars import shown
from pipelines.gateway.history import KeptAlive
from pipelines.gateway.market import Market, Quote, Trade
from pipelines.gateway.tape import TapeBar
from pipelines.gateway.told import MarketTold
from pipelines.gateway.wire import Field

LIVE: Final = 1
DELAYED: Final = 3
"""Market data types, as message 58 says them."""

_TICK_TYPES: Final = {
    "bid_size": 0, "bid": 1, "ask": 2, "ask_size": 3, "last": 4, "last_size": 5,
    "high": 6, "low": 7, "volume": 8,
}  # fmt: skip
_DELAYED_TICK_TYPES: Final = {
    "bid": 66, "ask": 67, "last": 68, "bid_size": 69, "ask_size": 70, "last_size": 71,
    "high": 72, "low": 73, "volume": 74,
}  # fmt: skip
_LAST_TIMESTAMP: Final = 45
_DELAYED_LAST_TIMESTAMP: Final = 88
PRINTS: Final = {"Last": 1, "AllLast": 2}
QUOTES: Final = {"BidAsk": 3, "MidPoint": 4}


@dataclass(slots=True, kw_only=True)
class BarFeed:
    """Real-time bars of 5 seconds."""

    request_id: int
    what: str

    def messages(self, told: MarketTold, market: Market) -> Iterator[list[Field]]:
        """Message 50 for each closed bar."""
        if isinstance(told, TapeBar):
            bar = shown(told, self.what, market.instrument)
            head: list[Field] = [50, 3, self.request_id, int(bar.opens_at.timestamp())]
            prices = (bar.open, bar.high, bar.low, bar.close)
            yield [*head, *prices, bar.volume, bar.average, bar.trades]


@dataclass(slots=True, kw_only=True)
class PrintFeed:
    """Tick by tick: every print, or every change of the quotes."""

    request_id: int
    tick_type: int

    def messages(self, told: MarketTold, market: Market) -> Iterator[list[Field]]:
        """Message 99, in the shape of its tick type."""
        if isinstance(told, TapeBar):
            return
        to_points = market.instrument.to_points
        head: list[Field] = [99, self.request_id, self.tick_type, int(told.at.timestamp())]
        if isinstance(told, Trade):
            if self.tick_type in PRINTS.values():
                exchange = market.instrument.exchange
                yield [*head, to_points(told.price_ticks), told.size, 0, exchange, ""]
        elif told.bid_ticks is not None and told.ask_ticks is not None:
            bid, ask = to_points(told.bid_ticks), to_points(told.ask_ticks)
            if self.tick_type == QUOTES["BidAsk"]:
                yield [*head, bid, ask, told.bid_size, told.ask_size, 0]
            elif self.tick_type == QUOTES["MidPoint"]:
                yield [*head, (bid + ask) / 2]


@dataclass(slots=True, kw_only=True)
class TopFeed:
    """Market data: the best quotes, the last trade, and the day so far; told when they change."""

    request_id: int
    is_delayed: bool = False
    high_ticks: int | None = None
    low_ticks: int | None = None
    volume: int = 0
    told: dict[str, Field] = field(default_factory=dict)

    def messages(self, told: MarketTold, market: Market) -> Iterator[list[Field]]:
        """Messages 1, 2 and 46 for whatever changed."""
        points = market.instrument.to_points
        match told:
            case Quote():
                yield from self._price("bid", told.bid_ticks, told.bid_size, market)
                yield from self._price("ask", told.ask_ticks, told.ask_size, market)
            case Trade():
                yield self._last_time(told)
                yield from self._price("last", told.price_ticks, told.size, market)
            case TapeBar():
                self.high_ticks = max(told.high_ticks, self.high_ticks or told.high_ticks)
                self.low_ticks = min(told.low_ticks, self.low_ticks or told.low_ticks)
                self.volume += told.volume
                yield from self._size("volume", self.volume)
                for name, ticks in (("high", self.high_ticks), ("low", self.low_ticks)):
                    if self._changes(name, points(ticks)):
                        yield [1, 6, self.request_id, self._types[name], points(ticks), 0, 0]

    @property
    def _types(self) -> dict[str, int]:
        return _DELAYED_TICK_TYPES if self.is_delayed else _TICK_TYPES

    def _price(
        self, name: str, ticks: int | None, size: int, market: Market
    ) -> Iterator[list[Field]]:
        """A price and its size; an empty side of the book is -1 without a size."""
        price = Decimal(-1) if ticks is None else market.instrument.to_points(ticks)
        if ticks is None:
            size = 0
        if self._changes(name, price):
            self.told[f"{name}_size"] = size
            yield [1, 6, self.request_id, self._types[name], price, size, 0]
            yield [2, 6, self.request_id, self._types[f"{name}_size"], size]
        else:
            yield from self._size(f"{name}_size", size)

    def _size(self, name: str, size: int) -> Iterator[list[Field]]:
        if self._changes(name, size):
            yield [2, 6, self.request_id, self._types[name], size]

    def _last_time(self, trade: Trade) -> list[Field]:
        kind = _DELAYED_LAST_TIMESTAMP if self.is_delayed else _LAST_TIMESTAMP
        return [46, 6, self.request_id, kind, str(int(trade.at.timestamp()))]

    def _changes(self, name: str, value: Field) -> bool:
        if self.told.get(name) == value:
            return False
        self.told[name] = value
        return True


Feed = BarFeed | PrintFeed | TopFeed | KeptAlive


@dataclass(slots=True, kw_only=True)
class Feeds:
    """What one client follows, by request id; `silenced` were told why they get nothing.

    `asked` are the client's history requests of the last ten minutes, with readings of the wall.
    """

    by_id: dict[int, Feed] = field(default_factory=dict)
    silenced: set[int] = field(default_factory=set)
    asked: deque[tuple[float, object]] = field(default_factory=deque)

    def drop(self, request_id: int) -> bool:
        """Stop one; false when there is none."""
        self.silenced.discard(request_id)
        return self.by_id.pop(request_id, None) is not None

    def clear(self) -> None:
        self.by_id.clear()
        self.silenced.clear()
