"""Where a replay's facts go: a chain in memory, or a file that may already hold its beginning."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from engine.desk import Fact, SessionClosed, fact_of
from engine.errors import JournalError
from engine.journal import START, Chain, Entry, Event, Head, Kind, Stamp
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.journal_table import Survives


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a journal already holds of a replay, up to its last session that ended flat.

    `last_date` is null, and there are no facts, where nothing can be kept.
    """

    last_date: date | None = None
    equity_usd: Decimal | None = None
    facts: Iterable[Fact | None] = ()


class JournalSink(Protocol):
    """Takes the facts of one session at a time, and says from where a replay goes on."""

    @property
    def head(self) -> Head: ...
    def beginning(self) -> Beginning: ...
    def commit(self, entries: list[Entry], stamp: Stamp) -> None: ...


class MemorySink:
    """Seals every fact and keeps only the head: the digest without the journal."""

    def __init__(self) -> None:
        self._chain = Chain()

    @property
    def head(self) -> Head:
        return self._chain.head

    def beginning(self) -> Beginning:
        return Beginning()

    def commit(self, entries: list[Entry], stamp: Stamp) -> None:
        deque(self._chain.rows(entries, stamp), maxlen=0)


class StoredSink:
    """A journal file. What it holds after its last flat session is played again, and must match.

    Raises `JournalError` on the first event that comes out different.
    """

    def __init__(self, path: Path, *, survives: Survives = Survives.KILL) -> None:
        self._writer = JournalWriter(path, survives=survives)
        self._reader = JournalReader(path)
        self._boundary = self._last_flat_close()
        boundary = self._boundary
        self._chain = Chain(START if boundary is None else Head(boundary.seq, boundary.hash))
        self._known = self._reader.events(after=self._chain.head.seq)

    @property
    def head(self) -> Head:
        return self._chain.head

    def beginning(self) -> Beginning:
        boundary = self._boundary
        if boundary is None:
            return Beginning()
        closed = fact_of(boundary)
        kinds = tuple(kind for kind in Kind if kind is not Kind.DECISION)
        events = self._reader.events(kinds=kinds)
        return Beginning(
            last_date=date.fromisoformat(boundary.session_date),
            equity_usd=closed.equity_usd if isinstance(closed, SessionClosed) else None,
            facts=(fact_of(event) for event in events if event.seq <= boundary.seq),
        )

    def commit(self, entries: list[Entry], stamp: Stamp) -> None:
        held = max(self._writer.head.seq - self._chain.head.seq, 0)
        for event in self._chain.seal(entries[:held], stamp):
            if next(self._known) != event:
                raise JournalError(
                    f"event {event.seq} came out different from the stored one; the bars, rules, "
                    "seed or code are not those of this journal: replay into a new file"
                )
        if entries[held:]:
            self._writer.stream(entries[held:], stamp)
            self._chain.head = self._writer.head

    def close(self) -> None:
        """Let another writer in."""
        self._writer.close()

    def _last_flat_close(self) -> Event | None:
        last: Event | None = None
        for event in self._reader.events(kinds=(Kind.SESSION,)):
            fact = fact_of(event)
            if isinstance(fact, SessionClosed) and fact.position == 0:
                last = event
        return last
