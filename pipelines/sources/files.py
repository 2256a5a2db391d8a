"""Bars from one CSV or Parquet file with conventional column names and a stated time zone."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import polars as pl

from engine.errors import SourceError
from pipelines.sources.options import FileOptions
from pipelines.sources.table import named, raw_bars


class FileKind(StrEnum):
    """The two file formats."""

    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """One file of bars. CSV prices stay text, so that the grid is judged on what is written."""

    kind: FileKind
    path: Path
    options: FileOptions

    @property
    def name(self) -> str:
        """`csv:PATH` or `parquet:PATH`."""
        return f"{self.kind}:{self.path}"

    def date_range(self) -> tuple[date, date] | None:
        """First and last UTC date of the file."""
        dates = self._rows()["_date"].drop_nulls()
        first, last = dates.min(), dates.max()
        return (first, last) if isinstance(first, date) and isinstance(last, date) else None

    def read(self, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Rows of the range in file order; a row without a readable time goes with the one before.

        `source_row` is the line number of a CSV and counts from 0 in Parquet.
        """
        rows = named(self._rows(), symbol, self.path)
        return rows.filter(pl.col("_date").is_between(first_date, last_date)).drop("_date")

    def _rows(self) -> pl.DataFrame:
        try:
            stat = self.path.stat()
        except OSError as error:
            raise SourceError(
                f"{self.name}: cannot open the file ({error.strerror}); give the path of one file"
            ) from error
        return _parsed(self.kind, self.path, self.options, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _parsed(
    kind: FileKind, path: Path, options: FileOptions, _mtime_ns: int, _size: int
) -> pl.DataFrame:
    """The whole file as raw bars plus `_date`; kept while the file is read session by session."""
    table = _csv_table(path) if kind is FileKind.CSV else _parquet_table(path)
    first_row = 2 if kind is FileKind.CSV else 0
    rows = raw_bars(table, path=path, kind=kind.value, options=options, first_row=first_row)
    utc_date = pl.col("opens_at").dt.date()
    return rows.with_columns(
        _date=utc_date.fill_null(strategy="forward").fill_null(strategy="backward")
    )


def _csv_table(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(path, infer_schema=False)
    except pl.exceptions.NoDataError as error:
        raise SourceError(
            f"{path}: expected a header and one row per minute, the file is empty; check the export"
        ) from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(
            f"{path}: expected a CSV file with a header, could not read it ({error}); "
            "check the separator and that every line has as many values as the header"
        ) from error


def _parquet_table(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(
            f"{path}: expected a whole Parquet file, could not read it ({error}); export it again"
        ) from error
