"""Faults planted in clean bars on request, each labelled, so that tests know what must be caught.

The result has the shape of a source's raw rows, because half of the faults break the schema of
`bars`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

import numpy as np
import polars as pl

from engine.errors import InputRefused
from engine.generator.days import Flags, Floats, Ints, checked_seed
from engine.instrument import Instrument


class FaultKind(StrEnum):
    """What is wrong; the names are those of the reject reasons and of the quality events."""

    OFF_GRID = "off_grid"
    MISSING_PRICE = "missing_price"
    NEGATIVE_VOLUME = "negative_volume"
    INCONSISTENT_OHLC = "inconsistent_ohlc"
    DUPLICATE_IDENTICAL = "duplicate_identical"
    DUPLICATE_CONFLICT = "duplicate_conflict"
    MISSING_GAP = "missing_gap"
    STUCK_FEED = "stuck_feed"
    ZERO_VOLUME = "zero_volume"
    OUTLIER_NO_SHOCK = "outlier_no_shock"
    LATE_BAR = "late_bar"
    SPREAD_ANOMALY = "spread_anomaly"
    CROSSED_QUOTE = "crossed_quote"
    MISSING_QUOTE = "missing_quote"
    PRICE_BAND = "price_band"
    TIME_REGRESSION = "time_regression"


FAULT_NOTES: Final = {
    FaultKind.OFF_GRID: "close moved by 0.3 ticks",
    FaultKind.MISSING_PRICE: "close is NaN",
    FaultKind.NEGATIVE_VOLUME: "volume with its sign turned",
    FaultKind.INCONSISTENT_OHLC: "high one tick below open and close",
    FaultKind.DUPLICATE_IDENTICAL: "the row twice",
    FaultKind.DUPLICATE_CONFLICT: "the row twice, the second with one contract more",
    FaultKind.MISSING_GAP: "the two bars before this one are missing",
    FaultKind.STUCK_FEED: "third bar in a row at one price",
    FaultKind.ZERO_VOLUME: "no volume and no trades",
    FaultKind.OUTLIER_NO_SHOCK: "twelve usual ranges up and back on usual volume",
    FaultKind.LATE_BAR: "arrived 20 seconds after its close",
    FaultKind.SPREAD_ANOMALY: "spread of 12 ticks",
    FaultKind.CROSSED_QUOTE: "bid one tick above ask",
    FaultKind.MISSING_QUOTE: "no bid and no ask",
    FaultKind.PRICE_BAND: "the whole bar 10 % too high",
    FaultKind.TIME_REGRESSION: "row delivered after its successor",
}

REJECTED_KINDS: Final = (
    FaultKind.OFF_GRID,
    FaultKind.MISSING_PRICE,
    FaultKind.NEGATIVE_VOLUME,
    FaultKind.INCONSISTENT_OHLC,
    FaultKind.DUPLICATE_IDENTICAL,
    FaultKind.DUPLICATE_CONFLICT,
)
"""Kinds whose row is no bar; the others leave a doubtful bar, or a row out of order."""

_PRICES: Final = ("open", "high", "low", "close")
_QUOTES: Final = ("bid", "ask")
_BLOCK_BARS: Final = 16  # One fault per block: wider than the ten bars that a fault taints.
_WARM_UP_MINUTES: Final = 40
_PLACE_IN_BLOCK: Final = 8
_LATE: Final = pl.duration(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulted:
    """Raw rows in points, in the order a source would deliver them, and one label per fault.

    `raw`: symbol, opens_at, open, high, low, close, bid, ask (Float64; quotes null when missing),
    volume, trades, arrived_at (null unless late), source. `labels`: kind, symbol, session_date,
    minute and opens_at of the row at which the fault shows, is_rejected, note; sorted by opens_at.
    """

    raw: pl.DataFrame
    labels: pl.DataFrame


@dataclass(slots=True, kw_only=True)
class _Rows:
    """Columns under edit, in ticks, and which rows the source will deliver, in which order."""

    ticks: dict[str, Floats]
    volume: Ints
    trades: Ints
    is_late: Flags
    copies: Ints
    conflicts: Flags
    order: Floats

    def usual(self, row: int) -> tuple[float, int]:
        """Mean range and mean volume of the 30 rows before."""
        before = slice(row - 30, row)
        ranges = self.ticks["high"][before] - self.ticks["low"][before]
        return float(ranges.mean()), int(self.volume[before].mean())


def plant_faults(
    bars: pl.DataFrame,
    seed: int,
    instrument: Instrument,
    kinds: Sequence[FaultKind] = tuple(FaultKind),
    per_kind: int = 1,
) -> Faulted:
    """Plant `per_kind` faults of every kind into clean bars with quotes, never two within 10 bars.

    Needs one free block of 16 minutes per fault, from minute 40 of a session on; raises
    `InputRefused` when the bars have fewer.
    """
    blocks = _free_blocks(bars)
    wanted = len(kinds) * per_kind
    if wanted > len(blocks):
        raise InputRefused(
            f"plant_faults: expected at least {wanted} blocks of {_BLOCK_BARS} minutes, "
            f"got {len(blocks)}; pass more sessions or ask for fewer faults"
        )
    source = np.random.Generator(np.random.PCG64(checked_seed(seed)))
    places = source.permutation(blocks)[:wanted]
    planted = [kinds[number % len(kinds)] for number in range(wanted)]
    rows = _editable(bars)
    for kind, row in zip(planted, places.tolist(), strict=True):
        _PLANT[kind](rows, row)
    return Faulted(raw=_raw(bars, rows, instrument), labels=_labels(bars, planted, places))


def _free_blocks(bars: pl.DataFrame) -> Ints:
    """Row of the fault in every block that lies whole within one session."""
    minutes = bars["minute"].to_numpy()
    starts = np.flatnonzero(
        (minutes >= _WARM_UP_MINUTES) & ((minutes - _WARM_UP_MINUTES) % _BLOCK_BARS == 0)
    )
    starts = starts[starts + _BLOCK_BARS <= len(minutes)]
    whole = minutes[starts + _BLOCK_BARS - 1] == minutes[starts] + _BLOCK_BARS - 1
    rows: Ints = (starts[whole] + _PLACE_IN_BLOCK).astype(np.int64)
    return rows


def _editable(bars: pl.DataFrame) -> _Rows:
    ticks = {
        name: bars[f"{name}_ticks"].cast(pl.Float64).to_numpy().copy()
        for name in (*_PRICES, *_QUOTES)
    }
    return _Rows(
        ticks=ticks,
        volume=bars["volume"].to_numpy().copy(),
        trades=bars["trades"].to_numpy().copy(),
        is_late=np.zeros(bars.height, dtype=np.bool_),
        copies=np.ones(bars.height, dtype=np.int64),
        conflicts=np.zeros(bars.height, dtype=np.bool_),
        order=np.arange(bars.height, dtype=np.float64),
    )


def _raw(bars: pl.DataFrame, rows: _Rows, instrument: Instrument) -> pl.DataFrame:
    """The edited columns as a source would deliver them."""
    tick = Fraction(instrument.tick_size)
    points = {
        name: values * tick.numerator / tick.denominator for name, values in rows.ticks.items()
    }
    delivered = (
        bars.select("symbol", "opens_at", "closes_at", "source")
        .with_columns(
            **{name: pl.Series(values) for name, values in points.items()},
            volume=pl.Series(rows.volume),
            trades=pl.Series(rows.trades),
            is_late=pl.Series(rows.is_late),
            copies=pl.Series(rows.copies),
            conflicts=pl.Series(rows.conflicts),
            order=pl.Series(rows.order),
        )
        .with_columns(pl.col(_QUOTES).fill_nan(None))
        .sort("order")
    )
    taken = np.repeat(np.arange(delivered.height), delivered["copies"].to_numpy())
    is_second = np.concatenate([[False], taken[1:] == taken[:-1]])
    return (
        delivered[taken]
        .with_columns(
            volume=pl.col("volume") + (pl.Series(is_second) & pl.col("conflicts")).cast(pl.Int64),
            arrived_at=pl.when("is_late").then(pl.col("closes_at") + _LATE),
        )
        .select(
            "symbol",
            "opens_at",
            *_PRICES,
            *_QUOTES,
            "volume",
            "trades",
            "arrived_at",
            "source",
        )
    )


def _labels(bars: pl.DataFrame, planted: Sequence[FaultKind], places: Ints) -> pl.DataFrame:
    return (
        bars[places]
        .select("symbol", "session_date", "minute", "opens_at")
        .with_columns(
            kind=pl.Series([kind.value for kind in planted]),
            is_rejected=pl.Series([kind in REJECTED_KINDS for kind in planted]),
            note=pl.Series([FAULT_NOTES[kind] for kind in planted]),
        )
        .select("kind", "symbol", "session_date", "minute", "opens_at", "is_rejected", "note")
        .sort("opens_at")
    )


def _off_grid(rows: _Rows, row: int) -> None:
    rows.ticks["close"][row] += 0.3


def _missing_price(rows: _Rows, row: int) -> None:
    rows.ticks["close"][row] = np.nan


def _negative_volume(rows: _Rows, row: int) -> None:
    rows.volume[row] *= -1


def _inconsistent_ohlc(rows: _Rows, row: int) -> None:
    rows.ticks["high"][row] = min(rows.ticks["open"][row], rows.ticks["close"][row]) - 1


def _duplicate_identical(rows: _Rows, row: int) -> None:
    rows.copies[row] = 2


def _duplicate_conflict(rows: _Rows, row: int) -> None:
    rows.copies[row] = 2
    rows.conflicts[row] = True


def _missing_gap(rows: _Rows, row: int) -> None:
    rows.copies[row - 2 : row] = 0


def _stuck_feed(rows: _Rows, row: int) -> None:
    stuck = slice(row - 2, row + 1)
    price = rows.ticks["close"][row - 3]
    for name in (*_PRICES, "ask"):
        rows.ticks[name][stuck] = price
    rows.ticks["bid"][stuck] = price - 1


def _zero_volume(rows: _Rows, row: int) -> None:
    rows.volume[row] = 0
    rows.trades[row] = 0


def _outlier_no_shock(rows: _Rows, row: int) -> None:
    usual_range, rows.volume[row] = rows.usual(row)
    rows.ticks["high"][row] += round(12 * max(usual_range, 1.0))


def _late_bar(rows: _Rows, row: int) -> None:
    rows.is_late[row] = True


def _spread_anomaly(rows: _Rows, row: int) -> None:
    rows.ticks["ask"][row] = rows.ticks["bid"][row] + 12


def _crossed_quote(rows: _Rows, row: int) -> None:
    rows.ticks["bid"][row] = rows.ticks["ask"][row] + 1


def _missing_quote(rows: _Rows, row: int) -> None:
    for name in _QUOTES:
        rows.ticks[name][row] = np.nan


def _price_band(rows: _Rows, row: int) -> None:
    shift = round(0.10 * rows.ticks["close"][row])
    for name in (*_PRICES, *_QUOTES):
        rows.ticks[name][row] += shift


def _time_regression(rows: _Rows, row: int) -> None:
    rows.order[row] += 1.5


_PLANT: Final[dict[FaultKind, Callable[[_Rows, int], None]]] = {
    FaultKind.OFF_GRID: _off_grid,
    FaultKind.MISSING_PRICE: _missing_price,
    FaultKind.NEGATIVE_VOLUME: _negative_volume,
    FaultKind.INCONSISTENT_OHLC: _inconsistent_ohlc,
    FaultKind.DUPLICATE_IDENTICAL: _duplicate_identical,
    FaultKind.DUPLICATE_CONFLICT: _duplicate_conflict,
    FaultKind.MISSING_GAP: _missing_gap,
    FaultKind.STUCK_FEED: _stuck_feed,
    FaultKind.ZERO_VOLUME: _zero_volume,
    FaultKind.OUTLIER_NO_SHOCK: _outlier_no_shock,
    FaultKind.LATE_BAR: _late_bar,
    FaultKind.SPREAD_ANOMALY: _spread_anomaly,
    FaultKind.CROSSED_QUOTE: _crossed_quote,
    FaultKind.MISSING_QUOTE: _missing_quote,
    FaultKind.PRICE_BAND: _price_band,
    FaultKind.TIME_REGRESSION: _time_regression,
}
