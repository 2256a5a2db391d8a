"""The journal of a session in another process, followed as it becomes durable."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from engine.errors import JournalError
from engine.journal import Event, Kind
from pipelines.campaign.processes_plan import WAIT_BARS_MAX, Moment
from pipelines.journal_store import JournalReader

LOOK_SECONDS: Final = 0.004
ANYWAY: Final = 50
"""The journal is read every so many looks although its files look unchanged."""


class JournalWatch:
    """Reads on from where it was; a journal that is not there yet has no events."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seq = 0
        self._looks = 0
        self._seen: tuple[int, ...] = ()

    def news(self) -> Sequence[Event]:
        """What became durable since the last look; nothing where it cannot be read just now."""
        stamp, self._looks = self._stamp(), self._looks + 1
        if stamp == self._seen and self._looks % ANYWAY:
            return ()  # Asking SQLite costs the desk processor time that it needs more.
        self._seen = stamp
        try:
            events = list(JournalReader(self._path).events(after=self.seq))
        except (JournalError, sqlite3.OperationalError):
            return ()
        self.seq = events[-1].seq if events else self.seq
        return events

    def _stamp(self) -> tuple[int, ...]:
        log = self._path.with_name(self._path.name + "-wal")
        try:
            found = log.stat()
        except FileNotFoundError:
            return ()
        return found.st_mtime_ns, found.st_size

    def await_moment(self, moment: Moment, is_enough: Callable[[], bool]) -> str | None:
        """Return in words what came, the moment or a bar too many; null when it was enough."""
        count = bars = 0
        while not is_enough():
            for event in self.news():
                count += event.kind == moment.kind
                bars += event.kind == Kind.DECISION
            if count >= moment.count:
                return moment.text
            if bars >= WAIT_BARS_MAX:
                return f"{Kind.DECISION.value} {bars}"
            time.sleep(LOOK_SECONDS)
        return None
