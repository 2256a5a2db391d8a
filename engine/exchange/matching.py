"""When an order trades, and at what price, on a bar's assumed path or on a quote.

Pessimistic by rule: a resting limit trades at its own price and only when the market went through
it; a stop trades at the trigger, or at the open that gapped beyond it, and slips; a stop comes
before its target when the rest of the bar reaches both; an order whose life ends inside a bar sees
nothing of that bar.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple, Protocol

from engine.broker import Leg, OrderKind
from engine.exchange.book import Book, BookOrder, ExchangeSettings
from engine.exchange.faults import Faults, chance
from engine.units import Side


class ExchangeBar(Protocol):
    """What the exchange reads of a bar; `engine.market.MarketRow` has it, and so has `PriceBar`.

    `slippage_ticks` is what to expect per side; null means unknown, and the settings' rate holds.
    """

    @property
    def symbol(self) -> str: ...
    @property
    def closes_at(self) -> datetime: ...
    @property
    def open_ticks(self) -> int: ...
    @property
    def high_ticks(self) -> int: ...
    @property
    def low_ticks(self) -> int: ...
    @property
    def close_ticks(self) -> int: ...
    @property
    def bid_ticks(self) -> int | None: ...
    @property
    def ask_ticks(self) -> int | None: ...
    @property
    def slippage_ticks(self) -> float | None: ...


class PriceBar(NamedTuple):
    """The least a bar can be, for whoever plays prices without a market frame."""

    symbol: str
    closes_at: datetime
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    bid_ticks: int | None = None
    ask_ticks: int | None = None
    slippage_ticks: float | None = None


class Point(NamedTuple):
    """A price at an instant."""

    at: datetime
    price_ticks: int


class Hit(NamedTuple):
    """An order that trades: how far the price travels to it, where it then is, what is paid.

    Sorts by distance, then stops and market orders (rank 0) before limits (1), then by arrival.
    """

    distance_ticks: int
    rank: int
    arrival: int
    order: BookOrder
    reached_ticks: int
    price_ticks: int


def bar_path(bar: ExchangeBar, opens_at: datetime) -> list[Point]:
    """Open, nearer extreme, farther extreme, close, at equal distances in time.

    With both extremes equally far the one against the bar's direction comes first.
    """
    third = (bar.closes_at - opens_at) / 3
    up, down = bar.high_ticks - bar.open_ticks, bar.open_ticks - bar.low_ticks
    is_high_first = up < down or (up == down and bar.close_ticks < bar.open_ticks)
    first, second = (
        (bar.high_ticks, bar.low_ticks) if is_high_first else (bar.low_ticks, bar.high_ticks)
    )
    return [
        Point(opens_at, bar.open_ticks),
        Point(opens_at + third, first),
        Point(opens_at + 2 * third, second),
        Point(bar.closes_at, bar.close_ticks),
    ]


def is_touched(order: BookOrder, bar: ExchangeBar) -> bool:
    """Whether a bar can mean anything at all to an order: the cheap question asked first."""
    if order.is_held:
        return False
    if order.is_fresh or order.is_zombie or order.is_triggered or order.expires_at is not None:
        return True
    price = order.price_ticks
    if price is None:
        return True
    is_beyond_high = (order.kind is OrderKind.STOP_MARKET) == (order.side is Side.LONG)
    return bar.high_ticks >= price if is_beyond_high else bar.low_ticks <= price


class Matcher:
    """Matches a book against one bar or one quote; holds nothing between two of them."""

    def __init__(
        self, book: Book, settings: ExchangeSettings, faults: Faults, slippage_ticks: float | None
    ) -> None:
        self.book = book
        self.faults = faults
        self.through_ticks = 0 if settings.limit_fills_on_touch else 1
        expected = settings.slippage_ticks if slippage_ticks is None else slippage_ticks
        self.slippage_ticks = min(expected, settings.slippage_ticks_max)
        self.next_bar_at: datetime | None = None

    def match_path(self, path: list[Point]) -> None:
        """Walk the path; an order that arrives on the way sees only what is left of it."""
        points = _with_arrivals(path, (order.active_at for order in self.book.live))
        self.next_bar_at = points[-1].at
        start = points[0]
        for index, end in enumerate(points):
            ahead = [point.price_ticks for point in points[index:]]
            self._move(start, end, min(ahead), max(ahead))
            start = end

    def match_quote(
        self, at: datetime, bid_ticks: int, ask_ticks: int, *, arrived_since: datetime | None = None
    ) -> None:
        """Trade what one quote allows: buys at the ask, sells at the bid.

        A quote is a price to be had, so nothing slips and a limit need not be gone through. In the
        book an entry precedes its stop and a stop its target, so the stop comes first here too.
        With `arrived_since` only the orders that became active since then see the quote.
        """
        self.slippage_ticks, self.through_ticks, self.next_bar_at = 0.0, 0, at
        for order in list(self.book.live):
            if arrived_since is not None and order.active_at < arrived_since:
                continue
            price = ask_ticks if order.side is Side.LONG else bid_ticks
            if (hit := self._hit(order, 0, price, price, at)) is not None:
                self._trade(hit, at)

    def _move(self, start: Point, end: Point, low: int, high: int) -> None:
        now, price = start
        while hits := self._hits(now, price, end.price_ticks, low, high):
            hit = min(hits)
            price = hit.reached_ticks
            now = max(now, _instant(start, end, price))
            self._trade(hit, now)

    def _hits(self, now: datetime, price: int, end: int, low: int, high: int) -> list[Hit]:
        return [
            hit
            for arrival, order in enumerate(self.book.live)
            if (hit := self._hit(order, arrival, price, end, now)) is not None
            if not self._stop_comes_first(order, now, min(low, price), max(high, price))
        ]

    def _hit(
        self, order: BookOrder, arrival: int, price: int, end: int, now: datetime
    ) -> Hit | None:
        """Whether, and where, an order trades while the price moves from `price` to `end`."""
        if order.is_held or order.active_at > now or self.book.remaining(order) < 1:
            return None
        limit = order.price_ticks
        if limit is None or order.is_triggered:
            return Hit(0, 0, arrival, order, price, price + self._slip(order))
        if order.kind is OrderKind.STOP_MARKET:
            reached = _first_beyond(order.side, limit, price, end)
            if reached is None:
                return None
            paid = reached + self._slip(order)
            return Hit(abs(reached - price), 0, arrival, order, reached, paid)
        if order.is_fresh and order.side * (limit - price) >= 0:
            paid = price + self._slip(order)
            bounded = min(paid, limit) if order.side is Side.LONG else max(paid, limit)
            return Hit(0, 1, arrival, order, price, bounded)
        order.is_fresh = False
        through = limit - order.side * self.through_ticks
        reached = _first_beyond(order.side.opposite, through, price, end)
        if reached is None:
            return None
        return Hit(abs(reached - price), 1, arrival, order, reached, limit)

    def _stop_comes_first(self, order: BookOrder, now: datetime, low: int, high: int) -> bool:
        """Whether a target must wait because the rest of the bar also reaches its stop."""
        if order.group is None or order.leg is not Leg.TARGET:
            return False
        for ref in self.book.groups[order.group].legs:
            stop = self.book.orders[ref]
            if stop.kind is not OrderKind.STOP_MARKET or stop.price_ticks is None:
                continue
            if stop.ended is not None or stop.is_held or stop.active_at > now:
                continue
            extreme = high if stop.side is Side.LONG else low
            if stop.side * (extreme - stop.price_ticks) >= 0:
                return True
        return False

    def _trade(self, hit: Hit, at: datetime) -> None:
        order = hit.order
        quantity = self.book.remaining(order)
        part = self.faults.part_of(quantity)
        order.is_triggered = order.kind is OrderKind.STOP_MARKET
        if part < quantity and self.next_bar_at is not None:
            order.active_at = max(order.active_at, self.next_bar_at)
        self.book.fill(order, hit.price_ticks, at, part)

    def _slip(self, order: BookOrder) -> int:
        """Whole ticks against the order; a fraction is one more tick that often, by the seed."""
        whole = int(self.slippage_ticks)
        rest = self.slippage_ticks - whole
        if rest and chance(self.faults.seed, "slippage", order.ref, order.filled) < rest:
            whole = ceil(self.slippage_ticks)
        return order.side * whole


def _first_beyond(side: Side, level: int, price: int, end: int) -> int | None:
    """Where a move first stands at or beyond a level: at once, on the way, or (null) never."""
    if side * (price - level) >= 0:
        return price
    return level if side * (end - level) >= 0 else None


def _with_arrivals(path: list[Point], instants: Iterable[datetime]) -> list[Point]:
    """The path with a point wherever an order becomes active inside the bar."""
    inside = {at for at in instants if path[0].at < at < path[-1].at}
    points = list(path)
    for at in inside - {point.at for point in path}:
        before = max(i for i, point in enumerate(path) if point.at < at)
        a, b = path[before], path[before + 1]
        share = (at - a.at) / (b.at - a.at)
        points.append(Point(at, a.price_ticks + int((b.price_ticks - a.price_ticks) * share)))
    return sorted(points, key=lambda point: point.at)


def _instant(a: Point, b: Point, price: int) -> datetime:
    """When a steady move from one point to the next stands at a price."""
    ticks = abs(b.price_ticks - a.price_ticks)
    if not ticks:
        return a.at
    elapsed: timedelta = (b.at - a.at) * abs(price - a.price_ticks) // ticks
    return a.at + elapsed
