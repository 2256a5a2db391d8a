"""The bars a gateway knows, told up to the instant that is being played: its `Market`."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import attrgetter

import polars as pl

from contracts.calendar import sessions_between
from engine.calendar import Session
from engine.errors import InputRefused
from engine.instrument import Instrument
from engine.rules import Rules
from pipelines.gateway.clock import MarketClock
from pipelines.gateway.tape import MINUTE, TapeBar, five_second_bars, minutes_of, session_minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """A session and each of its minutes, those without a trade too."""

    session: Session
    minutes: tuple[TapeBar, ...]


class Recording:
    """A `Market` of whole sessions of bars, oldest first; nothing later than its clock is told."""

    def __init__(
        self, sessions: Sequence[RecordedSession], rules: Rules, clock: MarketClock
    ) -> None:
        self.recorded = tuple(sessions)
        self._rules = rules
        self._clock = clock
        self._minutes = [bar for each in sessions for bar in each.minutes]

    @property
    def instrument(self) -> Instrument:
        return self._rules.instrument

    def now(self) -> datetime:
        return self._clock.now()

    def minutes(self, since: datetime, until: datetime) -> Sequence[TapeBar]:
        """Closed minutes that opened in [since, until), oldest first."""
        after_last = self.now() - MINUTE + timedelta.resolution
        return self._minutes[self._from(since) : self._from(min(until, after_last))]

    def five_seconds(self, since: datetime, until: datetime) -> Sequence[TapeBar]:
        """Closed 5-second bars that opened in [since, until), oldest first."""
        now = self.now()
        return [
            part
            for minute in self._minutes[self._from(since - MINUTE) : self._from(min(until, now))]
            for part in five_second_bars(minute)
            if since <= part.opens_at < until and part.closes_at <= now
        ]

    def sessions(self, first: date, last: date) -> Sequence[Session]:
        """Regular sessions from one date to another, both inclusive."""
        return sessions_between(first, last, self._rules.session)

    def _from(self, at: datetime) -> int:
        return bisect_left(self._minutes, at, key=attrgetter("opens_at"))


def recorded_sessions(bars: pl.DataFrame, rules: Rules) -> list[RecordedSession]:
    """Every session that has a row in a frame with the columns of `bars`, oldest first.

    Raises `InputRefused` for a frame without rows, or with rows of another instrument.
    """
    symbol = rules.instrument.symbol
    found = bars["symbol"].unique().sort().to_list() if bars.height else []
    if found != [symbol]:
        raise InputRefused(
            f"gateway: expected bars of {symbol}, got bars of {', '.join(found) or 'nothing'}; "
            "choose a source and a session that have some"
        )
    rows_by_date = {
        day: minutes_of(rows)
        for (day,), rows in bars.partition_by("session_date", as_dict=True).items()
    }
    recorded: list[RecordedSession] = []
    last: TapeBar | None = None
    for session in sessions_between(min(rows_by_date), max(rows_by_date), rules.session):
        rows = rows_by_date.get(session.session_date, [])
        if rows:
            minutes = tuple(session_minutes(rows, session.opens_at, session.closes_at, last))
            recorded.append(RecordedSession(session=session, minutes=minutes))
            last = minutes[-1]
    return recorded
