"""A minute in parts of five seconds, along the path on which the exchange would match it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from engine.exchange import PriceBar
from engine.market import MarketRow

TICK_SECONDS: Final = 5
"""How finely simulated time passes while anything is open, and how often the clock is looked at."""

PART: Final = timedelta(seconds=TICK_SECONDS)
PARTS: Final = 12
_STEPS_PER_THIRD: Final = 4


def parts_of(row: MarketRow) -> list[PriceBar]:
    """Open, nearer extreme, farther extreme, close: four steady parts to each."""
    up, down = row.high_ticks - row.open_ticks, row.open_ticks - row.low_ticks
    is_high_first = up < down or (up == down and row.close_ticks < row.open_ticks)
    ends = (row.high_ticks, row.low_ticks) if is_high_first else (row.low_ticks, row.high_ticks)
    prices = [
        a + int((b - a) * step / _STEPS_PER_THIRD)
        for a, b in pairwise((row.open_ticks, *ends, row.close_ticks))
        for step in range(_STEPS_PER_THIRD)
    ]
    opens_at = row.closes_at - PARTS * PART
    return [
        PriceBar(
            row.symbol,
            opens_at + (number + 1) * PART,
            a,
            max(a, b),
            min(a, b),
            b,
            slippage_ticks=row.slippage_ticks,
        )
        for number, (a, b) in enumerate(pairwise((*prices, row.close_ticks)))
    ]


def parts_after(symbol: str, at: datetime, ticks: int, span: timedelta) -> Iterator[PriceBar]:
    """A market that stands still for a while."""
    for number in range(1, span // PART + 1):
        yield PriceBar(symbol, at + number * PART, ticks, ticks, ticks, ticks)
