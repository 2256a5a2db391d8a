"""The journal on disk: SQLite in WAL mode with `synchronous=FULL`; one writer, many readers.

A transaction that returned survives a power cut; what can be made again may ask for less and is
written faster. The writer holds an operating-system lock while it is open, continues the chain only
from the head it left, and keeps sessions in the order of their dates.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from filelock import FileLock, Timeout

from engine.errors import JournalError, RetryLater
from engine.journal import (
    START,
    Broken,
    Chain,
    Entry,
    Event,
    Head,
    Kind,
    Stamp,
    Verified,
    row_of,
    verify,
)
from pipelines.journal_table import ACTS, SCHEMA, Survives, insert

_LAST_SEQ: Final = 2**62
_COLUMNS: Final = ", ".join(Event._fields)
_EVERY_MINUTE: Final = frozenset({Kind.BAR, Kind.DECISION})
_BUSY_MILLISECONDS: Final = 5_000
_BOOKS: Final = (Kind.EXECUTION, Kind.COMMISSION, Kind.ACCOUNT, Kind.SESSION)
_SEALS: Final = (
    "select s.session_date, max(e.seq), e.hash from entries e join stamps s on s.id = e.stamp"  # noqa: S608 - our own words.
    f" where e.kind in ({', '.join('?' * len(_BOOKS))}) and {ACTS} group by s.session_date"
)
"""SQLite takes the hash from the row of the greatest number."""


class JournalWriter:
    """The one writer of a journal file; use it as a context manager.

    Raises `RetryLater` when another process is writing, `JournalError` when the file's end is not
    the head that was left there.
    """

    def __init__(self, path: Path, *, survives: Survives = Survives.POWER_CUT) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RetryLater(
                f"{path}: another process is writing this journal; stop it before starting a second"
            ) from None
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in (f"busy_timeout={_BUSY_MILLISECONDS}", *survives.value):
            self._connection.execute(f"pragma {pragma}")
        self._connection.executescript(SCHEMA.format(genesis=START.hash, acts=ACTS))
        self._stamps: dict[Stamp, int] = {}
        self._is_one_transaction = survives is Survives.NOTHING
        self._chain = Chain(_checked_head(self._connection, path))
        self._committed = self._chain.head

    @property
    def head(self) -> Head:
        return self._chain.head

    def append(self, entries: Iterable[Entry], stamp: Stamp) -> list[Event]:
        """Seal these facts and commit them in one durable transaction, or leave all as it was.

        Raises `JournalError` when the disk refuses; nothing may be sent to a broker then.
        """
        with self._transaction(stamp) as stamp_id:
            events = self._chain.seal(entries, stamp)
            insert(self._connection, map(row_of, events), stamp_id)
        return events

    def stream(self, entries: Iterable[Entry], stamp: Stamp) -> None:
        """`append` for many facts that nobody asks back: stored while they are being sealed."""
        with self._transaction(stamp) as stamp_id:
            insert(self._connection, self._chain.rows(entries, stamp), stamp_id)

    @contextmanager
    def _transaction(self, stamp: Stamp) -> Iterator[int]:
        """All or nothing, on disk and in memory: gives the stamp's number in the file."""
        connection = self._connection
        try:
            if not connection.in_transaction:
                connection.execute("begin immediate")
            yield self._stamp_id(stamp)
            if not self._is_one_transaction:
                self._commit()
        except BaseException as error:
            self._chain.head = self._committed
            self._stamps.clear()
            if connection.in_transaction:
                connection.execute("rollback")
            if isinstance(error, sqlite3.Error):
                raise JournalError(
                    f"the journal could not be written after event {self._committed.seq}: {error}; "
                    "free disk space or repair the file before the desk trades again"
                ) from error
            raise

    def _commit(self) -> None:
        self._connection.execute("insert or replace into head values (1, ?, ?)", self._chain.head)
        self._connection.execute("commit")
        self._committed = self._chain.head

    def _stamp_id(self, stamp: Stamp) -> int:
        known = self._stamps.get(stamp)
        if known is not None:
            return known
        fields = (stamp.session_date.isoformat(), stamp.contracts_hash, stamp.code_version)
        later = self._connection.execute(
            "select max(session_date) from stamps where session_date > ?", fields[:1]
        ).fetchone()[0]
        if later is not None:
            raise JournalError(f"session {fields[0]} comes after session {later} in one journal")
        self._connection.execute(
            "insert or ignore into stamps"
            " (session_date, contracts_hash, code_version, first_seq) values (?, ?, ?, ?)",
            (*fields, self.head.seq + 1),
        )
        row = self._connection.execute(
            "select id from stamps"
            " where session_date = ? and contracts_hash = ? and code_version = ?",
            fields,
        ).fetchone()
        self._stamps = {stamp: int(row[0])}
        return self._stamps[stamp]

    def close(self) -> None:
        """Commit what is left, close the file and let another writer in."""
        try:
            if self._connection.in_transaction:
                self._commit()
        finally:
            self._connection.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _checked_head(connection: sqlite3.Connection, path: Path) -> Head:
    """The head that was left, which must be the last event that is there."""
    kept = _kept_head(connection)
    last = connection.execute("select seq, hash from entries order by seq desc limit 1").fetchone()
    found = START if last is None else Head(*last)
    if kept != found:
        raise JournalError(
            f"{path}: the journal was left at event {kept.seq} but ends at {found.seq}; "
            "restore the last good copy before the desk writes to it"
        )
    return found


