"""Minutes from 5-second bars: whole ones are told at once, the others are asked for as history."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from engine.broker import BarReported
from engine.calendar import Session
from pipelines.brokers.ibkr.messages import FiveSecondBar

MINUTE: Final = timedelta(minutes=1)
FIVE_SECONDS: Final = timedelta(seconds=5)
PARTS: Final = MINUTE // FIVE_SECONDS


class Quotes(NamedTuple):
    """The last quotes in points; null where a side is empty or unknown."""

    bid: float | None = None
    ask: float | None = None


class Missing(NamedTuple):
    """Minutes that opened in [since, until) and have closed without being told whole."""

    since: datetime
    until: datetime


@dataclass(slots=True)
class MinuteBars:
    """Collects the parts of the running minute of one symbol.

    Every minute is given out once: whole, or within a `Missing`. Parts that come again, or belong
    to a minute that is over, are dropped.
    """

    symbol: str
    _parts: dict[datetime, FiveSecondBar] = field(default_factory=dict)
    _told_until: datetime | None = None

    def add(
        self, part: FiveSecondBar, quotes: Quotes, session: Session | None, at: datetime
    ) -> BarReported | Missing | None:
        """Take one part; the answer is the minute that it completes, or what is missing by now.

        `session` is the regular session that the part lies in: minutes missed since its open are
        asked for, those outside of it only with the part's own minute.
        """
        minute = part.opens_at.replace(second=0, microsecond=0)
        if self._told_until is not None and minute < self._told_until:
            return None
        missing = self._missed_before(minute, session)
        self._parts = {opens_at: old for opens_at, old in self._parts.items() if opens_at >= minute}
        self._parts[part.opens_at] = part
        if part.opens_at + FIVE_SECONDS < minute + MINUTE:
            if missing is not None:
                self._told_until = minute
            return missing
        self._told_until = minute + MINUTE
        parts, self._parts = [self._parts[opens_at] for opens_at in sorted(self._parts)], {}
        if missing is not None or len(parts) < PARTS:
            since = minute if missing is None else missing.since
            return Missing(since, minute + MINUTE)
        return self._whole(minute, parts, quotes, at)

    def _missed_before(self, minute: datetime, session: Session | None) -> Missing | None:
        """Minutes before this one that were begun or, within the session, never seen."""
        first = min(self._parts, default=minute)
        begun = first.replace(second=0, microsecond=0)
        since = begun
        if session is not None:
            since = max(self._told_until or begun, session.opens_at)
        return Missing(since, minute) if since < minute else None

    def _whole(
        self, minute: datetime, parts: list[FiveSecondBar], quotes: Quotes, at: datetime
    ) -> BarReported:
        counted = [part.trades for part in parts if part.trades is not None]
        return BarReported(
            at=at,
            symbol=self.symbol,
            opens_at=minute,
            open=parts[0].open,
            high=max(part.high for part in parts),
            low=min(part.low for part in parts),
            close=parts[-1].close,
            volume=sum(part.volume for part in parts),
            trades=sum(counted) if len(counted) == PARTS else None,
            bid=quotes.bid,
            ask=quotes.ask,
        )
