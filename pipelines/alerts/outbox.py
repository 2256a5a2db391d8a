"""What one target has not been told yet: a place in each journal, kept on disk.

The journals are the queue, so nothing that was committed is lost by a crash between the event and
the message. A target hears of each event at least once; when it could not be reached for long, it
hears the newest and how many there were.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Final

from filelock import FileLock, Timeout
from tenacity import Retrying, stop_after_attempt, wait_exponential_jitter
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_base

from engine.errors import AlertUndelivered
from pipelines.alerts.alert import ALARMING, Alert, alert_of
from pipelines.alerts.target import Target
from pipelines.journal_store import JournalReader
from pipelines.storage.atomic import write_atomically

ATTEMPTS_MAX: Final = 3
BACKLOG_MAX: Final = 20
"""Alerts told one by one; of more, each but the newest are only counted."""

EVENTS_PER_LOOK: Final = 10_000

WAITS: Final = wait_exponential_jitter(multiplier=0.5, max=4.0, jitter=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one round came to; `problem` is why something is left to tell."""

    target: str
    told: int = 0
    problem: str | None = None


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
        """Tell what is new, in order, each with a bounded number of attempts.

        A target that cannot be reached is an answer, not an error; `stop` ends the waits between
        attempts. One process at a time: while another one delivers, there is nothing to do here.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / f"{self.target.key}.lock")
        try:
            with lock.acquire(timeout=0):
                return self._deliver(stop)
        except Timeout:
            return Told(target=self.target.label)

    def _deliver(self, stop: Event) -> Told:
        places = self._places()
        found = [new for name in self.journals for new in self._new(name, places.get(name, 0))]
        alerts = [(name, seq, alert) for name, seq, alert in found if alert is not None]
        told, uncounted = 0, max(len(alerts) - BACKLOG_MAX, 0)
        for name, seq, alert in alerts[uncounted:]:
            try:
                self._send(alert, uncounted if told == 0 else 0, stop)
            except AlertUndelivered as error:
                return Told(target=self.target.label, told=told, problem=str(error))
            told += 1
            places[name] = seq
            self._keep(places)
        if found:
            self._keep(places | {name: seq for name, seq, _ in found})
        return Told(target=self.target.label, told=told)

    def _send(self, alert: Alert, unheard: int, stop: Event) -> None:
        if unheard:
            note = f"{alert.text} ({unheard} earlier alerts could not be told; see the journal)"
            alert = Alert(urgency=alert.urgency, title=alert.title, text=note)
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS_MAX),
            wait=self.waits,
            sleep=sleep_using_event(stop),
            reraise=True,
        )
        retrying(self.target.send, alert)

    def _new(self, name: str, after: int) -> Iterator[tuple[str, int, Alert | None]]:
        """Events of the kinds that alarm after the place kept, with what they have to say."""
        path = self.journals[name]
        if path.is_file():
            events = JournalReader(path).events(after=after, kinds=ALARMING)
            for event in islice(events, EVENTS_PER_LOOK):
                yield name, event.seq, alert_of(event)

    def _places(self) -> dict[str, int]:
        """How far each journal was told; a target that is new begins at the ends of today."""
        path = self._kept_at
        if path.is_file():
            places: dict[str, int] = json.loads(path.read_text())
            return places
        ends = {
            name: JournalReader(path).head().seq
            for name, path in self.journals.items()
            if path.is_file()
        }
        self._keep(ends)
        return ends

    def _keep(self, places: Mapping[str, int]) -> None:
        write_atomically(self._kept_at, json.dumps(places).encode(), self.folder / ".aside")

    @property
    def _kept_at(self) -> Path:
        return self.folder / f"{self.target.key}.json"
