"""Alerts that no session run raises: of failed runs, failed checks and sessions that do not run.

They have a journal of their own, because the desk's has one writer, and that one may be the very
process that went missing.
"""

from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from engine.desk.encoding import entry_of
from engine.desk.facts import AlertRaised
from engine.errors import RetryLater
from engine.journal import Stamp
from pipelines.alerts.alert import NEW_YORK
from pipelines.journal_store import JournalReader, JournalWriter

NAME: Final = "alerts.sqlite"
WRITE_SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertBook:
    """The journal of one home's own alerts; processes take turns at writing it."""

    path: Path
    contracts_hash: str

    def raise_alert(self, text: str, *, at: datetime) -> None:
        """Write an alert down, durably; who delivers it comes by.

        Raises `RetryLater` when another process keeps the file, `JournalError`, `OSError` or
        `sqlite3.Error` when the disk refuses or the file is damaged.
        """
        for attempt in Retrying(
            retry=retry_if_exception_type(RetryLater),
            stop=stop_after_delay(WRITE_SECONDS_MAX),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        ):
            with attempt, JournalWriter(self.path) as writer:
                stamp = Stamp(self._date_of(at), self.contracts_hash, version("credence"))
                writer.append([entry_of(AlertRaised(at=at, text=text))], stamp)

    def _date_of(self, at: datetime) -> date:
        """Its day, or the last one written: a clock that was ahead once must silence nothing."""
        return max([at.astimezone(NEW_YORK).date(), *JournalReader(self.path).sessions()])
