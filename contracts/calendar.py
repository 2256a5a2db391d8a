"""Which days are sessions, from the exchange's calendar: holidays, half days, daylight saving.

`exchange_calendars` takes seconds to import, so it is imported on first use.
"""

import warnings
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, Final

from engine.calendar import Session, SessionRules
from engine.errors import CalendarError

FIRST_DATE: Final = date(1998, 1, 1)
"""No bars of the instruments are older."""

LAST_DATE: Final = date(2040, 12, 31)
"""Fixed, so that the answer never depends on today; far dates follow the rules known now."""


def sessions_between(first: date, last: date, rules: SessionRules) -> list[Session]:
    """Sessions from `first` to `last`, both inclusive; empty if all of those days are closed.

    Raises `CalendarError` if the dates are reversed or outside `FIRST_DATE` and `LAST_DATE`.
    """
    if last < first:
        raise CalendarError(f"expected first <= last, got {first} and {last}; swap the two dates")
    _check_known(first)
    _check_known(last)
    sessions, position_by_date = _sessions(rules.rth_calendar)
    dates = (first + timedelta(days=day) for day in range((last - first).days + 1))
    return [sessions[position_by_date[day]] for day in dates if day in position_by_date]


def session_on(session_date: date, rules: SessionRules) -> Session:
    """The session of a date; raises `CalendarError` with the reason and the nearest sessions."""
    _check_known(session_date)
    sessions, position_by_date = _sessions(rules.rth_calendar)
    position = position_by_date.get(session_date)
    if position is None:
        before = prior_session(session_date, rules)
        after = next_session(session_date, rules)
        raise CalendarError(
            f"{session_date} is no session of {rules.rth_calendar}: "
            f"{closure_reason(session_date, rules)}; the nearest sessions are "
            f"{before.session_date if before else 'none'} and {after.session_date}"
        )
    return sessions[position]


def is_session(session_date: date, rules: SessionRules) -> bool:
    """Whether the exchange holds a regular session on this date."""
    _check_known(session_date)
    return session_date in _sessions(rules.rth_calendar)[1]


def prior_session(session_date: date, rules: SessionRules) -> Session | None:
    """The last session before a date, or null before the first one known."""
    _check_known(session_date)
    sessions, position_by_date = _sessions(rules.rth_calendar)
    day = session_date - timedelta(days=1)
    while day >= FIRST_DATE:
        if day in position_by_date:
            return sessions[position_by_date[day]]
        day -= timedelta(days=1)
    return None


def next_session(session_date: date, rules: SessionRules) -> Session:
    """The first session after a date; raises `CalendarError` after the last one known."""
    _check_known(session_date)
    sessions, position_by_date = _sessions(rules.rth_calendar)
    day = session_date + timedelta(days=1)
    while day not in position_by_date:
        _check_known(day)
        day += timedelta(days=1)
    return sessions[position_by_date[day]]


def closure_reason(session_date: date, rules: SessionRules) -> str:
    """Why a date is no session, in words; says too whether the futures trade all the same."""
    if session_date.weekday() >= 5:
        return session_date.strftime("%A")
    names = _calendar(rules.rth_calendar).regular_holidays.holidays(
        session_date.isoformat(), session_date.isoformat(), return_name=True
    )
    reason = str(names.iloc[0]) if len(names) else "a special closure"
    is_globex_open = _calendar(rules.globex_calendar).is_session(session_date.isoformat())
    return (
        f"{reason} (Globex {'trades, outside the regular session' if is_globex_open else 'shut'})"
    )


@cache
def _sessions(code: str) -> tuple[tuple[Session, ...], dict[date, int]]:
    """All sessions known, in order, and the position of each date."""
    calendar = _calendar(code)
    opens = [instant.to_pydatetime() for instant in calendar.opens.dt.tz_convert(UTC)]
    closes = [instant.to_pydatetime() for instant in calendar.closes.dt.tz_convert(UTC)]
    dates = [label.date() for label in calendar.sessions]
    priors = [None, *dates[:-1]]
    sessions = tuple(
        Session(
            session_date=day,
            opens_at=_exact(opens_at),
            closes_at=_exact(closes_at),
            prior_session_date=prior,
        )
        for day, opens_at, closes_at, prior in zip(dates, opens, closes, priors, strict=True)
    )
    return sessions, {day: position for position, day in enumerate(dates)}


@cache
def _calendar(code: str) -> Any:
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        with warnings.catch_warnings():
            # exchange_calendars 4.13 still uses what pandas 3 is about to change; its answers hold.
            warnings.filterwarnings("ignore", message="Series.values returning an ndarray")
            return exchange_calendars.get_calendar(
                code, start=FIRST_DATE.isoformat(), end=LAST_DATE.isoformat()
            )
    except InvalidCalendarName as error:
        raise CalendarError(
            f"calendar.yaml: '{code}' is no calendar of exchange_calendars; correct the code"
        ) from error


def _exact(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)


def _check_known(day: date) -> None:
    if not FIRST_DATE <= day <= LAST_DATE:
        raise CalendarError(
            f"expected a date from {FIRST_DATE} to {LAST_DATE}, got {day}; "
            "the calendar says nothing about it"
        )