def _kept_head(connection: sqlite3.Connection) -> Head:
    row = connection.execute("select seq, hash from head").fetchone()
    return START if row is None else Head(*row)


def journal_paths(folder: Path) -> list[Path]:
    """Every journal of a data home, the one written last first; equal times by name."""
    paths = sorted(folder.rglob("*.sqlite"))
    return sorted(paths, key=written_at_ns, reverse=True)


def written_at_ns(path: Path) -> int:
    """When a journal was written last, in nanoseconds of wall time since 1970.

    What SQLite did not put in its place yet, as after SIGKILL, is in a file of its own beside it.
    """
    beside = path.with_name(f"{path.name}-wal")
    try:
        kept = beside.stat()
    except FileNotFoundError:
        return path.stat().st_mtime_ns
    written = kept.st_mtime_ns if kept.st_size else 0  # A reader leaves an empty one.
    return max(path.stat().st_mtime_ns, written)


class JournalReader:
    """Reads a journal that somebody else may be writing; every call sees one committed state."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise JournalError(f"{path}: expected a journal, found no file; has a session run yet?")
        self._path = path

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None)
        connection.execute(f"pragma busy_timeout={_BUSY_MILLISECONDS}")
        try:
            yield connection
        except ValueError as error:  # Of text that is none, or a date that is none.
            raise sqlite3.DatabaseError(f"{self._path}: damaged text, {error}") from None
        finally:
            connection.close()

    def head(self) -> Head:
        """Number and hash of the last event, as the writer left them."""
        with self._connect() as connection:
            return _kept_head(connection)

    def has(self, head: Head) -> bool:
        """Whether the event of this number is there, with this hash."""
        with self._connect() as connection:
            found = connection.execute("select 1 from entries where seq = ? and hash = ?", head)
            return found.fetchone() is not None

    def events(
        self,
        *,
        after: int = 0,
        session_date: date | None = None,
        kinds: Sequence[Kind] = (),
    ) -> Iterator[Event]:
        """Events in order, after a number, of one session and of these kinds if any are named."""
        with self._connect() as connection:
            first, last = after + 1, _LAST_SEQ
            if session_date is not None:
                from_seq, last = _range_of(connection, session_date)
                first = max(first, from_seq)
            parameters = (first, last, *(kind.value for kind in kinds))
            for row in connection.execute(_query_of(kinds), parameters):
                yield Event._make(row)

    def sessions(self) -> list[date]:
        """Dates of the sessions that left events, oldest first."""
        with self._connect() as connection:
            rows = connection.execute("select distinct session_date from stamps order by 1")
            return [date.fromisoformat(day) for (day,) in rows]

    def seals(self) -> dict[date, str]:
        """By session: the hash of the last event that tells of fills, fees or the account.

        It holds all that was journalled before; what a person does after the close changes none.
        """
        with self._connect() as connection:
            rows = connection.execute(_SEALS, [kind.value for kind in _BOOKS])
            return {date.fromisoformat(day): sealed for day, _, sealed in rows}

    def verify(self) -> Verified | Broken:
        """Follow the whole chain to the head that the writer left."""
        return verify(self.events(), end=self.head())


def _query_of(kinds: Sequence[Kind]) -> str:
    """Wants the first and last number, and the kinds; a few kinds are not sought among all bars."""
    chosen = f"and kind in ({', '.join('?' * len(kinds))})" if kinds else ""
    acts = f"and {ACTS}" if kinds and _EVERY_MINUTE.isdisjoint(kinds) else ""
    return f"select {_COLUMNS} from events where seq between ? and ? {chosen} {acts} order by seq"  # noqa: S608


def _range_of(connection: sqlite3.Connection, session_date: date) -> tuple[int, int]:
    """First and last number that events of a session can have; an empty range if it has none."""
    first, following = connection.execute(
        "select min(first_seq) filter (where session_date = ?1),"
        " min(first_seq) filter (where session_date > ?1) from stamps",
        (session_date.isoformat(),),
    ).fetchone()
    if first is None:
        return 1, 0
    return int(first), _LAST_SEQ if following is None else int(following) - 1
