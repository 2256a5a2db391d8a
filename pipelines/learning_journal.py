"""The journal of what nights changed: hash-chained as the desk's own, with a writer of its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from contracts.calendar import session_on
from engine.journal import Entry, Event, Kind, Stamp
from engine.learning.lessons import About, NightLearned, OddsChanged, lesson_json, lesson_of
from engine.learning.reliability import TrustChanged
from engine.rules import Rules
from pipelines.journal_store import JournalReader, JournalWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningJournal:
    """What the nights of one home and instrument changed, in the order in which they were done.

    An old night that is done again after newer ones stands behind them, under the newest date:
    a journal's dates never go back, and its payload names the night.
    """

    path: Path
    rules: Rules

    def record(
        self, about: About, learned: Mapping[date, Sequence[TrustChanged | OddsChanged]]
    ) -> int:
        """Append what each night changed, and return how many events that took.

        A night done again adds nothing; one that comes to something else adds that, marked as a
        correction. Raises `RetryLater` while another process writes.
        """
        said = {each.session_date: each.changes for each in self.lessons() if each.about is about}
        new = [
            NightLearned(
                session_date=night, about=about, corrects=night in said, changes=tuple(changes)
            )
            for night, changes in sorted(learned.items())
            if tuple(changes) != said.get(night, ())
        ]
        if new:
            self._append(new)
        return len(new)

    def lessons(self) -> list[NightLearned]:
        """All that was ever recorded, oldest first; corrections follow what they correct."""
        return [lesson_of(event.payload) for event in self._events()]

    def events(self, night: date) -> list[Event]:
        """What was recorded of one night, oldest first."""
        return [each for each in self._events() if lesson_of(each.payload).session_date == night]

    def _events(self) -> Iterable[Event]:
        if not self.path.is_file():
            return ()
        return JournalReader(self.path).events(kinds=(Kind.LEARNING,))

    def _append(self, lessons: Sequence[NightLearned]) -> None:
        with JournalWriter(self.path) as writer:
            newest = max(JournalReader(self.path).sessions(), default=date.min)
            for lesson in lessons:
                night = lesson.session_date
                newest = max(newest, night)
                closed_at = session_on(night, self.rules.session).closes_at
                stamp = Stamp(newest, self.rules.contracts_hash, version("credence"))
                writer.append([Entry(Kind.LEARNING, closed_at, lesson_json(lesson))], stamp)
