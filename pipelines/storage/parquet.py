"""Market tables: one Parquet file per table, symbol and session, replaced in one step."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

import polars as pl

from contracts.schemas import columns_of
from engine.errors import SchemaError
from pipelines.storage.home import Home, partition_name
from pipelines.storage.partition import validated
from pipelines.storage.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPartition:
    """What a write did; `changed` is false when the stored bytes were already the same."""

    path: Path | str
    rows: int
    changed: bool
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetStore:
    """The market tables of one data home.

    A reader never sees half a file: it opens either the version before a write or the one after.
    In a bucket it also raises `SettingsError` for what the store refuses, and `StoreUnreachable`.
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
        place, name = self.home.tables, partition_name(table, symbol, session_date)
        return WrittenPartition(
            path=place.where(name),
            rows=valid.height,
            changed=place.replace(name, content),
            sha256=hashlib.sha256(content).hexdigest(),
        )

    def read(self, table: str, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Rows of the stored sessions in the range, oldest first; empty if there are none.

        Raises `SchemaError` naming a file that cannot be read.
        """
        dates = [day for day in self.session_dates(table, symbol) if first_date <= day <= last_date]
        place, names = self.home.tables, [partition_name(table, symbol, day) for day in dates]
        if not names:
            return pl.DataFrame(schema=columns_of(table))
        try:
            return place.read(names)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SchemaError(
                f"{_first_unreadable(place, names)}: expected a stored partition of {table}, could "
                f"not read it ({error}); delete the file and materialise the session again"
            ) from error

    def session_dates(self, table: str, symbol: str) -> Sequence[date]:
        """Dates of the stored partitions, ascending."""
        names = self.home.tables.names(f"{table}/{symbol}")
        return [date.fromisoformat(PurePosixPath(name).stem) for name in names]

    def remove(self, table: str, *, symbol: str, session_date: date) -> bool:
        """Delete a partition; false if there was none."""
        return self.home.tables.remove(partition_name(table, symbol, session_date))


def _first_unreadable(place: Place, names: Sequence[str]) -> Path | str:
    doubtful = next((name for name in names if not place.is_readable(name)), names[0])
    return place.where(doubtful)
