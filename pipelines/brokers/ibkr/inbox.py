"""The one ordered inbox between the adapter's loop and whoever reads it from another thread."""

import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from engine.broker import (
    BarReported,
    BrokerReport,
    ConnectionReported,
    ConnectionState,
    FeedReported,
    MarketReport,
    QuoteReported,
)

Report = BrokerReport | MarketReport
REPORTS_MAX: Final = 20_000
"""Some sessions' worth; a reader that is this far behind is gone."""


class Inbox:
    """Reports in order of arrival. A quote takes the place of an unread quote just before it.

    When nobody reads, everything is dropped and the connection is told as lost and restored: what
    was lost can then be asked for, which a silent gap could not.
    """

    def __init__(self, reports_max: int = REPORTS_MAX) -> None:
        self._reports: list[Report] = []
        self._reports_max = reports_max
        self._error: BaseException | None = None
        self._is_owed = False
        self._arrived = threading.Condition()

    def put(self, reports: Iterable[Report], at: datetime) -> None:
        """Add reports, oldest first."""
        with self._arrived:
            for report in reports:
                last = self._reports[-1] if self._reports else None
                if isinstance(report, QuoteReported) and isinstance(last, QuoteReported):
                    self._reports[-1] = report
                else:
                    self._reports.append(report)
            if len(self._reports) > self._reports_max:
                text = f"more than {self._reports_max} reports were not read and are dropped"
                self._reports = [
                    ConnectionReported(at=at, state=state, text=text)
                    for state in (ConnectionState.DATA_LOST, ConnectionState.UP)
                ]
            if self._reports:
                self._arrived.notify_all()

    def fail(self, error: BaseException) -> None:
        """Have the next reader raise a broken assumption that arose in the loop."""
        with self._arrived:
            self._error = self._error or error
            self._arrived.notify_all()

    def take_all(self) -> list[Report]:
        """Everything unread; raises what `fail` was given, once."""
        with self._arrived:
            self._raise()
            taken, self._reports = self._reports, []
            self._is_owed |= any(not isinstance(report, QuoteReported) for report in taken)
            return taken

    def take_broker_reports(self) -> list[BrokerReport]:
        """Unread reports of the broker; those of the market stay."""
        with self._arrived:
            self._raise()
            taken: list[BrokerReport] = []
            kept: list[Report] = []
            for report in self._reports:
                if isinstance(report, BarReported | QuoteReported | FeedReported):
                    kept.append(report)
                else:
                    taken.append(report)
            self._reports = kept
            self._is_owed |= bool(taken)
            return taken

    def settle(self) -> bool:
        """Whether anything but quotes was taken since the last time this was asked."""
        with self._arrived:
            owed, self._is_owed = self._is_owed, False
            return owed

    @property
    def is_settled(self) -> bool:
        """Whether nothing but quotes is unread, and `settle` was called for all that was taken."""
        with self._arrived:
            is_read = all(isinstance(report, QuoteReported) for report in self._reports)
            return is_read and not self._is_owed

    def wait(self, timeout_seconds: float) -> bool:
        """Return when something can be read, or False when the time is over."""
        with self._arrived:
            return self._arrived.wait_for(
                lambda: bool(self._reports) or self._error is not None, timeout_seconds
            )

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
