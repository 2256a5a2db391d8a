"""What one target has not been told yet: a place in each journal, kept on disk.

The journals are the queue, so nothing that was committed is lost by a crash between the event and
the message. A target hears of each event at least once; when it could not be reached for long, it
hears of every kill, the newest and how many there were. A journal that cannot be read keeps nothing
from another.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple

from filelock import FileLock, Timeout
from tenacity import Retrying, stop_after_attempt, wait_exponential_jitter
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_base

from engine.errors import AlertUndelivered, CredenceError
from pipelines.alerts.alert import ALARMING, Alert, alert_of
from pipelines.alerts.target import Target
from pipelines.journal_store import JournalReader
from pipelines.storage.atomic import write_atomically

ATTEMPTS_MAX: Final = 3
BACKLOG_MAX: Final = 20
"""Alerts told one by one; of more, each but the newest and the kills are only counted."""

EVENTS_PER_LOOK: Final = 10_000
BEGIN_SECONDS_MAX: Final = 5.0

WAITS: Final = wait_exponential_jitter(multiplier=0.5, max=4.0, jitter=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one round came to; `problem` is why something is left to tell."""

    target: str
    told: int = 0
    problem: str | None = None


class _New(NamedTuple):
    """An event of a journal, and what it has to say to a person."""

    at: str
    journal: str
    seq: int
    alert: Alert | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """The messages of these journals, by name, to one target; `folder` keeps how far it was told.

    Journals that do not exist yet are followed from their first event on; those that existed when
    the target was first seen, from their end.
    """

    target: Target
    folder: Path
    journals: Mapping[str, Path]
    waits: wait_base = WAITS

    def deliver(self, stop: Event) -> Told:
        """Tell what is new, in the order it happened, each with a bounded number of attempts.

        A target that cannot be reached is an answer, not an error; `stop` ends the waits between
        attempts. One process at a time: while another one delivers, there is nothing to do here.
        """
        return self._alone(lambda: self._deliver(stop), patience=0)

    def begin(self) -> Told:
        """Have a place in each journal before something is written that a new target must hear."""
        if self._kept_at.is_file():
            return Told(target=self.target.label)
        return self._alone(self._begun, patience=BEGIN_SECONDS_MAX)

    def tell(self, alert: Alert, stop: Event) -> Told:
        """Tell what is in no journal, with a bounded number of attempts."""
        try:
            self._send(alert, stop)
        except AlertUndelivered as error:
            return Told(target=self.target.label, problem=str(error))
        return Told(target=self.target.label, told=1)

    def _alone(self, act: Callable[[], Told], *, patience: float) -> Told:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / f"{self.target.key}.lock")
        try:
            with lock.acquire(timeout=patience):
                return act()
        except Timeout:
            return Told(target=self.target.label)

    def _begun(self) -> Told:
        self._places()
        return Told(target=self.target.label)

    def _deliver(self, stop: Event) -> Told:
        places = self._places()
        found, problems = self._found(places)
        kills, newest, unheard = _worth_telling(found)
        told = 0
        for new, alert in [*kills, *newest]:
            is_after_the_unheard = told == len(kills)
            try:
                self._send(_counting(alert, unheard) if is_after_the_unheard else alert, stop)
            except AlertUndelivered as error:
                problem = "; ".join([*problems, str(error)])
                return Told(target=self.target.label, told=told, problem=problem)
            told += 1
            places[new.journal] = new.seq
            self._keep(places)
        if found:
            self._keep(places | {new.journal: new.seq for new in found})
        return Told(target=self.target.label, told=told, problem="; ".join(problems) or None)

    def _send(self, alert: Alert, stop: Event) -> None:
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS_MAX),
            wait=self.waits,
            sleep=sleep_using_event(stop),
            reraise=True,
        )
        retrying(self.target.send, alert)

    def _found(self, places: Mapping[str, int]) -> tuple[list[_New], list[str]]:
        """What is new by time, each journal in its own order; and which could not be read."""
        by_journal, problems = [], []
        for name, path in self.journals.items():
            new: list[_New] = []
            by_journal.append(new)
            try:
                self._read(name, places.get(name, 0), new)
            except (CredenceError, OSError, sqlite3.Error, ValueError) as error:
                problems.append(f"{path}: its alerts could not be read ({error})")
        return list(merge(*by_journal, key=lambda each: each.at)), problems

    def _read(self, name: str, after: int, new: list[_New]) -> None:
        """Add the events after the place kept of the kinds that alarm, as far as it is sound."""
        path = self.journals[name]
        if path.is_file():
            events = JournalReader(path).events(after=after, kinds=ALARMING)
            for event in islice(events, EVENTS_PER_LOOK):
                told = _New(event.at, name, event.seq, alert_of(event))
                new.append(told)

    def _places(self) -> dict[str, int]:
        """How far each journal was told; a target that is new begins at the ends of today.

        One that cannot be read now is told from its beginning when it can.
        """
        path = self._kept_at
        if path.is_file():
            places: dict[str, int] = json.loads(path.read_text())
            return places
        ends = {}
        for name, journal in self.journals.items():
            with suppress(CredenceError, OSError, sqlite3.Error):
                ends[name] = JournalReader(journal).head().seq
        self._keep(ends)
        return ends

    def _keep(self, places: Mapping[str, int]) -> None:
        write_atomically(self._kept_at, json.dumps(places).encode(), self.folder / ".aside")

    @property
    def _kept_at(self) -> Path:
        return self.folder / f"{self.target.key}.json"


_Worth = list[tuple[_New, Alert]]


def _worth_telling(found: Sequence[_New]) -> tuple[_Worth, _Worth, int]:
    """The older kills, the newest alerts, and how many others there were."""
    alerts = [(new, new.alert) for new in found if new.alert is not None]
    older, newest = alerts[:-BACKLOG_MAX], alerts[-BACKLOG_MAX:]
    kills = [(new, alert) for new, alert in older if alert.is_kill]
    return kills, newest, len(older) - len(kills)


def _counting(alert: Alert, unheard: int) -> Alert:
    if not unheard:
        return alert
    note = f"{alert.text} ({unheard} earlier alerts could not be told; see the journal)"
    return replace(alert, text=note)
