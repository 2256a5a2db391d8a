"""Market tables: one Parquet file per table, symbol and session, replaced in one step."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from contracts.schemas import columns_of
from engine.errors import SchemaError
from pipelines.storage.atomic import write_atomically
from pipelines.storage.home import Home
from pipelines.storage.partition import validated


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPartition:
    """What a write did; `changed` is false when the stored bytes were already the same."""

    path: Path
    rows: int
    changed: bool
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetStore:
    """The market tables of one data home.

    A reader never sees half a file: it opens either the version before a write or the one after.
    """

    home: Home

    def write(
        self, table: str, rows: pl.DataFrame, *, symbol: str, session_date: date
    ) -> WrittenPartition:
        """Validate and replace one partition; the same rows give the same bytes.

        Raises `SchemaError` before anything is written, `StorageFull` with the old file intact.
        """
        valid = validated(table, rows, symbol, [session_date])
        buffer = io.BytesIO()
        # One chunk: Polars lays out a file by the chunks in memory, which are not part of the rows.
        valid.rechunk().write_parquet(buffer, compression="zstd", statistics=True)
        content = buffer.getvalue()
        path = self.home.partition(table, symbol, session_date)
        return WrittenPartition(
            path=path,
            rows=valid.height,
            changed=write_atomically(path, content, self.home.aside),
            sha256=hashlib.sha256(content).hexdigest(),
        )

    def read(self, table: str, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Rows of the stored sessions in the range, oldest first; empty if there are none.

        Raises `SchemaError` naming a file that cannot be read.
        """
        dates = [day for day in self.session_dates(table, symbol) if first_date <= day <= last_date]
        paths = [self.home.partition(table, symbol, day) for day in dates]
        if not paths:
            return pl.DataFrame(schema=columns_of(table))
        try:
            return pl.read_parquet(paths)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SchemaError(
                f"{_first_unreadable(paths)}: expected a stored partition of {table}, could not "
                f"read it ({error}); delete the file and materialise the session again"
            ) from error

    def session_dates(self, table: str, symbol: str) -> Sequence[date]:
        """Dates of the stored partitions, ascending."""
        folder = self.home.market / table / symbol
        if not folder.is_dir():
            return []
        return sorted(date.fromisoformat(path.stem) for path in folder.glob("*.parquet"))

    def remove(self, table: str, *, symbol: str, session_date: date) -> bool:
        """Delete a partition; false if there was none."""
        path = self.home.partition(table, symbol, session_date)
        existed = path.exists()
        path.unlink(missing_ok=True)
        return existed


def _first_unreadable(paths: Sequence[Path]) -> Path:
    for path in paths:
        try:
            pl.read_parquet_schema(path)
        except (pl.exceptions.PolarsError, OSError):
            return path
    return paths[0]
