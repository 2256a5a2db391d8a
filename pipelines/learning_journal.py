"""The journal of what was learned: hash-chained as the desk's own, with a writer of its own."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from contracts.calendar import is_session, prior_session, session_on
from engine.journal import Entry, Event, Kind, Stamp
from engine.learning.acceptance import DifferenceAccepted
from engine.learning.lessons import (
    About,
    Lesson,
    NightLearned,
    OddsChanged,
    lesson_json,
    lesson_of,
)
from engine.learning.promotion import Promotion
from engine.learning.reliability import TrustChanged
from engine.rules import Rules
from pipelines.journal_store import JournalReader, JournalWriter

_NEW_YORK: Final = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningJournal:
    """What the nights of one home and instrument changed, and what a person promoted or accepted
    after them, in the order in which it was done.

    An old night that is done again after newer ones stands behind them, under the newest date:
    a journal's dates never go back, and its payload names the night.
    """

    path: Path
    rules: Rules

    def record(
        self,
        about: About,
        learned: Mapping[date, Sequence[TrustChanged | OddsChanged]],
        *,
        done_before: Collection[date] = (),
    ) -> list[NightLearned]:
        """Append what each night changed, and return what was new of it.

        A night done again adds nothing; one that comes to something else adds that, marked as a
        correction. So is the first word of one of `done_before`: it had changed nothing then.
        Raises `RetryLater` while another process writes.
        """
        said = {each.session_date: each.changes for each in self.lessons() if each.about is about}
        new = [
            NightLearned(
                session_date=night,
                about=about,
                corrects=night in said or night in done_before,
                changes=tuple(changes),
            )
            for night, changes in sorted(learned.items())
            if tuple(changes) != said.get(night, ())
        ]
        if new:
            with JournalWriter(self.path) as writer:
                self._append(writer, new)
        return new

    def follow(self, changed: Callable[[], Sequence[Promotion]]) -> None:
        """Hold the journal while `changed` does its work, then append what it returns unless known.

        So no promotion is made that the journal could not take, and one that a crash kept out of it
        follows with the next. Raises `RetryLater` while another process writes.
        """
        with JournalWriter(self.path) as writer:
            known = [each for each in self._all() if isinstance(each, Promotion)]
            self._append(writer, [each for each in changed() if each not in known])

    def accept(self, act: DifferenceAccepted) -> None:
        """Append a person's word on a session's books; raises `RetryLater` as `record` does."""
        with JournalWriter(self.path) as writer:
            self._append(writer, [act])

    def accepted(self, session_date: date) -> list[DifferenceAccepted]:
        """What people accepted of a session's books, oldest first; the newest is in force."""
        return [
            each
            for each in self._all()
            if isinstance(each, DifferenceAccepted) and each.session_date == session_date
        ]

    def lessons(self) -> list[NightLearned]:
        """What nights ever changed, oldest first; corrections follow what they correct."""
        return [each for each in self._all() if isinstance(each, NightLearned)]

    def events(self, night: date) -> list[Event]:
        """What was recorded of one night and until the next open, oldest first."""
        return [each for each in self._events() if self.night_of(lesson_of(each.payload)) == night]

    def night_of(self, lesson: Lesson) -> date:
        """The session after which something was learned; a promotion's is the last that opened."""
        if isinstance(lesson, Promotion):
            return _last_opened(lesson.at, self.rules)
        return lesson.session_date

    def _all(self) -> list[Lesson]:
        return [lesson_of(event.payload) for event in self._events()]

    def _events(self) -> Iterable[Event]:
        if not self.path.is_file():
            return ()
        return JournalReader(self.path).events(kinds=(Kind.LEARNING,))

    def _append(self, writer: JournalWriter, lessons: Sequence[Lesson]) -> None:
        newest = max(JournalReader(self.path).sessions(), default=date.min)
        for lesson in lessons:
            night = self.night_of(lesson)
            newest = max(newest, night)
            stamp = Stamp(newest, self.rules.contracts_hash, version("credence"))
            at = self._closed_at(night) if isinstance(lesson, NightLearned) else lesson.at
            writer.append([Entry(Kind.LEARNING, at, lesson_json(lesson))], stamp)

    def _closed_at(self, night: date) -> datetime:
        return session_on(night, self.rules.session).closes_at


def _last_opened(at: datetime, rules: Rules) -> date:
    """The newest session that had opened at an instant."""
    today = at.astimezone(_NEW_YORK).date()
    if is_session(today, rules.session) and session_on(today, rules.session).opens_at <= at:
        return today
    before = prior_session(today, rules.session)
    return today if before is None else before.session_date
