"""Times of a file as UTC instants. A time without a stated zone is refused, never guessed."""

from pathlib import Path
from typing import Final

import polars as pl

from engine.bars import UTC_INSTANT
from engine.errors import SourceError
from pipelines.sources.options import FileOptions, Stamp

_TEXT: Final = (
    r"^(?<year>\d{4})[-/]?(?<month>\d{2})[-/]?(?<day>\d{2})[ T]+"
    r"(?<hour>\d{1,2}):?(?<minute>\d{2})(?::?(?<second>\d{2}(?:\.\d{1,6})?))?"
    r"\s*(?<offset>[zZ]|[+-]\d{2}:?\d{2})?$"
)
_EPOCH_UNITS: Final = {10: 1_000_000, 13: 1_000, 16: 1}  # Microseconds per unit, by digits.
_READABLE_SHARE_MIN: Final = 0.5


def opens_at(times: pl.Series, *, path: Path, kind: str, options: FileOptions) -> pl.Series:
    """UTC instant of each bar's open; null for a single time that cannot be read.

    Raises `SourceError` when the zone is stated neither in the times nor by the option `tz`, or
    when most times cannot be read at all.
    """
    dtype = times.dtype
    if isinstance(dtype, pl.Datetime):
        instants = _zoned(times, path, kind, options) if dtype.time_zone is None else times
    elif dtype.is_integer() or _is_epoch_text(times):
        instants = _from_epoch(times.cast(pl.Int64, strict=False))
    else:
        instants = _from_text(times.cast(pl.String).str.strip_chars(), path, kind, options)
    utc = instants.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    readable = utc.len() - utc.null_count()
    if readable < utc.len() * _READABLE_SHARE_MIN:
        example = times.filter(utc.is_null())[0]
        raise SourceError(
            f"{path}: expected times like 2024-07-03 09:30 or 2024-07-03T09:30:00-04:00, could "
            f"read {readable} of {utc.len()}, not {example!r}; convert the time column"
        )
    return utc.dt.offset_by("-1m") if options.stamp is Stamp.CLOSE else utc


def _is_epoch_text(times: pl.Series) -> bool:
    if times.dtype != pl.String:
        return False
    digits = times.drop_nulls().head(100).str.contains(r"^\d{10}(\d{3}){0,2}$")
    return digits.len() > 0 and bool(digits.all())


def _from_epoch(numbers: pl.Series) -> pl.Series:
    """Seconds, milliseconds or microseconds since 1970 UTC, told apart by their length."""
    digits = pl.col("n").cast(pl.String).str.len_chars()
    in_us = pl.coalesce(
        pl.when(digits == length).then(pl.col("n") * factor)
        for length, factor in _EPOCH_UNITS.items()
    )
    return pl.DataFrame({"n": numbers}).select(in_us.cast(UTC_INSTANT)).to_series()


def _from_text(times: pl.Series, path: Path, kind: str, options: FileOptions) -> pl.Series:
    """Times with an offset by their offset, the others in the stated zone."""
    parts = times.str.extract_groups(_TEXT).struct.unnest()
    clock = pl.col("hour").str.zfill(2), "minute", pl.col("second").fill_null("00")
    naive = parts.select(
        pl.format("{}-{}-{} {}:{}:{}", "year", "month", "day", *clock).str.to_datetime(
            "%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False
        )
    ).to_series()
    offset = parts["offset"].str.to_uppercase().str.replace("Z", "+0000").str.replace(":", "")
    if (offset.is_null() & naive.is_not_null()).any():
        local = _zoned(naive, path, kind, options).dt.convert_time_zone("UTC")
    else:
        local = pl.Series([None] * times.len(), dtype=UTC_INSTANT)
    hours, minutes = (pl.col("offset").str.slice(at, 2).cast(pl.Int64) for at in (1, 3))
    sign = pl.when(pl.col("offset").str.starts_with("-")).then(-1).otherwise(1)
    east = pl.duration(minutes=(hours * 60 + minutes) * sign)
    by_offset = (pl.col("naive") - east).dt.replace_time_zone("UTC")
    frame = pl.DataFrame({"naive": naive, "offset": offset, "local": local})
    return frame.select(pl.coalesce(by_offset, "local")).to_series()


def _zoned(naive: pl.Series, path: Path, kind: str, options: FileOptions) -> pl.Series:
    """Local times in the stated zone; the market is shut in the hours a clock change doubles."""
    if options.zone is None:
        raise SourceError(
            f"{path}: the times state no time zone ({naive.drop_nulls().first()!s}); say which: "
            f"{kind}:{path}?tz=America/Chicago (or America/New_York, UTC, ...)"
        )
    return naive.dt.replace_time_zone(options.zone, ambiguous="earliest", non_existent="null")
