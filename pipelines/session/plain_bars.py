"""The usual bar of a session, checked by itself: nothing is amiss in it, and it is the next one.

`engine.bars.check_bars` judges columns, which for one row costs a hundred times its arithmetic.
Whatever is not plain is left to it, so that what a fault is has one definition.
"""

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from math import isfinite
from typing import Final

from engine.broker import BarReported
from engine.calendar import Session
from engine.grid import TICKS_ABS_MAX
from engine.instrument import Instrument

MINUTE: Final = timedelta(minutes=1)
COUNT_MAX: Final = 2**53

Row = tuple[object, ...]


def plain_row(
    bar: BarReported, session: Session, instrument: Instrument, source: str
) -> Row | None:
    """What `check_bars` makes of a bar without any fault, as a row of `BAR_COLUMNS`.

    Null is no judgement: the bar is to be checked as any other.
    """
    into, rest = divmod(bar.opens_at - session.opens_at, MINUTE)
    is_in_place = (
        bar.symbol == instrument.symbol
        and session.opens_at <= bar.opens_at < session.closes_at
        and not rest
        and not (bar.opens_at.second or bar.opens_at.microsecond)
    )
    counts = (bar.volume, 0 if bar.trades is None else bar.trades)
    prices = _ticks((bar.open, bar.high, bar.low, bar.close), instrument)
    told = [None if each is None or each <= 0 else each for each in (bar.bid, bar.ask)]
    quotes = _ticks([each for each in told if each is not None], instrument)
    if not is_in_place or prices is None or quotes is None:
        return None
    open_, high, low, close = prices
    is_in_order = 0 < low <= min(prices) and max(prices) <= high
    if not is_in_order or not all(0 <= n <= COUNT_MAX for n in counts):
        return None
    known = iter(quotes)
    bid, ask = (None if each is None else next(known) for each in told)
    return (
        bar.symbol,
        session.session_date,
        bar.opens_at,
        bar.opens_at + MINUTE,
        into,
        *(open_, high, low, close),
        *(bar.volume, bar.trades, bid, ask),
        None if bar.is_backfill else bar.at,
        source,
    )


def _ticks(prices: Sequence[float], instrument: Instrument) -> list[int] | None:
    """Whole ticks as `engine.grid.whole_ticks` finds them; null when one has none."""
    tick = Fraction(instrument.tick_size)
    ticks = []
    for price in prices:
        if not isfinite(price):
            return None
        whole = round(price * tick.denominator / tick.numerator)
        if abs(whole) > TICKS_ABS_MAX or whole * tick.numerator / tick.denominator != price:
            return None
        ticks.append(whole)
    return ticks
