"""From a table with conventional column names to raw bars, for CSV and Parquet alike."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from engine.bars import PRICES
from engine.errors import SourceError
from pipelines.sources.options import FileOptions, Stamp
from pipelines.sources.times import opens_at

COLUMN_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "time": ("opens_at", "closes_at", "timestamp", "datetime", "date_time", "time", "date", "ts"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
    "trades": ("trades", "trade_count", "count", "n"),
    "bid": ("bid", "bid_close", "bid_price"),
    "ask": ("ask", "ask_close", "ask_price"),
    "symbol": ("symbol", "ticker", "contract", "instrument"),
}
"""Names a column may have, in any case; of several present the first listed is read."""

_NEEDED: Final = ("time", *PRICES, "volume")
_MONTH: Final = r"(?:[FGHJKMNQUVXZ]\d{1,4})?"


def raw_bars(
    table: pl.DataFrame,
    *,
    path: Path,
    kind: str,
    options: FileOptions,
    first_row: int,
) -> pl.DataFrame:
    """Raw bars of a whole file, in file order; `first_row` is the number of its first data row.

    `symbol` is what the file says, null when it has no such column. Raises `SourceError` naming the
    file and the column or row when the file is not what it claims.
    """
    if table.select(pl.all_horizontal(pl.all().is_null()).all()).item():
        raise SourceError(
            f"{path}: has a header but no rows; expected one row per minute, check the export"
        )
    found = _found_columns(table.columns, path)
    if found["time"].lower() == "closes_at":
        options = FileOptions(zone=options.zone, stamp=Stamp.CLOSE)
    timed = _joined_date_and_time(table, found)
    optional = [name for name in ("trades", "bid", "ask") if name in found]
    return timed.select(
        symbol=pl.col(found["symbol"]) if "symbol" in found else pl.lit(None, pl.String),
        opens_at=opens_at(timed["_time"], path=path, kind=kind, options=options),
        opens_at_text=pl.col("_time").cast(pl.String),
        source=pl.lit(f"{kind}:{path.name}"),
        source_row=pl.int_range(first_row, first_row + pl.len(), dtype=pl.Int64),
        **{name: _exact(timed, found[name]) for name in (*PRICES, "volume", *optional)},
    )


def _found_columns(columns: Sequence[str], path: Path) -> dict[str, str]:
    """The file's name of each column of ours, or a `SourceError` naming what is missing."""
    by_name = {column.strip().lower().replace(" ", "_"): column for column in columns}
    found = {
        ours: by_name[name]
        for ours, names in COLUMN_NAMES.items()
        for name in reversed(names)
        if name in by_name
    }
    missing = [ours for ours in _NEEDED if ours not in found]
    if missing:
        wanted = "; ".join(f"{ours} (as {', '.join(COLUMN_NAMES[ours])})" for ours in missing)
        raise SourceError(
            f"{path}: missing column {wanted}; found {', '.join(columns)}; "
            "rename the column in the file's header"
        )
    return found


def named(rows: pl.DataFrame, symbol: str, path: Path) -> pl.DataFrame:
    """The rows under our symbol; raises `SourceError` unless the file holds that contract alone.

    The full-size sibling is accepted for a micro contract: same index, same tick.
    """
    names = rows["symbol"].cast(pl.String).str.strip_chars().str.to_uppercase()
    ours = rows.with_columns(symbol=pl.lit(symbol))
    distinct = names.unique(maintain_order=True).to_list()
    if distinct == [None]:
        return ours
    if len(distinct) > 1:
        row = rows["source_row"][int(names.ne_missing(names.first()).arg_max() or 0)]
        raise SourceError(
            f"{path}: row {row}: expected one contract per file, got {distinct[1]} after "
            f"{distinct[0]} ({len(distinct)} in all); split the file by contract"
        )
    roots = "|".join(re.escape(root) for root in (symbol, symbol.removeprefix("M")))
    if re.fullmatch(rf"(?:{roots}){_MONTH}", str(distinct[0])) is None:
        raise SourceError(
            f"{path}: expected bars of {symbol}, got {distinct[0]}; choose another file or --symbol"
        )
    return ours


def _joined_date_and_time(table: pl.DataFrame, found: dict[str, str]) -> pl.DataFrame:
    """Add `_time`: the time column, with the date column before it when they are two."""
    by_name = {column.strip().lower(): column for column in table.columns}
    time = pl.col(found["time"])
    if found["time"].strip().lower() == "time" and "date" in by_name:
        time = pl.concat_str(
            pl.col(by_name["date"]).cast(pl.String), time.cast(pl.String), separator=" "
        )
    return table.with_columns(time.alias("_time"))


def _exact(table: pl.DataFrame, column: str) -> pl.Expr:
    """A column as it is; 32-bit floats as their shortest text, which is the price meant."""
    is_single = table.schema[column] == pl.Float32
    return pl.col(column).cast(pl.String) if is_single else pl.col(column)
