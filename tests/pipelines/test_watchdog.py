"""The watchdog: a silent run, a session that is late, a kill that was not seen flat."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from contracts import load_rules
from contracts.calendar import session_on
from engine.kill import KillCause, KillState, KillSwitch
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.session.process import life_of
from pipelines.session_request import Closed, Request, Skip
from pipelines.watchdog import Trouble, due, troubles

DAY = date(2024, 7, 3)  # A half day.
SESSION = session_on(DAY, load_rules().session)
RUNNING = KillSwitch()
KILLED = KillSwitch(
    state=KillState.KILLED,
    cause=KillCause.PERSON,
    text="a test",
    since=datetime(2024, 7, 3, 14, 0, tzinfo=UTC),
    is_flat_verified=False,
)


def at(clock: str) -> datetime:
    hour, minute, second = map(int, clock.split(":"))
    local = datetime(2024, 7, 3, hour, minute, second, tzinfo=ZoneInfo("America/New_York"))
    return local.astimezone(UTC)


def beat(clock: str, run: RunState = RunState.RUNNING, **other: object) -> Heartbeat:
    said = Heartbeat(
        at=at(clock).isoformat(),
        pid=os.getpid(),
        life=life_of(os.getpid()) or "",
        run=run,
        mode="paper",
        symbol="MES",
        session_date=DAY.isoformat(),
        account_id="DU1",
        market_now=None,
        desk="running",
        desk_text="",
        is_flat_verified=True,
        position=1,
        trade="open",
        last_bar_at="2024-07-03T13:59:00+00:00",
        decision=None,
        feed="live",
        is_connected=True,
        bars=29,
        text="",
    )
    return replace(said, **other)  # type: ignore[arg-type]


def seen(
    clock: str,
    heartbeat: Heartbeat | None = None,
    kill: KillSwitch = RUNNING,
    *,
    is_expected: bool = True,
    session: object = SESSION,
    verdict: Request | Skip = Skip("preopen is red"),  # noqa: B008 - a frozen value
) -> Mapping[Trouble, str]:
    return troubles(at(clock), session, verdict, heartbeat, kill, is_expected=is_expected)  # type: ignore[arg-type]


CALM = {
    "before the open": seen("09:30:59"),
    "running": seen("10:00:00", beat("09:59:01")),
    "just started": seen("09:31:00", beat("09:30:30", RunState.STARTING)),
    "waiting for its broker before the open": seen(
        "09:30:59", beat("09:30:50", RunState.WAITING, text="waiting for the broker")
    ),
    "closed by itself": seen("12:59:00", beat("11:00:00", RunState.CLOSED)),
    "stopped by a person": seen("12:59:00", beat("11:00:00", RunState.STOPPED)),
    "after the early close": seen("13:00:00"),
    "nobody wants a session": seen("10:00:00", is_expected=False),
    "a holiday": seen("10:00:00", session=Closed(DAY, "closed")),
    "yesterday's heartbeat on a holiday": seen(
        "10:00:00", beat("09:00:00", session_date="2024-07-02"), session=Closed(DAY, "closed")
    ),
    "killed and seen flat": seen(
        "10:00:00", beat("09:59:55"), replace(KILLED, is_flat_verified=True)
    ),
}


@pytest.mark.parametrize("row", CALM)
def test_nothing_is_said_while_all_is_well(row: str) -> None:
    assert CALM[row] == {}


TROUBLED = {
    "silent for 61 seconds": (
        seen("10:00:02", beat("09:59:01")),
        Trouble.SILENT,
        "no heartbeat of the session run for 61 s; its process",
    ),
    "silent, and its process is gone": (
        seen("10:00:02", beat("09:59:01", life="another life")),
        Trouble.SILENT,
        "is gone. It last said: running, position 1, last bar 2024-07-03T13:59",
    ),
    "silent while it stops": (
        seen("10:00:02", beat("09:59:01", RunState.STOPPING)),
        Trouble.SILENT,
        "still there",
    ),
    "late": (
        seen("09:31:00"),
        Trouble.LATE,
        "the session should run since the open and does not: preopen is red",
    ),
    "late though yesterday's run said something": (
        seen("09:31:00", beat("09:30:59", session_date="2024-07-02")),
        Trouble.LATE,
        "preopen is red",
    ),
    "failed and not launched again": (
        seen("10:00:00", beat("09:59:00", RunState.FAILED), verdict=Skip("3 attempts crashed")),
        Trouble.LATE,
        "3 attempts crashed",
    ),
    "waiting for its broker since the open": (
        seen("09:31:00", beat("09:30:55", RunState.WAITING, text="waiting for the broker, 9")),
        Trouble.LATE,
        "since the open and does not: waiting for the broker, 9",
    ),
    "late and about to be launched": (
        seen("09:31:00", verdict=Request(DAY, 2)),
        Trouble.LATE,
        "it is about to be launched",
    ),
    "killed and not seen flat": (
        seen("10:00:10", beat("10:00:09"), KILLED),
        Trouble.NOT_FLAT,
        "KILLED at 10:00:00 New York (a test) and not seen flat at the broker",
    ),
    "killed, not seen flat, no session": (
        seen("20:00:00", None, KILLED),
        Trouble.NOT_FLAT,
        "credence flatten tries again",
    ),
}


@pytest.mark.parametrize("row", TROUBLED)
def test_a_trouble_is_said(row: str) -> None:
    found, trouble, words = TROUBLED[row]

    assert list(found) == [trouble]
    assert words in found[trouble]


def test_a_trouble_that_lasts_is_repeated_and_one_that_ended_is_forgotten() -> None:
    found = {Trouble.SILENT: "silent", Trouble.NOT_FLAT: "not flat"}
    start = at("10:00:00")

    first, kept = due(found, {}, start)
    soon, kept_soon = due(found, kept, start + timedelta(seconds=299))
    later, kept_later = due({Trouble.NOT_FLAT: "not flat"}, kept, start + timedelta(seconds=300))
    again, _ = due(found, kept_later, start + timedelta(seconds=330))

    assert first == ["silent", "not flat"]
    assert (soon, kept_soon) == ([], kept)
    assert later == ["not flat"]
    assert list(kept_later) == ["not flat"]
    assert again == ["silent"]


def test_what_a_clock_that_was_ahead_said_does_not_silence_a_trouble() -> None:
    found = {Trouble.NOT_FLAT: "not flat"}
    _, kept = due(found, {}, at("10:00:00") + timedelta(days=400))

    texts, kept_now = due(found, kept, at("10:00:30"))

    assert texts == ["not flat"]
    assert kept_now == {"not flat": at("10:00:30").isoformat()}
