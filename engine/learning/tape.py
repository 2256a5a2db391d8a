"""Prices as they stood when something was decided, sent or filled: the newest closed bar's.

Twice the mid is a whole number of ticks, so it is counted in half ticks and sums stay exact.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.learning.fills import RoundTrip

Ints = npt.NDArray[np.int64]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

JUST: Final = timedelta(seconds=1)
"""What happens within it of a bar's beginning happened as the bar began: orders travel that long.

A bar whose first second was missed was seen whole; one that was only held into for less, because a
market exit was on its way, was not held at all.
"""


def microseconds(instant: datetime) -> int:
    """The instant as Polars stores it."""
    return (instant - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Tape:
    """The bars of a market frame of one symbol, oldest first, as arrays; instants in microseconds.

    `mid` is in half ticks, the last price where there are no quotes; `has_quotes` says which.
    """

    opens_at: Ints
    closes_at: Ints
    high: Ints
    low: Ints
    close: Ints
    mid: Ints
    has_quotes: npt.NDArray[np.bool_]

    def closed_by(self, instant: datetime) -> int:
        """Index of the newest bar that had closed at an instant; -1 before the first."""
        return int(np.searchsorted(self.closes_at, microseconds(instant), side="right")) - 1

    def first_held(self, opened_at: datetime) -> int:
        """Index of the bar in which a trade was opened."""
        return self.closed_by(opened_at) + 1

    def last_held(self, trade_closed_at: datetime, *, is_bracket: bool) -> int:
        """Index of the last bar of a trade: the one that met its stop or target, or after which it
        was closed at market.
        """
        last = trade_closed_at if is_bracket else trade_closed_at - JUST
        begun = np.searchsorted(self.opens_at, microseconds(last), side="right")
        return int(begun) - 1


def tape_of(market: pl.DataFrame) -> Tape:
    """The tape of a market frame, or of stored bars."""
    bars = market.sort("closes_at")
    quoted = bars.select(
        is_known=pl.col("bid_ticks").is_not_null() & pl.col("ask_ticks").is_not_null()
    )
    twice = pl.coalesce(pl.col("bid_ticks") + pl.col("ask_ticks"), 2 * pl.col("close_ticks"))

    def ints(expression: pl.Expr) -> Ints:
        return bars.select(expression.cast(pl.Int64)).to_series().to_numpy()

    return Tape(
        opens_at=ints(pl.col("opens_at").to_physical()),
        closes_at=ints(pl.col("closes_at").to_physical()),
        high=ints(pl.col("high_ticks")),
        low=ints(pl.col("low_ticks")),
        close=ints(pl.col("close_ticks")),
        mid=ints(twice),
        has_quotes=quoted["is_known"].to_numpy(),
    )


def excursions(
    tape: Tape, trip: RoundTrip, entry_ticks: float, exit_ticks: float
) -> tuple[float, float]:
    """How far a trade was against us and for us at most: distances in ticks, both at least 0.

    A bar that was opened in counts whole if it had only just begun, else only its close is surely
    later than the fill; of the exit's bar only the exit itself is surely not later. While it trades
    the desk counts such a first bar's close alone, so these are never smaller than what it saw.
    """
    fills = trip.fills
    opened_at, closed_at = fills[0].at, fills[-1].at
    first, last = tape.first_held(opened_at), tape.closed_by(closed_at)
    gained = [trip.side * (exit_ticks - entry_ticks), 0.0]
    for index in range(first, last + 1):
        prices = [tape.close[index]]
        if tape.opens_at[index] >= microseconds(opened_at - JUST):
            prices += [tape.high[index], tape.low[index]]
        gained += [float(trip.side * (price - entry_ticks)) for price in prices]
    return max(0.0, -min(gained)), max(gained)
