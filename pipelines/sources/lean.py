"""LEAN minute files: one zip per UTC day and kind, in it one headerless CSV per expiry.

`20131008_trade.zip` holds `20131008_es_minute_trade_201312.csv` with `ms since midnight UTC, open,
high, low, close, volume`; `20131008_quote.zip` holds `ms, bid O,H,L,C, size, ask O,H,L,C, size`.
A minute without a trade has no row. The regular session lies inside one UTC day.
"""

import re
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import polars as pl

from engine.bars import UTC_INSTANT
from engine.errors import SourceError

TRADE_COLUMNS: Final = ("ms_text", "open", "high", "low", "close", "volume")
QUOTE_COLUMNS: Final = (
    "ms_text",
    *("bid_open", "bid_high", "bid_low", "bid", "bid_size"),
    *("ask_open", "ask_high", "ask_low", "ask", "ask_size"),
)
LEADER_DAYS_BACK: Final = 7  # Longer than any closure of the exchange.
_ZIP_NAME: Final = re.compile(r"(\d{8})_trade\.zip")
_CSV_NAME: Final = re.compile(r"\d{8}_(\w+)_minute_(trade|quote)_(\d{6})\.csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeanSource:
    """Bars of the front month from a folder of LEAN zips.

    The front month of a day is the expiry that led in volume on the last earlier day with a file
    (at most seven days back), so the choice was known before the open; the first day uses its own.
    A day never mixes expiries, and the choice is stated in `source` as `lean:201312`.
    """

    folder: Path

    @property
    def name(self) -> str:
        """`lean:DIR`."""
        return f"lean:{self.folder}"

    def date_range(self) -> tuple[date, date] | None:
        """First and last UTC day with a trade file."""
        days = _days(self.folder)
        return days[0], days[-1]

    def read(self, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Raw rows of each day's front month with the quote at the close of the same minute.

        Days without a file are absent. Raises `SourceError` naming the zip that cannot be read.
        """
        days = [day for day in _days(self.folder) if first_date <= day <= last_date]
        frames = [self._read_day(symbol, day) for day in days]
        return pl.concat(frames) if frames else _EMPTY.clone()

    def _read_day(self, symbol: str, day: date) -> pl.DataFrame:
        expiry = self._front_month(symbol, day)
        trade_zip, quote_zip = (
            _zip_path(self.folder, day, "trade"),
            _zip_path(self.folder, day, "quote"),
        )
        trades = _csv_rows(trade_zip, symbol, "trade", TRADE_COLUMNS)[expiry]
        quotes = _csv_rows(quote_zip, symbol, "quote", QUOTE_COLUMNS) if quote_zip.exists() else {}
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        ms = pl.col("ms_text").cast(pl.Int64, strict=False)
        return (
            trades.with_row_index("source_row", offset=1)
            .join(
                _closing_quotes(quotes.get(expiry, _NO_QUOTES)),
                on="ms_text",
                how="left",
                maintain_order="left",
            )
            .select(
                symbol=pl.lit(symbol),
                opens_at=(pl.lit(midnight, UTC_INSTANT) + pl.duration(milliseconds=ms)),
                opens_at_text=pl.lit(f"{day:%Y-%m-%d} UTC + ") + pl.col("ms_text") + " ms",
                open="open",
                high="high",
                low="low",
                close="close",
                volume="volume",
                bid="bid",
                ask="ask",
                source=pl.lit(f"lean:{expiry}"),
                source_row=pl.col("source_row").cast(pl.Int64),
            )
        )

    def _front_month(self, symbol: str, day: date) -> str:
        """The expiry that led on the last earlier day, if it still trades; else today's leader."""
        today = _volumes(_zip_path(self.folder, day, "trade"), symbol)
        earlier = [
            other
            for other in _days(self.folder)
            if timedelta(0) < day - other <= timedelta(days=LEADER_DAYS_BACK)
        ]
        if earlier:
            leader = _leader(_volumes(_zip_path(self.folder, earlier[-1], "trade"), symbol))
            if leader in today:
                return leader
        return _leader(today)


_EMPTY: Final = pl.DataFrame(
    schema={
        "symbol": pl.String(),
        "opens_at": UTC_INSTANT,
        "opens_at_text": pl.String(),
        **dict.fromkeys(("open", "high", "low", "close", "volume", "bid", "ask"), pl.String()),
        "source": pl.String(),
        "source_row": pl.Int64(),
    }
)
_NO_QUOTES: Final = pl.DataFrame(schema=dict.fromkeys(QUOTE_COLUMNS, pl.String()))


def _zip_path(folder: Path, day: date, kind: str) -> Path:
    return folder / f"{day:%Y%m%d}_{kind}.zip"


def _days(folder: Path) -> list[date]:
    """UTC days with a trade file, ascending; raises `SourceError` for a folder without any."""
    if not folder.is_dir():
        raise SourceError(
            f"lean source: expected a folder, {folder} is not one; give the folder with the "
            "YYYYMMDD_trade.zip files"
        )
    names = sorted(path.name for path in folder.iterdir())
    found = [match.group(1) for name in names if (match := _ZIP_NAME.fullmatch(name))]
    if not found:
        raise SourceError(
            f"lean source: expected files named YYYYMMDD_trade.zip in {folder}, found "
            f"{', '.join(names[:3]) or 'nothing'}; give the folder that holds the daily zips"
        )
    return [date.fromisoformat(text) for text in found]


def _closing_quotes(quotes: pl.DataFrame) -> pl.DataFrame:
    """Bid and ask at the close of each minute; of two rows for one minute the later one."""
    return quotes.select("ms_text", "bid", "ask").unique("ms_text", keep="last")


def _leader(volumes: dict[str, float]) -> str:
    """The expiry with most volume; of equals the nearer."""
    return min(volumes, key=lambda expiry: (-volumes[expiry], expiry))


@lru_cache(maxsize=64)
def _volumes_of(path: Path, _mtime_ns: int, symbol: str) -> tuple[tuple[str, float], ...]:
    rows = _csv_rows(path, symbol, "trade", TRADE_COLUMNS)
    volume = pl.col("volume").cast(pl.Float64, strict=False).sum()
    return tuple((expiry, float(frame.select(volume).item())) for expiry, frame in rows.items())


def _volumes(path: Path, symbol: str) -> dict[str, float]:
    """Traded volume per expiry of one day."""
    return dict(_volumes_of(path, path.stat().st_mtime_ns, symbol))


def _csv_rows(
    path: Path, symbol: str, kind: str, columns: tuple[str, ...]
) -> dict[str, pl.DataFrame]:
    """All rows of one zip as text, by expiry; raises `SourceError` naming the file."""
    frames: dict[str, pl.DataFrame] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                match = _CSV_NAME.fullmatch(member)
                if match is None or match.group(2) != kind:
                    raise SourceError(
                        f"{path}: expected members YYYYMMDD_<product>_minute_{kind}_YYYYMM.csv, "
                        f"got {member}; is this a LEAN futures minute file?"
                    )
                _check_product(path, match.group(1), symbol)
                frames[match.group(3)] = _text_rows(archive.read(member), columns, path, member)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise SourceError(
            f"{path}: expected a whole zip file, got a truncated or corrupt one ({error}); "
            "fetch this file again and repeat the ingest: days already stored are kept"
        ) from error
    if not frames:
        raise SourceError(f"{path}: expected one CSV per expiry, the zip is empty; fetch it again")
    return frames


def _check_product(path: Path, product: str, symbol: str) -> None:
    """A micro contract may be read from its full-size sibling: same index, same tick."""
    accepted = {symbol.lower(), symbol.lower().removeprefix("m")}
    if product.lower() not in accepted:
        raise SourceError(
            f"{path}: expected {symbol} bars ({' or '.join(sorted(accepted))}), got {product}; "
            "choose the folder of that product or another --symbol"
        )


def _text_rows(content: bytes, columns: tuple[str, ...], path: Path, member: str) -> pl.DataFrame:
    """Headerless CSV as text columns; an empty file has no rows."""
    if not content.strip():
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String()))
    try:
        rows = pl.read_csv(
            content, has_header=False, infer_schema=False, truncate_ragged_lines=False
        )
    except pl.exceptions.ComputeError as error:
        raise SourceError(
            f"{path}: {member}: expected {len(columns)} values in every line ({error}); "
            "fetch this file again"
        ) from error
    if rows.width != len(columns):
        raise SourceError(
            f"{path}: {member}: expected {len(columns)} values a line "
            f"({', '.join(columns)}), got {rows.width}"
        )
    return rows.rename(dict(zip(rows.columns, columns, strict=True)))
