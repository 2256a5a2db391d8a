"""Sessions and their phases. The dates come from the exchange calendar; the arithmetic is here.

RTH opens at 09:30 New York time on every session day, so minutes since the open are the local
clock, on full days, half days and either side of a daylight-saving change alike.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum


class Phase(IntEnum):
    """Part of the day, as signal S21 reports it."""

    PRE_MARKET = 0
    OPENING = 1
    MID_MORNING = 2
    LUNCH = 3
    AFTERNOON = 4
    CLOSE = 5
    AFTER_RTH = 6
    UNKNOWN = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One regular trading session; instants are UTC."""

    session_date: date
    opens_at: datetime
    closes_at: datetime
    prior_session_date: date | None

    @property
    def minutes(self) -> int:
        """Number of 1-minute bars in a complete session: 390, or 210 on a half day."""
        return int((self.closes_at - self.opens_at).total_seconds()) // 60

    @property
    def is_half_day(self) -> bool:
        return self.minutes < 390

    def minute_at(self, instant: datetime) -> int:
        """Minutes since the open, negative before it; a bar's `minute` is its `opens_at`'s."""
        return (instant - self.opens_at) // timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTradeWindow:
    """Minutes since the open, from inclusive, until exclusive, judged when deciding."""

    name: str
    from_minute: int
    until_minute: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """`contracts/calendar.yaml`: phases, windows and deadlines of a session.

    Minutes since the open for what follows the clock, before the close for what follows the bell.
    """

    rth_calendar: str
    globex_calendar: str
    timezone: str
    mid_morning_from_minute: int
    lunch_from_minute: int
    afternoon_from_minute: int
    close_minutes_before_end: int
    no_trade_windows: tuple[NoTradeWindow, ...]
    no_entry_minutes_before_end: int
    flatten_minutes_before_end: int
