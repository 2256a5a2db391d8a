"""Which journal tells of a session: the one of the desk that traded it, or else a rehearsal's."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from engine.calendar import Session
from engine.desk import Mode, SessionClosed, fact_of
from engine.errors import JournalError
from engine.journal import Broken, Event, Kind, Verified
from engine.learning.acceptance import DifferenceAccepted
from engine.rules import Rules
from pipelines.journal_store import JournalReader
from pipelines.learning_journal import LearningJournal
from pipelines.session.files import SessionFiles
from pipelines.storage import Home

TRADED: Final = (Mode.LIVE, Mode.PAPER, Mode.OBSERVE)
"""The modes of a desk; those before tell of a session rather than those after."""

_PLAYED: Final = (Kind.DECISION, Kind.EXECUTION)


def mode_that_tells(files: SessionFiles, symbol: str, session_date: date) -> Mode | None:
    """The mode whose journal tells of a session, and whose bars are those the desk saw.

    Should several have run it, it is the first of `TRADED` that decided or filled anything, and the
    first of all if none did. Null where the desk never ran it.
    """
    readers = {mode: _reader(files.journal(mode, symbol)) for mode in TRADED}
    having = {
        mode: reader
        for mode, reader in readers.items()
        if reader is not None and session_date in reader.sessions()
    }
    if len(having) > 1:
        for mode, reader in having.items():
            if next(reader.events(session_date=session_date, kinds=_PLAYED), None) is not None:
                return mode
    return next(iter(having), None)


def _reader(path: Path) -> JournalReader | None:
    return JournalReader(path) if path.is_file() else None


SETTLED: Final = timedelta(hours=1)
"""After the close: so long a run may still go on with its session."""


def is_over(events: Iterable[Event], session: Session, now: datetime) -> bool:
    """Whether a session was closed in its journal, or nobody can go on with it any more."""
    told = [event for event in events if event.kind == Kind.SESSION]
    is_closed = bool(told) and isinstance(fact_of(told[-1]), SessionClosed)
    return is_closed or now > session.closes_at + SETTLED


@lru_cache(maxsize=8)
def _verified(path: Path, _stamp: tuple[int, int]) -> Verified | Broken:
    """The verdict on a journal as it is now: many sessions may lie in one."""
    return JournalReader(path).verify()


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeJournals:
    """The journals of one home and instrument."""

    home: Home
    rules: Rules

    def events(self, session_date: date, *kinds: Kind) -> Sequence[Event]:
        """Events of the session, all kinds if none is named; raises `JournalError` without any."""
        reader = JournalReader(self.path(session_date))
        return list(reader.events(session_date=session_date, kinds=kinds))

    def verify(self, session_date: date) -> Verified | Broken:
        """Follow the chain of the session's journal to the head that was left."""
        path = self.path(session_date)
        if not path.is_file():
            return JournalReader(path).verify()
        stat = path.stat()
        return _verified(path, (stat.st_mtime_ns, stat.st_size))

    def fills_before(self, session_date: date) -> Iterator[Event]:
        """Executions of the sessions before, in the journal that tells of this one, as asked for.

        Raises `JournalError` without a journal.
        """
        path = self.path(session_date)
        for event in JournalReader(path).events(kinds=(Kind.EXECUTION,)):
            if event.session_date >= str(session_date):
                return
            yield event

    def accepted(self, session_date: date) -> Sequence[DifferenceAccepted]:
        """What people accepted of the session's books, oldest first."""
        path = self.home.learning / f"{self.rules.instrument.symbol}.sqlite"
        return LearningJournal(path=path, rules=self.rules).accepted(session_date)

    def seals(self, session_dates: Sequence[date]) -> dict[date, str]:
        """By session: the seal on its fills and its account; a session without a journal has none.

        It differs once something of them, or of what was journalled before, was corrected.
        """
        found: dict[date, str] = {}
        for path in (*map(self.rehearsed, session_dates), self.replayed):
            if path.is_file():
                found = {**JournalReader(path).seals(), **found}
        desks = {mode: reader.seals() for mode in TRADED if (reader := _reader(self.traded(mode)))}
        for day in session_dates:
            sealing = [mode for mode, sealed in desks.items() if day in sealed]
            mode = sealing[0] if len(sealing) == 1 else self._telling(day) if sealing else None
            if mode is not None:
                found[day] = desks[mode][day]
        return {day: found[day] for day in session_dates if day in found}

    def teaching(self, session_dates: Sequence[date]) -> set[date]:
        """Those that a night may learn from: a journal tells of them, and the desk was there.

        Before its first session in any mode it learns from rehearsals and replays; since then a day
        that it did not trade teaches nothing, whoever rehearsed it.
        """
        traded = self.traded_dates()
        first = min(traded, default=date.max)
        replayed = set(JournalReader(self.replayed).sessions()) if self.replayed.is_file() else ()
        return {
            day
            for day in session_dates
            if day in traded or (day < first and (day in replayed or self.rehearsed(day).is_file()))
        }

    def refuse_untraded(self, session_dates: Sequence[date]) -> None:
        """Raises `JournalError` naming the sessions that the desk, trading by then, did not."""
        traded = self.traded_dates()
        first = min(traded, default=date.max)
        refused = sorted(day for day in session_dates if day > first and day not in traded)
        if refused:
            raise JournalError(
                f"{', '.join(map(str, refused))}: expected a session that the desk traded, found "
                f"none; it trades since {first}, and from then on a rehearsal or a replay teaches "
                "nothing: do the nights before and after it, each by themselves"
            )

    def traded_dates(self) -> set[date]:
        """The sessions of the desk, in whatever mode, today's too if it is under way."""
        paths = [path for path in map(self.traded, TRADED) if path.is_file()]
        return {day for path in paths for day in JournalReader(path).sessions()}

    def path(self, session_date: date) -> Path:
        """The journal that tells of a session: of the desk, else a rehearsal's, else a replay's.

        Where its rehearsal would be if nothing does.
        """
        mode = self._telling(session_date)
        if mode is not None:
            return self.traded(mode)
        rehearsed, replayed = self.rehearsed(session_date), self.replayed
        if not rehearsed.is_file() and replayed.is_file():
            return replayed if session_date in JournalReader(replayed).sessions() else rehearsed
        return rehearsed

    def _telling(self, session_date: date) -> Mode | None:
        files = SessionFiles(home=self.home.root)
        return mode_that_tells(files, self.rules.instrument.symbol, session_date)

    def traded(self, mode: Mode) -> Path:
        """The continuing journal of a mode."""
        symbol = self.rules.instrument.symbol
        return SessionFiles(home=self.home.root).journal(mode, symbol)

    @property
    def replayed(self) -> Path:
        """The journal of the last replay."""
        return self.home.journals / f"replay-{self.rules.instrument.symbol}.sqlite"

    def rehearsed(self, session_date: date) -> Path:
        """The journal of one session's rehearsal."""
        symbol = self.rules.instrument.symbol
        return self.home.journals / "rehearsals" / symbol / f"{session_date}.sqlite"
