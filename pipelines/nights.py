"""Which night is due: of the oldest session that has taught nothing yet, or one corrected since."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg

from engine.desk import SessionClosed, fact_of
from engine.journal import Kind
from pipelines.corrections import Correction, corrected_market, corrected_nights
from pipelines.instance import UNFINISHED
from pipelines.jobs import market_day, nightly, recompute_market
from pipelines.schedules import NEW_YORK, RANGE_FIRST, RANGE_LAST
from pipelines.session_outlook import session_of
from pipelines.session_request import Closed
from pipelines.wiring import Wiring

_UNDER_WAY: Final = (dg.DagsterRunStatus.QUEUED, *UNFINISHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The job to run for a session, and why."""

    job: str
    session_date: date
    why: str


def due_night(
    traded: Sequence[date],
    bars: Collection[date],
    stored: Collection[str],
    learned: Collection[str],
    is_as_seen: Callable[[date], bool],
) -> Due | str:
    """What the night asks for next, or in words why for nothing.

    `traded` are the sessions that are over, ascending; `bars` those whose bars are stored; `stored`
    and `learned` the partitions of outcomes and of whole nights that were made; `is_as_seen` tells
    whether stored bars are those that the desk saw. A night needs the one before it, so they come
    in order, and each first needs the market tables of its session: from the bars that are stored,
    if somebody ingested them and the desk saw the same, else from the source.
    """
    waiting = [day for day in traded if day.isoformat() not in learned]
    if not waiting:
        return f"learned from every session, last {traded[-1]}" if traded else "nothing was traded"
    day = waiting[0]
    if day in bars and not is_as_seen(day):
        why = f"the bars of {day} are not stored as the desk saw them"
        return Due(job=market_day.name, session_date=day, why=why)
    if day.isoformat() not in stored and day in bars:
        why = f"the market tables of {day} are not made"
        return Due(job=recompute_market.name, session_date=day, why=why)
    if day.isoformat() not in stored:
        return Due(job=market_day.name, session_date=day, why=f"the market of {day} is not stored")
    return Due(job=nightly.name, session_date=day, why=f"{day} was traded and has taught nothing")


def traded_sessions(wiring: Wiring) -> list[date]:
    """Sessions of the desk, in whatever mode, that are over: closed, or of a day before today."""
    today = wiring.clock().astimezone(ZoneInfo(NEW_YORK)).date()
    traded = sorted(wiring.session_journals.traded_dates())
    return [day for day in traded if day < today or _is_closed(wiring, day)]


def _is_closed(wiring: Wiring, day: date) -> bool:
    facts = [fact_of(event) for event in wiring.session_journals.events(day, Kind.SESSION)]
    return bool(facts) and isinstance(facts[-1], SessionClosed)


def _asked(
    instance: dg.DagsterInstance, wiring: Wiring, attempt: str
) -> dg.RunRequest | dg.SkipReason:
    made = instance.get_materialized_partitions
    verdict = due_night(
        traded_sessions(wiring),
        wiring.market.session_dates("bars", wiring.settings.symbol),
        made(dg.AssetKey("outcomes")),
        # Either may fail alone, and half a night teaches half.
        made(dg.AssetKey("learning_state")) & made(dg.AssetKey("calibration")),
        lambda day: wiring.seen.are_stored(day, wiring.market),
    )
    if isinstance(verdict, str):
        return _asked_again(instance, wiring, attempt) or dg.SkipReason(verdict)
    day = verdict.session_date.isoformat()
    return dg.RunRequest(
        run_key=f"{verdict.job} {day}{_of_stored(wiring, verdict)}{_of_acts(wiring, verdict)}"
        f"{attempt}",
        job_name=verdict.job,
        partition_key=day,
        tags={"credence/why": verdict.why},
    )


def _of_stored(wiring: Wiring, due: Due) -> str:
    """What tells one set of stored bars from another that have to be replaced; else empty."""
    if due.job != market_day.name:
        return ""
    day = due.session_date
    stored = wiring.market.read("bars", wiring.settings.symbol, day, day)
    if stored.is_empty():
        return ""
    return f" {hashlib.sha256(stored.write_csv().encode()).hexdigest()[:16]}"


def _of_acts(wiring: Wiring, due: Due) -> str:
    """What tells a night after a person's word on its books from the one before; else empty."""
    said = wiring.session_journals.accepted(due.session_date) if due.job == nightly.name else ()
    return f" accepted {len(said)}" if said else ""


def _asked_again(
    instance: dg.DagsterInstance, wiring: Wiring, attempt: str
) -> dg.RunRequest | dg.SkipReason | None:
    """The next step after a late correction, the market before its nights; null without one."""
    market, night = corrected_market(instance, wiring), corrected_nights(instance, wiring)
    job, found = (nightly, night) if market is None else (recompute_market, market)
    if found is None:
        return None
    if _is_open(wiring):
        return dg.SkipReason(f"{found.why}; {job.name} waits until today's session is over")
    busy = _under_way(instance)
    if busy:
        return dg.SkipReason(f"{found.why}; {job.name} waits for the run of {busy} under way")
    return _again(job.name, found, attempt)


def _again(job: str, found: Correction, attempt: str) -> dg.RunRequest:
    first, last = found.first_date.isoformat(), found.last_date.isoformat()
    return dg.RunRequest(
        run_key=f"{job} {first}…{last} {found.digest[:16]}{attempt}",
        job_name=job,
        tags={RANGE_FIRST: first, RANGE_LAST: last, "credence/why": found.why},
    )


def _under_way(instance: dg.DagsterInstance) -> str:
    """The job that is at work on the past, empty for none: a night builds on what it leaves."""
    for job in (recompute_market.name, nightly.name):
        if instance.get_runs(dg.RunsFilter(job_name=job, statuses=_UNDER_WAY), limit=1):
            return job
    return ""


def _is_open(wiring: Wiring) -> bool:
    """Whether a session is on: its machine is not to be busy with the past."""
    now = wiring.clock()
    session = session_of(now, wiring.rules.session)
    return not isinstance(session, Closed) and session.opens_at <= now < session.closes_at


@dg.sensor(
    jobs=[market_day, recompute_market, nightly],
    minimum_interval_seconds=30,
    description="When a traded session is over: store its market, then learn from it, once each. "
    "When bars or fills of a learned one were corrected: do its night again, and those after it.",
)
def nightly_sensor(
    context: dg.SensorEvaluationContext, wiring: dg.ResourceParam[Wiring]
) -> dg.RunRequest | dg.SkipReason:
    """The next step of the oldest night that is due, or the reason why there is none."""
    return _asked(context.instance, wiring, "")


@dg.schedule(
    job=nightly,
    cron_schedule="30 17 * * *",
    execution_timezone=NEW_YORK,
    description="17:30 New York, regardless of what the sensor did: the oldest night that is due.",
)
def nightly_schedule(
    context: dg.ScheduleEvaluationContext, wiring: dg.ResourceParam[Wiring]
) -> dg.RunRequest | dg.SkipReason:
    """A second chance for a night that failed; it waits for the market tables to be made."""
    asked = _asked(context.instance, wiring, f" {_day_of(context.scheduled_execution_time)}")
    if isinstance(asked, dg.RunRequest) and asked.job_name != nightly.name:
        return dg.SkipReason(f"{asked.tags['credence/why']}; run {asked.job_name} for it")
    return asked


def _day_of(at: datetime) -> str:
    return at.astimezone(ZoneInfo(NEW_YORK)).date().isoformat()
