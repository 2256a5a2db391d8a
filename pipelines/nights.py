"""Which night is due: of the oldest session that was traded and has taught nothing yet."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from engine.desk import SessionClosed, fact_of
from engine.journal import Kind
from pipelines.jobs import market_day, nightly
from pipelines.journal_store import JournalReader
from pipelines.schedules import NEW_YORK
from pipelines.wiring import Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The job to run for a session, and why."""

    job: str
    session_date: date
    why: str


def due_night(
    traded: Sequence[date], stored: Collection[str], learned: Collection[str]
) -> Due | str:
    """What the night asks for next, or in words why for nothing.

    `traded` are the sessions that are over, ascending; `stored` and `learned` the partitions of
    outcomes and learning_state that were made. A night needs the one before it, so they come in
    order, and each first needs the market tables of its session.
    """
    waiting = [day for day in traded if day.isoformat() not in learned]
    if not waiting:
        return f"learned from every session, last {traded[-1]}" if traded else "nothing was traded"
    day = waiting[0]
    if day.isoformat() not in stored:
        return Due(job=market_day.name, session_date=day, why=f"the market of {day} is not stored")
    return Due(job=nightly.name, session_date=day, why=f"{day} was traded and has taught nothing")


def traded_sessions(wiring: Wiring) -> list[date]:
    """Sessions of the desk's journal that are over: closed, or of a day before today."""
    if not wiring.journal.is_file():
        return []
    reader = JournalReader(wiring.journal)
    today = wiring.clock().astimezone(ZoneInfo(NEW_YORK)).date()
    sessions = reader.sessions()
    return [day for day in sessions if day < today or _is_closed(reader, day)]


def _is_closed(reader: JournalReader, day: date) -> bool:
    facts = [fact_of(event) for event in reader.events(session_date=day, kinds=(Kind.SESSION,))]
    return bool(facts) and isinstance(facts[-1], SessionClosed)


def _asked(
    instance: dg.DagsterInstance, wiring: Wiring, attempt: str
) -> dg.RunRequest | dg.SkipReason:
    made = instance.get_materialized_partitions
    verdict = due_night(
        traded_sessions(wiring),
        made(dg.AssetKey("outcomes")),
        made(dg.AssetKey("learning_state")),
    )
    if isinstance(verdict, str):
        return dg.SkipReason(verdict)
    day = verdict.session_date.isoformat()
    return dg.RunRequest(
        run_key=f"{verdict.job} {day}{attempt}",
        job_name=verdict.job,
        partition_key=day,
        tags={"credence/why": verdict.why},
    )


@dg.sensor(
    jobs=[market_day, nightly],
    minimum_interval_seconds=30,
    description="When a traded session is over: store its market, then learn from it, once each.",
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
        return dg.SkipReason(f"{asked.tags['credence/why']}; run market_day for it")
    return asked


def _day_of(at: datetime) -> str:
    return at.astimezone(ZoneInfo(NEW_YORK)).date().isoformat()
