"""Where things are under one data home; nothing else in the code knows a path."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.storage.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folder that `CREDENCE_HOME` names; market tables may lie in a bucket instead."""

    root: Path
    bucket_url: str | None = None

    @property
    def market(self) -> Path:
        """Market tables that lie on this machine."""
        return self.root / "market"

    @property
    def tables(self) -> "Place":
        """Market tables: `<table>/<symbol>/<session date>.parquet`, here or in the bucket."""
        if self.bucket_url is not None:
            from pipelines.storage.bucket import Bucket

            return Bucket(url=self.bucket_url)
        from pipelines.storage.places import Folder

        return Folder(root=self.market, aside=self.aside)

    @property
    def warehouse(self) -> Path:
        """Desk tables, one DuckDB file."""
        return self.root / "warehouse.duckdb"

    @property
    def journals(self) -> Path:
        """Journals, one SQLite file each; those of rehearsals in folders of their own."""
        return self.root / "journals"

    @property
    def learning(self) -> Path:
        """Journals of what the nights changed, one per symbol; they tell of no session's play."""
        return self.journals / "learning"

    @property
    def published(self) -> Path:
        """The read-only copy of the warehouse for notebooks and other readers."""
        return self.root / "published.duckdb"

    @property
    def aside(self) -> Path:
        """Where a new version of a file is written before it takes its place."""
        return self.root / ".aside"

    @property
    def stopwatch(self) -> Path:
        """Environments of the engines that the bench runs beside ours."""
        return self.root / "stopwatch"

    def partition(self, table: str, symbol: str, session_date: date) -> Path:
        """The file of one session of a market table that lies on this machine."""
        return self.market / partition_name(table, symbol, session_date)


def partition_name(table: str, symbol: str, session_date: date) -> str:
    """The name of the file of one session of a market table."""
    return f"{table}/{symbol}/{session_date.isoformat()}.parquet"
