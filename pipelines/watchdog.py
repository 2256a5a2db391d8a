"""What is wrong with a desk that nobody looks at, and when to say it again. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from engine.calendar import Session
from engine.kill import KillSwitch
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.session_request import NEW_YORK, Closed, Request, Skip

SILENT_AFTER: Final = timedelta(seconds=60)
"""A run that lives writes its heartbeat every few seconds."""

LATE_AFTER: Final = timedelta(minutes=1)
REPEAT_AFTER: Final = timedelta(minutes=5)
"""A trouble that lasts is said again until it is over: the first message may have been missed."""

ENDED: Final = frozenset({RunState.CLOSED, RunState.STOPPED})


class Trouble(StrEnum):
    """What the watchdog looks for."""

    SILENT = "silent"
    LATE = "late"
    NOT_FLAT = "not flat"
    UNSEEN = "unseen"
    UNREAD = "unread"


def troubles(
    now: datetime,
    session: Session | Closed,
    verdict: Request | Skip,
    heartbeat: Heartbeat | None,
    kill: KillSwitch,
    *,
    is_expected: bool,
) -> dict[Trouble, str]:
    """What a person must be told at this instant, by kind.

    `is_expected` says whether somebody wants sessions to be launched at all; `verdict` is what the
    sensor would answer now, and thereby why a session that should run does not.
    """
    found: dict[Trouble, str] = {}
    beat = heartbeat if _is_of(heartbeat, now) else None
    if beat is not None and _is_silent(beat, now):
        found[Trouble.SILENT] = _silent_text(beat, now)
    elif is_expected and _is_due(now, session):
        why = _why_not_running(beat, verdict)
        if why is not None:
            found[Trouble.LATE] = f"the session should run since the open and does not: {why}"
    if kill.is_killed and not kill.is_flat_verified:
        since = "" if kill.since is None else f" at {_clock(kill.since)} New York"
        found[Trouble.NOT_FLAT] = (
            f"KILLED{since} ({kill.text or kill.cause}) and not seen flat at the broker: look at "
            "the account; credence flatten tries again"
        )
    return found


def due(
    found: Mapping[Trouble, str], said: Mapping[str, str], now: datetime
) -> tuple[list[str], dict[str, str]]:
    """What to say now, and when each trouble that lasts was said last (ISO instants, by kind).

    What was said by a clock that was ahead counts as said long ago.
    """
    to_say = {
        trouble: text
        for trouble, text in found.items()
        if trouble not in said or abs(now - datetime.fromisoformat(said[trouble])) >= REPEAT_AFTER
    }
    kept = {
        trouble.value: now.isoformat() if trouble in to_say else said[trouble] for trouble in found
    }
    return list(to_say.values()), kept


def _is_of(heartbeat: Heartbeat | None, now: datetime) -> bool:
    """Whether the heartbeat is of today's session; an older one tells of another day."""
    today = now.astimezone(NEW_YORK).date().isoformat()
    return heartbeat is not None and heartbeat.session_date == today


def _is_silent(beat: Heartbeat, now: datetime) -> bool:
    is_over = beat.run in ENDED or beat.run is RunState.FAILED
    return not is_over and now - datetime.fromisoformat(beat.at) > SILENT_AFTER


def _silent_text(beat: Heartbeat, now: datetime) -> str:
    seconds = (now - datetime.fromisoformat(beat.at)).total_seconds()
    process = "still there" if beat.is_alive else "gone"
    return (
        f"no heartbeat of the session run for {seconds:.0f} s; its process {beat.pid} is "
        f"{process}. It last said: {beat.desk}, position {beat.position}, last bar "
        f"{beat.last_bar_at}"
    )


def _why_not_running(beat: Heartbeat | None, verdict: Request | Skip) -> str | None:
    """Why a session that is due is not traded; null when it is, or was ended on purpose."""
    if beat is None or beat.run is RunState.FAILED:
        return verdict.reason if isinstance(verdict, Skip) else "it is about to be launched"
    return beat.text if beat.run is RunState.WAITING else None


def _is_due(now: datetime, session: Session | Closed) -> bool:
    if isinstance(session, Closed):
        return False
    return session.opens_at + LATE_AFTER <= now < session.closes_at


def _clock(at: datetime) -> str:
    return f"{at.astimezone(NEW_YORK):%H:%M:%S}"
