"""Bars: what a source delivered becomes rows in whole ticks; every refusal keeps its reason.

Nothing is dropped or repaired. Each raw row ends as a bar, as a rejected row, or is counted as
outside regular hours, and `CheckedBars` refuses to exist when the three do not add up.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import polars as pl

from engine.calendar import Session
from engine.errors import CalendarError, SourceError
from engine.grid import TICKS_ABS_MAX, exact_number, whole_ticks
from engine.instrument import Instrument

UTC_INSTANT: Final = pl.Datetime("us", "UTC")
PRICES: Final = ("open", "high", "low", "close")
QUOTES: Final = ("bid", "ask")
COUNTS: Final = ("volume", "trades")

BAR_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "opens_at": UTC_INSTANT,
    "closes_at": UTC_INSTANT,
    "minute": pl.Int32(),
    "open_ticks": pl.Int32(),
    "high_ticks": pl.Int32(),
    "low_ticks": pl.Int32(),
    "close_ticks": pl.Int32(),
    "volume": pl.Int64(),
    "trades": pl.Int64(),
    "bid_ticks": pl.Int32(),
    "ask_ticks": pl.Int32(),
    "arrived_at": UTC_INSTANT,
    "source": pl.String(),
}
"""Columns of `bars`, in order.

Null: `trades`, `bid_ticks` and `ask_ticks` when unknown, `arrived_at` unless live.
"""

REJECTED_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "source_row": pl.Int64(),
    "reason": pl.String(),
    "symbol_text": pl.String(),
    "opens_at_text": pl.String(),
    "open_text": pl.String(),
    "high_text": pl.String(),
    "low_text": pl.String(),
    "close_text": pl.String(),
    "volume_text": pl.String(),
    "trades_text": pl.String(),
    "bid_text": pl.String(),
    "ask_text": pl.String(),
    "source": pl.String(),
}
"""Columns of `rejected_bars`, in order: the raw values as text, null where the source had none.

