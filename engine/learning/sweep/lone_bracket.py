"""One bracket of one lot at the simulated exchange, by itself: entry, stop and target bar by bar.

The rules are those of `engine.exchange` without faults, in plain numbers and without a report to
anybody; a test holds every fill of it against the exchange.
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from math import ceil
from typing import Final, NamedTuple

from engine.broker import Leg
from engine.exchange.book import ExchangeSettings
from engine.exchange.faults import chance
from engine.units import OrderRef, Side

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US

RefOf = Callable[[Leg], OrderRef]


class BracketBar(NamedTuple):
    """A closed bar; `slippage_ticks` is what to expect per side, null where unknown."""

    closes_us: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    slippage_ticks: float | None


class Fill(NamedTuple):
    """A leg that traded: when, in microseconds since 1970, and at what price."""

    leg: Leg
    at_us: int
    price_ticks: int


class Prices(NamedTuple):
    """Entry limit, stop and target of a bracket on `side`."""

    side: Side
    limit_ticks: int
    stop_ticks: int
    target_ticks: int


class _Phase(Enum):
    PENDING = auto()
    OPEN = auto()
    FLATTENING = auto()
    OVER = auto()


_Point = tuple[int, int]
"""An instant and a price."""


class LoneBracket:
    """The bracket from its submission on.

    `ref_of` names the order of a leg, on which its slippage depends; it is asked when that is due.
    """

    def __init__(
        self,
        prices: Prices,
        at_us: int,
        life_us: int,
        settings: ExchangeSettings,
        chances: tuple[int, RefOf],
    ) -> None:
        self._side = prices.side
        self._limit, self._stop, self._target = prices[1:]
        self._latency_us = settings.order_latency_ms * 1_000
        self._active_us = at_us + self._latency_us
        self._expires_us = at_us + life_us
        self._settings = settings
        self._seed, self._ref_of = chances
        self._through = 0 if settings.limit_fills_on_touch else 1
        self._phase = _Phase.PENDING
        self._is_fresh = True
        self._slippage = 0.0
        self._fills: list[Fill] = []

    @property
    def ended_us(self) -> int | None:
        """When the entry ended without a fill; null where it did not."""
        is_unfilled = self._phase is _Phase.OVER and not self._fills
        return self._expires_us if is_unfilled else None

    def move_stop(self, stop_ticks: int) -> None:
        """Replace the resting stop's price."""
        self._stop = stop_ticks

    def flatten(self, at_us: int) -> None:
        """Cancel what rests and close at market."""
        self._phase, self._active_us = _Phase.FLATTENING, at_us + self._latency_us

    def on_bar(self, bar: BracketBar) -> list[Fill]:
        """What one closed bar fills."""
        if self._phase is _Phase.PENDING and self._expires_us < bar.closes_us:
            self._phase = _Phase.OVER
        if self._phase is _Phase.OVER or not self._is_touched(bar):
            return []
        known = len(self._fills)
        expected = self._settings.slippage_ticks
        if bar.slippage_ticks is not None:
            expected = bar.slippage_ticks
        self._slippage = min(expected, self._settings.slippage_ticks_max)
        path = self._path(bar)
        start = path[0]
        for index, end in enumerate(path):
            self._move(start, end, path[index:])
            start = end
        if self._phase is _Phase.PENDING and self._expires_us == bar.closes_us:
            self._phase = _Phase.OVER
        return self._fills[known:]

    def _path(self, bar: BracketBar) -> list[_Point]:
        """Open, nearer extreme, farther extreme, close, and where an order arrives between."""
        opens_us, third = bar.closes_us - MINUTE_US, MINUTE_US // 3
        up, down = bar.high_ticks - bar.open_ticks, bar.open_ticks - bar.low_ticks
        is_high_first = up < down or (up == down and bar.close_ticks < bar.open_ticks)
        extremes = (bar.high_ticks, bar.low_ticks)
        first, second = extremes if is_high_first else extremes[::-1]
        path = [
            (opens_us, bar.open_ticks),
            (opens_us + third, first),
            (opens_us + 2 * third, second),
            (bar.closes_us, bar.close_ticks),
        ]
        at = self._active_us
        is_awaited = self._phase is not _Phase.OPEN and opens_us < at < bar.closes_us
        if is_awaited and all(at != each for each, _ in path):
            before = max(place for place, (each, _) in enumerate(path) if each < at)
            (a_at, a_price), (b_at, b_price) = path[before : before + 2]
            share = (at - a_at) / (b_at - a_at)
            path.insert(before + 1, (at, a_price + int((b_price - a_price) * share)))
        return path

    def _is_touched(self, bar: BracketBar) -> bool:
        """Whether a bar can mean anything at all: the cheap question asked first."""
        if self._phase is not _Phase.OPEN:
            return True
        if self._side > 0:
            return bar.low_ticks <= self._stop or bar.high_ticks >= self._target
        return bar.high_ticks >= self._stop or bar.low_ticks <= self._target

    def _move(self, start: _Point, end: _Point, ahead: Sequence[_Point]) -> None:
        """All that trades on the way; `ahead` is the rest of the bar's path."""
        now, price = start
        while (hit := self._hit(now, price, end[1], ahead)) is not None:
            leg, reached, paid = hit
            now, price = max(now, _instant(start, end, reached)), reached
            self._fills.append(Fill(leg, now, paid))
            self._phase = _Phase.OPEN if leg is Leg.ENTRY else _Phase.OVER

    def _hit(
        self, now: int, price: int, end: int, ahead: Sequence[_Point]
    ) -> tuple[Leg, int, int] | None:
        """What trades next while the price moves on to `end`: leg, price reached, price paid."""
        if self._phase is _Phase.OPEN:
            return self._exit_hit(price, end, ahead)
        if self._phase is _Phase.OVER or self._active_us > now:
            return None
        if self._phase is _Phase.FLATTENING:
            return Leg.FLATTEN, price, price + self._slip(Leg.FLATTEN, -self._side)
        side, limit = self._side, self._limit
        if self._is_fresh and side * (limit - price) >= 0:
            paid = price + self._slip(Leg.ENTRY, side)
            return Leg.ENTRY, price, min(paid, limit) if side > 0 else max(paid, limit)
        self._is_fresh = False
        reached = _first_beyond(-side, limit - side * self._through, price, end)
        return None if reached is None else (Leg.ENTRY, reached, limit)

    def _exit_hit(
        self, price: int, end: int, ahead: Sequence[_Point]
    ) -> tuple[Leg, int, int] | None:
        """The stop, or else the target where the rest of the bar does not reach the stop."""
        side = self._side
        reached = _first_beyond(-side, self._stop, price, end)
        if reached is not None:
            return Leg.STOP, reached, reached + self._slip(Leg.STOP, -side)
        reached = _first_beyond(side, self._target + side * self._through, price, end)
        if reached is None or self._stop_comes_first(ahead):
            return None
        return Leg.TARGET, reached, self._target

    def _stop_comes_first(self, ahead: Sequence[_Point]) -> bool:
        """Whether the target must wait because the rest of the bar also reaches the stop."""
        return any(self._side * (price - self._stop) <= 0 for _, price in ahead)

    def _slip(self, leg: Leg, side: int) -> int:
        whole = int(self._slippage)
        rest = self._slippage - whole
        if rest and chance(self._seed, "slippage", self._ref_of(leg), 0) < rest:
            whole = ceil(self._slippage)
        return side * whole


def _first_beyond(side: int, level: int, price: int, end: int) -> int | None:
    """Where a move first stands at or beyond a level: at once, on the way, or (null) never."""
    if side * (price - level) >= 0:
        return price
    return level if side * (end - level) >= 0 else None


def _instant(start: _Point, end: _Point, price: int) -> int:
    """When a steady move from one point to the next stands at a price."""
    ticks = abs(end[1] - start[1])
    if not ticks:
        return start[0]
    return start[0] + (end[0] - start[0]) * abs(price - start[1]) // ticks
