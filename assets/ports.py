"""What the assets need from the outside: a source of bars, the market tables and the warehouse.

The implementations live in `pipelines`; tests pass their own.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import polars as pl

from engine.journal import Broken, Event, Kind, Verified


class BarSource(Protocol):
    """Delivers raw bars as it finds them; what is a bar is decided by `engine.bars.check_bars`."""

    @property
    def name(self) -> str:
        """The words after `credence ingest` that name this source."""
        ...

    def date_range(self) -> tuple[date, date] | None:
        """First and last date it has; null when it can deliver any date."""
        ...

    def read(self, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Raw rows whose UTC date is in the range, in source order, as `check_bars` wants them.

        Empty when it has none for those dates. Raises `SourceError`.
        """
        ...


class Written(Protocol):
    """What a write did."""

    @property
    def path(self) -> Path: ...

    @property
    def rows(self) -> int: ...

    @property
    def changed(self) -> bool:
        """False when the stored bytes were already the same."""
        ...

    @property
    def sha256(self) -> str: ...


class MarketStore(Protocol):
    """Market tables: one Parquet file per table, symbol and session date."""

    def write(self, table: str, rows: pl.DataFrame, *, symbol: str, session_date: date) -> Written:
        """Validate against the table's schema and replace the partition in one step."""
        ...

    def read(self, table: str, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Rows of the stored partitions in the range, in order of session; empty if none."""
        ...

    def session_dates(self, table: str, symbol: str) -> Sequence[date]:
        """Dates of the stored partitions, ascending."""
        ...

    def remove(self, table: str, *, symbol: str, session_date: date) -> bool:
        """Delete a partition; false if there was none."""
        ...


class Warehouse(Protocol):
    """Desk tables in DuckDB, and the one SQL surface over them and the market tables."""

    def replace_partition(
        self, table: str, rows: pl.DataFrame, *, symbol: str, session_date: date
    ) -> bool:
        """Validate and replace the rows of one session in one transaction; false if equal."""
        ...

    def read(self, table: str, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Rows of a desk table in the range, in the schema's column order."""
        ...

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pl.DataFrame:
        """Answer a read-only question over desk and market tables."""
        ...

    def publish(self) -> Path:
        """Put a read-only copy beside the warehouse for notebooks and other readers."""
        ...


class PlayedSession(Protocol):
    """What playing one session came to; the journal holds everything behind these numbers."""

    @property
    def journal(self) -> Path: ...

    @property
    def digest(self) -> str: ...

    @property
    def events(self) -> int: ...

    @property
    def actions(self) -> Mapping[str, int]: ...

    @property
    def reasons(self) -> Mapping[str, int]: ...

    @property
    def exits(self) -> Mapping[str, int]: ...

    @property
    def equity_usd(self) -> Decimal: ...


class Rehearsals(Protocol):
    """Sessions played on the simulated exchange, one journal each, replaced when played again."""

    def play(
        self,
        session_date: date,
        contexts: pl.DataFrame,
        bars: pl.DataFrame,
        *,
        equity_usd: Decimal,
        seed: int,
    ) -> PlayedSession:
        """Play one session from its open to its close and keep its journal."""
        ...

    def events(self, session_date: date, *kinds: Kind) -> Sequence[Event]:
        """Events of the session's journal, of these kinds; raises `JournalError` without one."""
        ...

    def verify(self, session_date: date) -> Verified | Broken:
        """Follow the hash chain of the session's journal to its end."""
        ...