`symbol` is the instrument asked for, `symbol_text` what the row said.
`session_date` is the date of the session the row claims; for a row in no session its UTC date; for
a row without a readable time the date of the row before it in the source.
"""

_DAY_US: Final = 86_400_000_000
_REGULAR_MINUTES: Final = 390


class RejectReason(StrEnum):
    """Why a row is not a bar. A row with several faults carries the first, in this order."""

    MISSING_TIME = "missing_time"
    NO_SESSION = "no_session"
    OFF_MINUTE = "off_minute"
    WRONG_SYMBOL = "wrong_symbol"
    MISSING_PRICE = "missing_price"
    BAD_PRICE = "bad_price"
    OFF_GRID = "off_grid"
    INCONSISTENT_OHLC = "inconsistent_ohlc"
    MISSING_VOLUME = "missing_volume"
    NEGATIVE_VOLUME = "negative_volume"
    BAD_VOLUME = "bad_volume"
    BAD_QUOTE = "bad_quote"
    DUPLICATE_IDENTICAL = "duplicate_identical"
    DUPLICATE_CONFLICT = "duplicate_conflict"
    TOO_LATE = "too_late"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBars:
    """The bars of a read, what was refused, and what lay outside regular hours.

    `bars` has `BAR_COLUMNS` sorted by symbol and closes_at, `rejected` has `REJECTED_COLUMNS` in
    source order. `out_of_order` counts the rows that came before an earlier one's time.
    """

    bars: pl.DataFrame
    rejected: pl.DataFrame
    rows: int
    outside_rth: int
    out_of_order: int

    def __post_init__(self) -> None:
        accounted = self.bars.height + self.rejected.height + self.outside_rth
        if accounted != self.rows:
            raise AssertionError(
                f"check_bars lost rows: {self.rows} in, {self.bars.height} bars + "
                f"{self.rejected.height} rejected + {self.outside_rth} outside RTH = {accounted}"
            )


def check_bars(
    raw: pl.DataFrame,
    instrument: Instrument,
    sessions: Sequence[Session],
    *,
    too_late: Collection[datetime] = (),
) -> CheckedBars:
    """Turn raw rows into bars in ticks, rejecting with a reason whatever is not a bar.

    `raw` needs symbol, opens_at (`Datetime("us", "UTC")`), open, high, low, close, volume and
    source; bid, ask, trades, arrived_at, opens_at_text and source_row are optional. Prices are
    points above zero, as text, Decimal or Float64. A quote that is missing, or not above zero as
    sources write one they do not have, is null; a quote off the grid rejects its bar. Of two rows
    for one minute the first valid one in source order stays. A row that opens at an instant of
    `too_late` came after a later minute was decided. Raises `SourceError` for a missing column or a
    zone other than UTC, `CalendarError` without sessions.
    """
    if not sessions:
        raise CalendarError(
            "check_bars: expected at least one session, got none; is the range all holidays?"
        )
    rows = _placed_in_sessions(_completed(raw), sessions)
    outside = rows.filter(pl.col("outside_rth")).height
    judged = _judged(rows.filter(~pl.col("outside_rth")), instrument)
    if too_late:
        is_late = pl.col("reason").is_null() & pl.col("opens_at").is_in([*too_late])
        late = pl.when(is_late).then(pl.lit(RejectReason.TOO_LATE.value))
        judged = judged.with_columns(reason=late.otherwise(pl.col("reason")))
    valid = judged.filter(pl.col("reason").is_null())
    return CheckedBars(
        bars=valid.select(_bar_columns()).sort("symbol", "closes_at"),
        rejected=_rejected_rows(judged, instrument, sessions),
        rows=raw.height,
        outside_rth=outside,
        out_of_order=_count_out_of_order(raw),
    )


def _completed(raw: pl.DataFrame) -> pl.DataFrame:
    """The raw frame with every optional column, or a `SourceError` that names what is missing."""
    needed = ("symbol", "opens_at", *PRICES, "volume", "source")
    missing = [name for name in needed if name not in raw.columns]
    if missing:
        raise SourceError(
            f"raw bars: expected columns {', '.join(needed)}; missing {', '.join(missing)}; "
            f"got {', '.join(raw.columns)}"
        )
    if raw.schema["opens_at"] != UTC_INSTANT:
        raise SourceError(
            f"raw bars: expected opens_at as {UTC_INSTANT}, got {raw.schema['opens_at']}; "
            "the source must state its time zone and convert to UTC"
        )
    absent = {
        "trades": pl.lit(None, pl.Int64),
        "bid": pl.lit(None, pl.String),
        "ask": pl.lit(None, pl.String),
        "arrived_at": pl.lit(None, UTC_INSTANT),
        "opens_at_text": pl.col("opens_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z"),
        "source_row": pl.int_range(pl.len(), dtype=pl.Int64),
    }
    return raw.with_columns(
        **{name: column for name, column in absent.items() if name not in raw.columns}
    )


def _count_out_of_order(raw: pl.DataFrame) -> int:
    """Rows whose opens_at is before that of the row above: sorted, but the fact is kept."""
    return int(raw.select((pl.col("opens_at").diff() < pl.duration()).sum()).item())


def _placed_in_sessions(rows: pl.DataFrame, sessions: Sequence[Session]) -> pl.DataFrame:
    """Add session_date, session_opens_at, is_off_day and outside_rth, in source order.

    A row at the time of day of the regular session, on a date without one, claims a session that
    was not held: a fault. Any other row outside a session is overnight trading and is not judged,
    as is the hour before the open on the day after the clocks went back.
    """
    table = pl.DataFrame(
        {
            "session_opens_at": [session.opens_at for session in sessions],
            "session_closes_at": [session.closes_at for session in sessions],
            "held_date": [session.session_date for session in sessions],
        },
        schema={
            "session_opens_at": UTC_INSTANT,
            "session_closes_at": UTC_INSTANT,
            "held_date": pl.Date(),
        },
    ).sort("session_opens_at")
    since = pl.col("opens_at") - pl.col("session_opens_at")
    time_of_day = pl.duration(microseconds=since.dt.total_microseconds() % _DAY_US)
    inside = (pl.col("opens_at") < pl.col("session_closes_at")).fill_null(value=False)
    is_held = pl.col("opens_at").dt.date().is_in(table["held_date"].implode())
    off_day = (
        (since >= pl.duration(days=1))
        & (time_of_day < pl.duration(minutes=_REGULAR_MINUTES))
        & ~is_held
    ).fill_null(value=False)
    return (
        rows.with_row_index("_order")
        .sort("opens_at", maintain_order=True)
        .join_asof(table, left_on="opens_at", right_on="session_opens_at", strategy="backward")
        .sort("_order")
        .with_columns(
            session_date=pl.when(inside)
            .then(pl.col("held_date"))
            .otherwise(pl.col("opens_at").dt.date())
            .fill_null(strategy="forward"),
            is_off_day=off_day,
            outside_rth=pl.col("opens_at").is_not_null() & ~inside & ~off_day,
        )
    )


def _judged(rows: pl.DataFrame, instrument: Instrument) -> pl.DataFrame:
    """Add the ticks of every price and the reason of every row, null for a bar."""
    schema = rows.schema
    numbers = rows.with_columns(
        exact_number(name, schema[name]).alias(f"{name}_number")
        for name in (*PRICES, *QUOTES, *COUNTS)
    )
    numbers = numbers.with_columns(
        pl.when(pl.col(f"{name}_number") > 0).then(pl.col(f"{name}_number")).alias(f"{name}_number")
        for name in QUOTES
    )
    ticks = numbers.with_columns(
        whole_ticks(numbers[f"{name}_number"], instrument).alias(f"{name}_ticks")
        for name in (*PRICES, *QUOTES)
    )
    reasons = [
        pl.when(fault).then(pl.lit(reason.value)) for reason, fault in _faults(instrument).items()
    ]
    return _without_second_bars(ticks.with_columns(reason=pl.coalesce(reasons)))


def _faults(instrument: Instrument) -> dict[RejectReason, pl.Expr]:
    """What makes a row no bar, in the order in which the reasons are given."""
    numbers = [pl.col(f"{name}_number") for name in PRICES]
    counts = [pl.col(f"{name}_number") for name in COUNTS]
    open_, high, low, close = (pl.col(f"{name}_ticks") for name in PRICES)
    out_of_range = pl.any_horizontal(
        number.is_nan() | (number <= 0) | (number > TICKS_ABS_MAX * float(instrument.tick_size))
        for number in numbers
    )
    return {
        RejectReason.MISSING_TIME: pl.col("opens_at").is_null(),
        RejectReason.NO_SESSION: pl.col("is_off_day"),
        RejectReason.OFF_MINUTE: pl.col("opens_at") != pl.col("opens_at").dt.truncate("1m"),
        RejectReason.WRONG_SYMBOL: pl.col("symbol").ne_missing(instrument.symbol),
        RejectReason.MISSING_PRICE: pl.any_horizontal(number.is_null() for number in numbers),
        RejectReason.BAD_PRICE: out_of_range,
        RejectReason.OFF_GRID: pl.any_horizontal(
            pl.col(f"{name}_ticks").is_null() for name in PRICES
        ),
        RejectReason.INCONSISTENT_OHLC: (high < pl.max_horizontal(open_, low, close))
        | (low > pl.min_horizontal(open_, close)),
        RejectReason.MISSING_VOLUME: pl.col("volume_number").is_null(),
        RejectReason.NEGATIVE_VOLUME: pl.any_horizontal(
            (count < 0) & count.is_not_nan() for count in counts
        ),
        RejectReason.BAD_VOLUME: pl.any_horizontal(
            count.is_nan() | (count != count.floor()) | (count > 2**53) for count in counts
        ),
        RejectReason.BAD_QUOTE: pl.any_horizontal(
            pl.col(f"{name}_number").is_not_null() & pl.col(f"{name}_ticks").is_null()
            for name in QUOTES
        ),
    }


def _without_second_bars(judged: pl.DataFrame) -> pl.DataFrame:
    """Give every later valid row of a minute its reason: the same values again, or others."""
    values = [f"{name}_ticks" for name in (*PRICES, *QUOTES)] + [
        f"{name}_number" for name in COUNTS
    ]
    is_valid = pl.col("reason").is_null()
    minute = ["opens_at", "reason"]
    repeats = judged.filter(is_valid).select("opens_at").is_duplicated()
    if not repeats.any():
        return judged
    is_later = pl.int_range(pl.len()).over(minute) > 0
    differs = pl.any_horizontal(
        pl.col(name).ne_missing(pl.col(name).first().over(minute)) for name in values
    )
    again = (
        pl.when(differs)
        .then(pl.lit(RejectReason.DUPLICATE_CONFLICT.value))
        .otherwise(pl.lit(RejectReason.DUPLICATE_IDENTICAL.value))
    )
    return judged.with_columns(
        reason=pl.when(is_valid & is_later).then(again).otherwise(pl.col("reason"))
    )


def _bar_columns() -> list[pl.Expr]:
    minute = (pl.col("opens_at") - pl.col("session_opens_at")).dt.total_minutes()
    derived = {
        "closes_at": pl.col("opens_at") + pl.duration(minutes=1),
        "minute": minute,
        "volume": pl.col("volume_number"),
        "trades": pl.col("trades_number"),
    }
    return [
        derived.get(name, pl.col(name)).cast(dtype).alias(name)
        for name, dtype in BAR_COLUMNS.items()
    ]


def _rejected_rows(
    judged: pl.DataFrame, instrument: Instrument, sessions: Sequence[Session]
) -> pl.DataFrame:
    raw_text = {f"{name}_text": name for name in ("symbol", *PRICES, *COUNTS, *QUOTES)}
    columns = [
        pl.col(raw_text.get(name, name)).cast(dtype).alias(name)
        for name, dtype in REJECTED_COLUMNS.items()
        if name not in ("symbol", "session_date")
    ]
    date = (
        pl.col("session_date")
        .fill_null(strategy="backward")
        .fill_null(pl.lit(sessions[0].session_date))
    )
    return (
        judged.with_columns(date)
        .filter(pl.col("reason").is_not_null())
        .select(*columns, "session_date", symbol=pl.lit(instrument.symbol))
        .select(list(REJECTED_COLUMNS))
    )
