"""A minute bar as the twelve 5-second bars a broker would have told, and back, exactly.

Pure and without chance: the price walks the path that the simulated exchange assumes of a bar
(open, nearer extreme, farther extreme, close), four 5-second bars for each part of it, so that an
order meets the same prices whether the exchange is shown the minute or its twelve parts.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

import polars as pl

from engine.exchange.matching import PriceBar, bar_path

PARTS: Final = 12
MINUTE: Final = timedelta(minutes=1)
FIVE_SECONDS: Final = MINUTE / PARTS
_STEPS: Final = PARTS // 3


class TapeBar(NamedTuple):
    """One minute, or 5 seconds of one: prices in whole ticks, instants in UTC.

    `trades`, `bid_ticks` and `ask_ticks` are null when the source had none; the quotes are those at
    the close. It is an `ExchangeBar` too, with the exchange's own slippage.
    """

    symbol: str
    opens_at: datetime
    closes_at: datetime
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume: int
    trades: int | None = None
    bid_ticks: int | None = None
    ask_ticks: int | None = None
    slippage_ticks: float | None = None


def minutes_of(bars: pl.DataFrame) -> list[TapeBar]:
    """Rows of a frame with the columns of `bars`, oldest first."""
    columns = [name for name in TapeBar._fields if name != "slippage_ticks"]
    return [TapeBar(*row) for row in bars.sort("closes_at").select(columns).iter_rows()]


def quiet_minute(last: TapeBar, opens_at: datetime) -> TapeBar:
    """A minute in which nothing traded: the last price and quotes, and no volume."""
    price = last.close_ticks
    return last._replace(
        opens_at=opens_at,
        closes_at=opens_at + MINUTE,
        open_ticks=price,
        high_ticks=price,
        low_ticks=price,
        volume=0,
        trades=0,
    )


def five_second_bars(minute: TapeBar) -> tuple[TapeBar, ...]:
    """The minute's twelve parts, oldest first; `minute_from` makes the same minute of them.

    Every part goes in one direction. Quotes keep the distance to the price that they have at the
    minute's close. Parts that move are the first to be given volume, and they are given more.
    """
    prices = _prices(minute)
    volumes = _volumes(minute.volume, [abs(b - a) for a, b in pairwise(prices)])
    trades = _trades(minute.trades, minute.volume, volumes)
    parts = zip(pairwise(prices), volumes, trades, strict=True)
    return tuple(
        TapeBar(
            symbol=minute.symbol,
            opens_at=minute.opens_at + part * FIVE_SECONDS,
            closes_at=minute.opens_at + (part + 1) * FIVE_SECONDS,
            open_ticks=start,
            high_ticks=max(start, end),
            low_ticks=min(start, end),
            close_ticks=end,
            volume=volume,
            trades=traded,
            bid_ticks=_beside(end, minute.close_ticks, minute.bid_ticks),
            ask_ticks=_beside(end, minute.close_ticks, minute.ask_ticks),
        )
        for part, ((start, end), volume, traded) in enumerate(parts)
    )


def minute_from(parts: Sequence[TapeBar]) -> TapeBar:
    """The bar that parts in order of time make together; also of fewer than a minute's twelve."""
    first, last = parts[0], parts[-1]
    trades = [part.trades for part in parts if part.trades is not None]
    return first._replace(
        closes_at=last.closes_at,
        high_ticks=max(part.high_ticks for part in parts),
        low_ticks=min(part.low_ticks for part in parts),
        close_ticks=last.close_ticks,
        volume=sum(part.volume for part in parts),
        trades=sum(trades) if trades else None,
        bid_ticks=last.bid_ticks,
        ask_ticks=last.ask_ticks,
    )


def session_minutes(
    rows: Sequence[TapeBar], opens_at: datetime, closes_at: datetime, last: TapeBar | None
) -> Iterator[TapeBar]:
    """Every minute of a session: its row, or a quiet one after `last`, the bar known before it.

    A minute before any price was ever known is left out.
    """
    by_open = {row.opens_at: row for row in rows}
    at = opens_at
    while at < closes_at:
        row = by_open.get(at)
        if row is None and last is not None:
            row = quiet_minute(last, at)
        if row is not None:
            yield row
            last = row
        at += MINUTE


def _prices(minute: TapeBar) -> list[int]:
    """The thirteen prices at the ends of the parts."""
    corners = bar_path(PriceBar(*_price_fields(minute)), minute.opens_at)
    prices = [minute.open_ticks]
    for start, end in pairwise(corner.price_ticks for corner in corners):
        prices += [start + (end - start) * step // _STEPS for step in range(1, _STEPS + 1)]
    return prices


def _price_fields(bar: TapeBar) -> tuple[str, datetime, int, int, int, int]:
    return (
        bar.symbol,
        bar.closes_at,
        bar.open_ticks,
        bar.high_ticks,
        bar.low_ticks,
        bar.close_ticks,
    )


def _volumes(volume: int, moves: Sequence[int]) -> list[int]:
    """Whole lots of each part: one each while there are any, moving parts first; then by move."""
    shares = [0] * len(moves)
    for part in sorted(range(len(moves)), key=lambda part: moves[part] == 0)[:volume]:
        shares[part] = 1
    rest, given, weight = volume - sum(shares), 0, 0
    total = sum(moves) + len(moves)
    for part, move in enumerate(moves):
        weight += move + 1
        due = rest * weight // total
        shares[part] += due - given
        given = due
    return shares


def _trades(trades: int | None, volume: int, volumes: Sequence[int]) -> list[int | None]:
    """Trades of each part in proportion to its volume, so that none has more trades than lots."""
    if trades is None:
        return [None] * len(volumes)
    if volume == 0:
        return [*[0] * (len(volumes) - 1), trades]
    shares: list[int | None] = []
    traded = given = 0
    for lots in volumes:
        traded += lots
        due = trades * traded // volume
        shares.append(due - given)
        given = due
    return shares


def _beside(price: int, close: int, quote: int | None) -> int | None:
    return None if quote is None else price + quote - close
