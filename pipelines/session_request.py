"""Whether the session run should be launched now, and if not, why not, in words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from engine.calendar import Session
from engine.kill import KillSwitch

ATTEMPTS_MAX: Final = 3
"""A run that crashed this often would crash again; a person should look first."""

EARLY: Final = timedelta(minutes=10)
"""How long before the open the run is asked for: it connects, reconciles and then waits."""

NEW_YORK: Final = ZoneInfo("America/New_York")


class Ending(StrEnum):
    """How an attempt at the session stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    CRASHED = "crashed"
    STOPPED = "stopped"
    UNREACHABLE = "unreachable"
    """Nobody was there to trade with: no fault of the run, and no reason not to try again."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A day without a session, and why."""

    day: date
    why: str


@dataclass(frozen=True, slots=True)
class Green:
    """The context and the review of the day are there and passed."""

    evidence: str


@dataclass(frozen=True, slots=True)
class NotGreen:
    """They are not, and why."""

    why: str


Preopen = Green | NotGreen


@dataclass(frozen=True, slots=True)
class Request:
    """Launch this attempt; the key is the same for the same attempt however often it is asked."""

    session_date: date
    attempt: int

    @property
    def run_key(self) -> str:
        return f"{self.session_date} attempt {self.attempt}"


@dataclass(frozen=True, slots=True)
class Skip:
    """Do not launch, and why."""

    reason: str


def session_request(
    now: datetime,
    session: Session | Closed,
    preopen: Preopen,
    kill: KillSwitch,
    attempts: Sequence[Ending],
    holder: str | None,
    *,
    is_by_hand: bool = False,
    ended_by_hand: Ending | None = None,
) -> Request | Skip:
    """The run to launch at this instant, or the first reason against it.

    `attempts` are those of this session date, oldest first; `holder` names the process that holds
    the desk's lock, null if none does. `ended_by_hand` is how a session that a person started ended
    after them, null if none did on purpose. What a person stopped is not started again, and what
    only a person may launch first is gone on with after a crash. Attempts that did not reach the
    broker do not count as crashed.
    """
    if isinstance(session, Closed):
        return Skip(f"no session on {session.day}: {session.why}")
    reason = _not_the_time(now, session) or _is_there(attempts, holder)
    if reason is None and kill.is_killed:
        flat = "" if kill.is_flat_verified else ", and the broker was not seen flat since"
        reason = (
            f"the desk is KILLED ({kill.text or kill.cause}){flat}; a person lets it go on with "
            "credence resume --reason"
        )
    if reason is None and isinstance(preopen, NotGreen):
        reason = f"the desk does not open before preopen is green: {preopen.why}"
    reason = reason or _no_more(attempts, ended_by_hand)
    if reason is None and is_by_hand and not attempts:
        reason = (
            "real money is traded by hand: launch trading_session with the account confirmed in "
            "its configuration; after a crash the sensor goes on"
        )
    if reason is not None:
        return Skip(reason)
    return Request(session_date=session.session_date, attempt=len(attempts) + 1)


def _not_the_time(now: datetime, session: Session) -> str | None:
    if now < session.opens_at - EARLY:
        opens, asked = (_clock(at) for at in (session.opens_at, session.opens_at - EARLY))
        return (
            f"the session of {session.session_date} opens at {opens} New York and is launched "
            f"from {asked} on"
        )
    if now >= session.closes_at:
        half = "a half day " if session.is_half_day else ""
        return f"the session of {session.session_date}, {half}over at {_clock(session.closes_at)}"
    return None


def _is_there(attempts: Sequence[Ending], holder: str | None) -> str | None:
    if attempts and attempts[-1] is Ending.RUNNING:
        return f"attempt {len(attempts)} is queued or running"
    if holder is not None:
        return f"a session run holds the desk: {holder}"
    return None


def _no_more(attempts: Sequence[Ending], ended_by_hand: Ending | None) -> str | None:
    by_hand = "launch trading_session by hand to go on"
    if ended_by_hand is Ending.STOPPED:
        return f"a person stopped the session that was started by hand; {by_hand}"
    if ended_by_hand is Ending.COMPLETED:
        return f"the session that was started by hand came to its end; {by_hand}"
    if not attempts:
        return None
    if attempts[-1] is Ending.COMPLETED:
        return f"attempt {len(attempts)} came to its end; {by_hand}"
    if attempts[-1] is Ending.STOPPED:
        return f"a person stopped attempt {len(attempts)}; {by_hand}"
    crashed = sum(each is Ending.CRASHED for each in attempts)
    if crashed >= ATTEMPTS_MAX:
        return (
            f"{crashed} attempts crashed, at most {ATTEMPTS_MAX} are made; read their runs, "
            f"then {by_hand}"
        )
    return None


def _clock(at: datetime) -> str:
    return f"{at.astimezone(NEW_YORK):%H:%M}"
