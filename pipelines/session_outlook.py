"""How today's session stands, gathered from the calendar, Dagster, the journal and the lock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import dagster as dg

from contracts.calendar import closure_reason, is_session, session_on
from engine.calendar import Session, SessionRules
from engine.desk import Mode
from engine.errors import BrokerTimeout, BrokerUnreachable, ClientIdInUse
from engine.kill import KillSwitch
from pipelines.preopen_state import PARTITION_TAG, preopen_state
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.session.lock import holder_text, is_held
from pipelines.session_request import (
    NEW_YORK,
    Closed,
    Ending,
    NotGreen,
    Request,
    Skip,
    session_request,
)
from pipelines.wiring import Wiring

JOB: Final = "trading_session"

ENDING_OF: Final[Mapping[dg.DagsterRunStatus, Ending]] = {
    dg.DagsterRunStatus.SUCCESS: Ending.COMPLETED,
    dg.DagsterRunStatus.FAILURE: Ending.CRASHED,
    dg.DagsterRunStatus.CANCELED: Ending.STOPPED,
}
"""Every other status is one of a run that is queued or under way."""

ENDED_BY_HAND: Final[Mapping[RunState, Ending]] = {
    RunState.STOPPED: Ending.STOPPED,
    RunState.CLOSED: Ending.COMPLETED,
}
"""What else a run by hand says last is that of a crash."""

NOBODY_THERE: Final = frozenset(
    error.__name__ for error in (BrokerUnreachable, ClientIdInUse, BrokerTimeout)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Everything that speaks for or against a session run at one instant, and the verdict.

    `run_config` is that of the newest attempt: a person's confirmation holds for the whole day.
    """

    now: datetime
    session: Session | Closed
    kill: KillSwitch
    heartbeat: Heartbeat | None
    run_config: Mapping[str, Any]
    verdict: Request | Skip


def session_outlook(instance: dg.DagsterInstance, wiring: Wiring) -> Outlook:
    """How the session of today stands; `wiring.clock` says what day it is."""
    now, rules = wiring.clock(), wiring.rules_now()
    session = session_of(now, rules.session)
    records = [] if isinstance(session, Closed) else _attempts(instance, session.session_date)
    runs = [record.dagster_run for record in records]
    preopen = (
        NotGreen("no session")
        if isinstance(session, Closed)
        else preopen_state(instance, session.session_date, rules.contracts_hash)
    )
    files, kill = wiring.session_files, wiring.kill_switch()
    beat = Heartbeat.read(files.heartbeat)
    verdict = session_request(
        now,
        session,
        preopen,
        kill,
        [_ending(instance, run) for run in runs],
        holder_text(files) if is_held(files) else None,
        is_by_hand=wiring.mode is Mode.LIVE,
        ended_by_hand=_ended_by_hand(beat, session, wiring, records),
    )
    return Outlook(
        now=now,
        session=session,
        kill=kill,
        heartbeat=beat,
        run_config=runs[-1].run_config if runs else {},
        verdict=verdict,
    )


def session_of(now: datetime, rules: SessionRules) -> Session | Closed:
    """The session of the day it is in New York, or why there is none."""
    today = now.astimezone(NEW_YORK).date()
    if not is_session(today, rules):
        return Closed(today, closure_reason(today, rules))
    return session_on(today, rules)


def _attempts(instance: dg.DagsterInstance, session_date: date) -> list[dg.RunRecord]:
    """The runs of this session, oldest first; rehearsals are runs of another job."""
    tags = {PARTITION_TAG: session_date.isoformat()}
    records = instance.get_run_records(dg.RunsFilter(job_name=JOB, tags=tags))
    return list(reversed(records))


def _ended_by_hand(
    beat: Heartbeat | None,
    session: Session | Closed,
    wiring: Wiring,
    attempts: Sequence[dg.RunRecord],
) -> Ending | None:
    """How a person ended a session of this desk and day that was not one of the attempts.

    A heartbeat from before the end of the last attempt is its own, or came before it.
    """
    if beat is None or isinstance(session, Closed):
        return None
    desk = (wiring.mode.value, wiring.settings.symbol, session.session_date.isoformat())
    if (beat.mode, beat.symbol, beat.session_date) != desk:
        return None
    if attempts and datetime.fromisoformat(beat.at).timestamp() <= _ended_at(attempts[-1]):
        return None
    return ENDED_BY_HAND.get(beat.run)


def _ended_at(attempt: dg.RunRecord) -> float:
    """Seconds since 1970; of one without an end, as while it runs, when it was asked for."""
    return attempt.end_time or attempt.create_timestamp.timestamp()


def _ending(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Ending:
    ending = ENDING_OF.get(run.status, Ending.RUNNING)
    if ending is Ending.CRASHED and _is_unreached(instance, run):
        return Ending.UNREACHABLE
    return ending


def _is_unreached(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run failed with the broker's own word that nobody is there, or answers."""
    records = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
    ).records
    for record in records:
        told = record.event_log_entry.dagster_event
        error = None if told is None else told.step_failure_data.error
        while error is not None:
            if error.cls_name in NOBODY_THERE:
                return True
            error = error.cause
    return False
