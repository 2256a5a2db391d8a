"""Sessions come from the exchange's calendar: closures, half days and clock changes are facts."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import load_rules
from contracts.calendar import (
    LAST_DATE,
    is_session,
    next_session,
    prior_session,
    session_on,
    sessions_between,
)
from engine.errors import CalendarError

RULES = load_rules().session

# Published by NYSE, "Holidays and Trading Hours", for the years named.
CLOSED = {
    date(2012, 10, 29): "a special closure",  # Hurricane Sandy.
    date(2018, 12, 5): "a special closure",  # Mourning for President Bush.
    date(2021, 12, 24): "Christmas",  # Observed on the Friday before.
    date(2023, 6, 19): "Juneteenth",
    date(2024, 3, 29): "Good Friday",
    date(2024, 11, 28): "Thanksgiving",
    date(2025, 1, 9): "a special closure",  # Mourning for President Carter.
    date(2025, 7, 4): "July 4th",
    date(2025, 11, 1): "Saturday",
    date(2025, 11, 2): "Sunday",
}
HALF_DAYS = (date(2013, 11, 29), date(2024, 7, 3), date(2024, 12, 24), date(2025, 11, 28))
FULL_DAYS_WITH_OPEN_UTC = {
    date(2025, 3, 7): 14,  # Winter time, the Friday before the change.
    date(2025, 3, 10): 13,  # Summer time.
    date(2025, 10, 31): 13,
    date(2025, 11, 3): 14,
}


@pytest.mark.parametrize(("day", "reason"), CLOSED.items(), ids=str)
def test_a_closed_day_is_refused_with_its_reason_and_the_nearest_sessions(
    day: date, reason: str
) -> None:
    with pytest.raises(CalendarError) as caught:
        session_on(day, RULES)

    message = str(caught.value)
    before, after = prior_session(day, RULES), next_session(day, RULES)
    assert before is not None
    assert reason.lower() in message.lower()
    assert f"nearest sessions are {before.session_date} and {after.session_date}" in message
    assert not is_session(day, RULES)


@pytest.mark.parametrize("day", HALF_DAYS, ids=str)
def test_a_half_day_closes_at_one_in_new_york(day: date) -> None:
    session = session_on(day, RULES)

    assert session.is_half_day
    assert session.minutes == 210
    winter = day.month > 10
    assert session.closes_at.hour == (18 if winter else 17)


@pytest.mark.parametrize(("day", "hour"), FULL_DAYS_WITH_OPEN_UTC.items(), ids=str)
def test_the_open_is_half_past_nine_on_either_side_of_a_clock_change(day: date, hour: int) -> None:
    session = session_on(day, RULES)

    assert session.opens_at == datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)
    assert session.minutes == 390


def test_a_week_with_a_holiday_links_each_session_to_the_one_before() -> None:
    sessions = sessions_between(date(2025, 11, 26), date(2025, 12, 1), RULES)

    assert [(s.session_date.day, s.prior_session_date) for s in sessions] == [
        (26, date(2025, 11, 25)),
        (28, date(2025, 11, 26)),
        (1, date(2025, 11, 28)),
    ]


def test_a_span_without_sessions_is_empty_and_a_reversed_one_is_refused() -> None:
    assert sessions_between(date(2025, 11, 1), date(2025, 11, 2), RULES) == []

    with pytest.raises(CalendarError, match="swap the two dates"):
        sessions_between(date(2025, 11, 3), date(2025, 11, 2), RULES)


def test_a_date_the_calendar_does_not_know_is_refused() -> None:
    for day in (date(1997, 12, 31), LAST_DATE + timedelta(days=1)):
        with pytest.raises(CalendarError, match="expected a date from 1998-01-01"):
            is_session(day, RULES)


def test_an_unknown_calendar_is_refused_by_name() -> None:
    from dataclasses import replace

    with pytest.raises(CalendarError, match="'XXXX' is no calendar"):
        is_session(date(2025, 11, 3), replace(RULES, rth_calendar="XXXX"))


@given(st.dates(date(2000, 1, 3), date(2039, 12, 1)))
def test_the_calendar_is_one_chain_of_sessions(day: date) -> None:
    after = next_session(day, RULES)
    before = prior_session(after.session_date, RULES)

    assert before is not None
    assert after.prior_session_date == before.session_date
    assert before.session_date <= day < after.session_date
    assert before.closes_at < after.opens_at
    assert sessions_between(before.session_date, after.session_date, RULES) == [before, after]
