"""What the assets need from the outside: a source of bars, the market tables and the warehouse.

The implementations live in `pipelines`; tests pass their own.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import polars as pl

from engine.calendar import Session
from engine.journal import Broken, Event, Kind, Verified
from engine.kill import KillSwitch
from engine.learning.acceptance import DifferenceAccepted
from engine.learning.lessons import About, NightLearned, OddsChanged
from engine.learning.reliability import TrustChanged

if TYPE_CHECKING:
    import dagster as dg  # Replay and the command line read these ports without Dagster.


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
    def path(self) -> Path | str:
        """Where it lies: a path, or an address in an object store."""
        ...

    @property
    def rows(self) -> int: ...

    @property
    def changed(self) -> bool:
        """False when the stored bytes were already the same."""
        ...

    @property
    def sha256(self) -> str: ...


class MarketStore(Protocol):
    """Market tables: one Parquet file per table, symbol and session date, here or in a bucket."""

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

    def replace_partitions(
        self, table: str, rows: pl.DataFrame, *, symbol: str, session_dates: Sequence[date]
    ) -> int:
        """Validate and replace the rows of sessions in one transaction; how many differed."""
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


class SeenBars(Protocol):
    """What the desk saw of the sessions that it traded."""

    def of(self, session: Session) -> pl.DataFrame:
        """The bars it decided, as it saw them, in the columns of `bars`; none where it traded none.

        Their `source` is `SEEN`.
        """
        ...


class PlayedSession(Protocol):
    """What playing one session came to; the journal holds everything behind these numbers."""

    @property
    def ending(self) -> str:
        """`closed` at the bell, or `stopped` before it."""
        ...

    @property
    def journal(self) -> Path: ...

    @property
    def digest(self) -> str: ...

    @property
    def bars(self) -> pl.DataFrame:
        """The checked bars that the desk saw, in the columns of `bars`."""
        ...

    def events(self, *kinds: Kind) -> Sequence[Event]:
        """The session's events in its journal, of these kinds."""
        ...


class SessionRuns(Protocol):
    """The desk live, at the broker of the settings or in a rehearsal; one session at a time."""

    def run(
        self,
        session_date: date,
        *,
        instance: "dg.DagsterInstance",
        confirmed_account: str | None,
        told: Callable[[str], None],
    ) -> PlayedSession:
        """Trade a session as the settings say, to its end; each line as it happens goes to `told`.

        Raises `NotAuthorised` unless the instance says that the session's preopen is green.
        `confirmed_account` is what a person typed, which mode LIVE asks for. An interrupt ends the
        run by its policy and is raised again.
        """
        ...

    def rehearse(
        self,
        session_date: date,
        *,
        equity_usd: Decimal,
        seed: int,
        speed: str,
        told: Callable[[str], None],
    ) -> PlayedSession:
        """Play a stored or generated session through the simulated gateway, on books of its own.

        Raises `SourceError` when neither the store nor the source has bars of it.
        """
        ...


class LearningJournal(Protocol):
    """What nights changed, journalled once each."""

    def record(
        self,
        about: About,
        learned: Mapping[date, Sequence[TrustChanged | OddsChanged]],
        *,
        done_before: Collection[date] = (),
    ) -> Sequence[NightLearned]:
        """Append what each night changed unless it is known, and return what was new of it.

        What a night of `done_before` comes to for the first time corrects what it said. Raises
        `RetryLater` while another process writes.
        """
        ...


class SwitchNow(Protocol):
    """Reads the kill switch of the desk, whoever moved it last, with a session or without one."""

    def __call__(self) -> KillSwitch:
        """As the journal's events leave it now; raises `JournalError` when they cannot be read."""
        ...


class SessionJournals(Protocol):
    """What is journalled of a session: of one that was traded, or else of its last rehearsal."""

    def events(self, session_date: date, *kinds: Kind) -> Sequence[Event]:
        """Events of the session, of these kinds; raises `JournalError` without a journal."""
        ...

    def fills_before(self, session_date: date) -> Iterable[Event]:
        """Executions that the sessions before left in the journal of this one; read as asked for.

        Raises `JournalError` without a journal.
        """
        ...

    def accepted(self, session_date: date) -> Sequence[DifferenceAccepted]:
        """What people accepted of the session's books, oldest first."""
        ...

    def seals(self, session_dates: Sequence[date]) -> Mapping[date, str]:
        """By session: a hash that differs once its fills or its account were corrected."""
        ...

    def traded_dates(self) -> AbstractSet[date]:
        """The sessions of the desk, in whatever mode, today's too if it is under way."""
        ...

    def refuse_untraded(self, session_dates: Sequence[date]) -> None:
        """Raises `JournalError` for a session that no night may learn from.

        It is one that the desk did not trade though it had traded before: whoever rehearsed it.
        """
        ...

    def verify(self, session_date: date) -> Verified | Broken:
        """Follow the hash chain of the session's journal to its end."""
        ...
