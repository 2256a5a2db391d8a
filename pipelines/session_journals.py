"""Which journal tells of a session: the one of the desk that traded it, or else a rehearsal's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

from engine.desk import Mode
from engine.errors import JournalError
from engine.journal import Broken, Event, Kind, Verified
from engine.rules import Rules
from pipelines.journal_store import JournalReader
from pipelines.session.files import SessionFiles
from pipelines.storage import Home

TRADED: Final = (Mode.LIVE, Mode.PAPER, Mode.OBSERVE)
"""Should a session have been run in several modes, the first of these tells of it."""


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

    def seals(self, session_dates: Sequence[date]) -> dict[date, str]:
        """By session: the seal on its fills and its account; a session without a journal has none.

        It differs once something of them, or of what was journalled before, was corrected.
        """
        found: dict[date, str] = {}
        for path in (*map(self.traded, TRADED), *map(self.rehearsed, session_dates), self.replayed):
            if path.is_file():
                found = {**JournalReader(path).seals(), **found}
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
        for mode in TRADED:
            path = self.traded(mode)
            if path.is_file() and session_date in JournalReader(path).sessions():
                return path
        rehearsed, replayed = self.rehearsed(session_date), self.replayed
        if not rehearsed.is_file() and replayed.is_file():
            return replayed if session_date in JournalReader(replayed).sessions() else rehearsed
        return rehearsed

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
