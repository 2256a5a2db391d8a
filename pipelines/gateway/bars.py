"""Bars of any served size, and in which prices they are shown."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final, NamedTuple

from engine.calendar import Session
from engine.instrument import Instrument
from pipelines.gateway.market import Market
from pipelines.gateway.tape import FIVE_SECONDS, MINUTE, TapeBar, minute_from

BAR_SECONDS: Final = {
    **{f"{seconds} secs": seconds for seconds in (5, 10, 15, 30)},
    "1 min": 60,
    **{f"{minutes} mins": 60 * minutes for minutes in (2, 3, 5, 10, 15, 20, 30)},
    "1 hour": 3600,
    **{f"{hours} hours": 3600 * hours for hours in (2, 3, 4, 8)},
}
DAY_BAR: Final = "1 day"
WHAT_TO_SHOW: Final = frozenset({"TRADES", "MIDPOINT", "BID", "ASK"})


class ShownBar(NamedTuple):
    """A bar in points, as a message carries it; a count that means nothing is -1."""

    opens_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    average: Decimal
    volume: int
    trades: int


def shown(bar: TapeBar, what: str, instrument: Instrument) -> ShownBar:
    """A bar of trades, or of quotes: as far beside the trades as the quotes at its close are.

    Its average is that of high, low and close: the tape does not say what each trade cost.
    """
    shift = Decimal(0)
    bid, ask = bar.bid_ticks, bar.ask_ticks
    if what == "BID" and bid is not None:
        shift = Decimal(bid - bar.close_ticks)
    elif what == "ASK" and ask is not None:
        shift = Decimal(ask - bar.close_ticks)
    elif what == "MIDPOINT" and bid is not None and ask is not None:
        shift = Decimal(bid + ask) / 2 - bar.close_ticks
    ticks = (bar.open_ticks, bar.high_ticks, bar.low_ticks, bar.close_ticks)
    opened, high, low, close = ((each + shift) * instrument.tick_size for each in ticks)
    is_traded = what == "TRADES"
    return ShownBar(
        opens_at=bar.opens_at,
        open=opened,
        high=high,
        low=low,
        close=close,
        average=round((high + low + close) / 3, 4),
        volume=bar.volume if is_traded else -1,
        trades=bar.trades if is_traded and bar.trades is not None else -1,
    )


def bucket_of(at: datetime, seconds: int) -> datetime:
    """The start of the bar of a size that an instant lies in."""
    epoch = int(at.timestamp())
    return datetime.fromtimestamp(epoch - epoch % seconds, UTC)


def bars_between(market: Market, seconds: int, since: datetime, until: datetime) -> list[TapeBar]:
    """Bars of a size that opened in [since, until); the last one may still be growing."""
    until = min(until, market.now())
    first = bucket_of(since, seconds)
    first = first if first == since else first + timedelta(seconds=seconds)
    if seconds < MINUTE.total_seconds():
        parts = market.five_seconds(first, until)
    else:
        minute = bucket_of(until, 60)
        parts = [*market.minutes(first, minute), *market.five_seconds(max(first, minute), until)]
    return list(_joined(parts, seconds))


def day_bars(market: Market, sessions: Iterable[Session], until: datetime) -> list[TapeBar]:
    """One bar of each session that has begun, opening where the session opens."""
    until = min(until, market.now())
    days = (market.minutes(each.opens_at, min(each.closes_at, until)) for each in sessions)
    return [minute_from(minutes) for minutes in days if minutes]


def grown(bar: TapeBar | None, part: TapeBar, seconds: int) -> TapeBar:
    """The bar of a size that a 5-second bar belongs to, with that part in it."""
    if bar is None or bucket_of(bar.opens_at, seconds) != bucket_of(part.opens_at, seconds):
        return part
    return minute_from((bar, part))


def _joined(parts: Iterable[TapeBar], seconds: int) -> Iterator[TapeBar]:
    for _, group in groupby(parts, key=lambda part: bucket_of(part.opens_at, seconds)):
        yield minute_from(tuple(group))


def completes_minute(bar: TapeBar) -> bool:
    """Whether a 5-second bar is the last of its minute."""
    return bar.closes_at - bar.opens_at == FIVE_SECONDS and bar.closes_at.second == 0
