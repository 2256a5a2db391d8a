"""When a session run is launched: every row of the table, and the reason of every refusal."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from contracts import load_rules
from contracts.calendar import session_on
from engine.calendar import Session
from engine.kill import KillCause, KillState, KillSwitch
from pipelines.session_request import (
    Closed,
    Ending,
    Green,
    NotGreen,
    Preopen,
    Request,
    Skip,
    session_request,
)

RULES = load_rules().session
GREEN, RED = Green("all 4 checks passed"), NotGreen("preopen_review failed")
RUNNING = KillSwitch()
HALTED = KillSwitch(state=KillState.HALTED, cause=KillCause.PERSON, text="news")
KILLED = KillSwitch(
    state=KillState.KILLED,
    cause=KillCause.DAILY_LOSS,
    text="30 USD lost",
    is_flat_verified=False,
)
HOLIDAY = Closed(date(2024, 7, 4), "July 4th")
FULL, HALF = (session_on(date(2024, 7, day), RULES) for day in (2, 3))


def asked(
    at: str = "09:20",
    session: Session | Closed = FULL,
    preopen: Preopen = GREEN,
    kill: KillSwitch = RUNNING,
    attempts: Sequence[Ending] = (),
    holder: str | None = None,
    *,
    is_by_hand: bool = False,
    ended_by_hand: Ending | None = None,
) -> Request | Skip:
    day = session.day if isinstance(session, Closed) else session.session_date
    hour, minute = map(int, at.split(":"))
    now = datetime(
        day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo("America/New_York")
    ).astimezone(UTC)
    return session_request(
        now,
        session,
        preopen,
        kill,
        attempts,
        holder,
        is_by_hand=is_by_hand,
        ended_by_hand=ended_by_hand,
    )


CRASHED, RAN, STOPPED, COMPLETED, UNREACHABLE = (
    Ending.CRASHED,
    Ending.RUNNING,
    Ending.STOPPED,
    Ending.COMPLETED,
    Ending.UNREACHABLE,
)
OPENED = {
    "ten minutes before the open": (asked("09:20"), 1),
    "late in the session": (asked("15:59"), 1),
    "on the morning of a half day": (asked("09:20", HALF), 1),
    "halted: trades are managed, none entered": (asked(kill=HALTED), 1),
    "after a crash": (asked("10:00", attempts=[CRASHED]), 2),
    "by hand, after a crash": (asked("10:00", attempts=[CRASHED], is_by_hand=True), 2),
    "after two crashes": (asked("10:00", attempts=[CRASHED, CRASHED]), 3),
    "after many that nobody was there for": (asked("10:00", attempts=[UNREACHABLE] * 9), 10),
    "after these and two crashes": (asked(attempts=[CRASHED, *[UNREACHABLE] * 3, CRASHED]), 6),
}


@pytest.mark.parametrize("row", OPENED)
def test_a_session_is_launched(row: str) -> None:
    answer, attempt = OPENED[row]

    assert isinstance(answer, Request)
    assert answer.attempt == attempt
    assert answer.run_key == f"{answer.session_date} attempt {attempt}"


REFUSED = {
    "holiday": (asked(session=HOLIDAY), "no session on 2024-07-04: July 4th"),
    "before 09:20": (asked("09:19"), "opens at 09:30 New York and is launched from 09:20 on"),
    "after the close": (asked("16:00"), "session of 2024-07-02, over at 16:00"),
    "after the early close of a half day": (asked("13:00", HALF), "a half day over at 13:00"),
    "preopen not green": (asked(preopen=RED), "before preopen is green: preopen_review failed"),
    "killed": (
        asked(kill=KILLED),
        "the desk is KILLED (30 USD lost), and the broker was not seen flat since; a person lets",
    ),
    "killed and seen flat": (
        asked(kill=replace(KILLED, is_flat_verified=True)),
        "the desk is KILLED (30 USD lost); a person lets it go on with credence resume --reason",
    ),
    "lock held": (asked(holder="process 42"), "a session run holds the desk: process 42"),
    "run exists": (asked(attempts=[RAN]), "attempt 1 is queued or running"),
    "run exists after a crash": (asked(attempts=[CRASHED, RAN]), "attempt 2 is queued or running"),
    "three attempts used": (asked(attempts=[CRASHED] * 3), "3 attempts crashed, at most 3 are"),
    "three crashes among others": (
        asked(attempts=[CRASHED, UNREACHABLE, CRASHED, UNREACHABLE, CRASHED]),
        "3 attempts crashed",
    ),
    "stopped by a person": (asked(attempts=[STOPPED]), "a person stopped attempt 1; launch"),
    "completed": (asked(attempts=[CRASHED, COMPLETED]), "attempt 2 came to its end; launch"),
    "stopped by hand after a crash": (
        asked(attempts=[CRASHED], ended_by_hand=STOPPED),
        "a person stopped the session that was started by hand; launch",
    ),
    "completed by hand": (
        asked(ended_by_hand=COMPLETED),
        "the session that was started by hand came to its end; launch",
    ),
    "by hand": (asked(is_by_hand=True), "real money is traded by hand: launch trading_session"),
    "killed outranks preopen": (asked(kill=KILLED, preopen=RED), "the desk is KILLED"),
    "running outranks killed": (asked(kill=KILLED, attempts=[RAN]), "attempt 1 is queued"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_a_session_is_not_launched_and_the_reason_is_said(row: str) -> None:
    answer, words = REFUSED[row]

    assert isinstance(answer, Skip)
    assert words in answer.reason


@pytest.mark.parametrize("day", ["2024-03-08", "2024-03-11", "2024-11-01", "2024-11-04"])
def test_the_hour_is_new_yorks_on_both_sides_of_a_clock_change(day: str) -> None:
    session = session_on(date.fromisoformat(day), RULES)

    assert isinstance(asked("09:19", session), Skip)
    assert isinstance(asked("09:20", session), Request)
