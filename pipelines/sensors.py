"""Sensors: launch the session, watch over it, and tell a person what went wrong."""

import json
from datetime import timedelta
from typing import Final

import dagster as dg

from pipelines.alerts import raise_and_tell
from pipelines.jobs import TRADED, trading_session_job
from pipelines.session.heartbeat import unread
from pipelines.session_outlook import Outlook, session_outlook
from pipelines.session_request import Closed, Request
from pipelines.watchdog import Trouble, due, troubles
from pipelines.wiring import Wiring

SECONDS: Final = 30
OVERTIME: Final = timedelta(minutes=15)
"""How long after the close a session run may last: late reports, a kill that waits to be flat."""


@dg.sensor(
    job=trading_session_job,
    minimum_interval_seconds=SECONDS,
    description="On a session day from 09:20 New York, when preopen is green, the desk is not "
    "KILLED and no session runs: launch trading_session. After a crash again, at most three times.",
)
def session_sensor(
    context: dg.SensorEvaluationContext, wiring: dg.ResourceParam[Wiring]
) -> dg.RunRequest | dg.SkipReason:
    """The run of today's session, or the reason why there is none to launch now."""
    return session_run(context.instance, wiring)


def session_run(instance: dg.DagsterInstance, wiring: Wiring) -> dg.RunRequest | dg.SkipReason:
    """What a tick of the session sensor comes to."""
    outlook = session_outlook(instance, wiring)
    verdict = outlook.verdict
    if not isinstance(verdict, Request):
        return dg.SkipReason(verdict.reason)
    day = verdict.session_date.isoformat()
    return dg.RunRequest(
        run_key=verdict.run_key,
        partition_key=day,
        run_config=outlook.run_config or TRADED,
        tags={
            "credence/session": day,
            "credence/attempt": str(verdict.attempt),
            "dagster/max_runtime": str(_seconds_left(outlook)),
        },
    )


def _seconds_left(outlook: Outlook) -> int:
    """From now to just over the end of the session."""
    if isinstance(outlook.session, Closed):
        return 0
    return int((outlook.session.closes_at + OVERTIME - outlook.now).total_seconds())


@dg.sensor(
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert when the session run is silent for 60 s, late, or KILLED without "
    "being seen flat, again every five minutes while it lasts; and delivers what is untold.",
)
def watchdog(
    context: dg.SensorEvaluationContext, wiring: dg.ResourceParam[Wiring]
) -> dg.SkipReason:
    """Alerts of what is wrong with the session, and delivery of everything not told yet."""
    now = wiring.clock()
    found = _troubles(context.instance, wiring)
    said = json.loads(context.cursor) if context.cursor else {}
    texts, kept = due(found, said, now)
    problems = raise_and_tell(wiring.alert_book, wiring.outboxes(), texts, at=now)
    context.update_cursor(json.dumps(kept))
    return dg.SkipReason("; ".join([*found.values(), *problems]) or "nothing is wrong")


def _troubles(instance: dg.DagsterInstance, wiring: Wiring) -> dict[Trouble, str]:
    """What a person must be told now; that it cannot be seen is such a thing itself."""
    try:
        outlook = session_outlook(instance, wiring)
        found = troubles(
            outlook.now,
            outlook.session,
            outlook.verdict,
            outlook.heartbeat,
            outlook.kill,
            is_expected=_is_on(instance, session_sensor.name),
        )
        strange = unread(wiring.session_files.heartbeat)
    except Exception as error:  # noqa: BLE001 - A watchdog that dies of a fault tells nobody of it.
        kind = type(error).__name__
        return {Trouble.UNSEEN: f"nobody can see how the session stands ({kind}): {error}"}
    return found if strange is None else {**found, Trouble.UNREAD: strange}


def _is_on(instance: dg.DagsterInstance, sensor: str) -> bool:
    """Whether a person has switched this sensor on."""
    return any(
        state.instigator_name == sensor and state.is_running
        for state in instance.all_instigator_state()
    )


@dg.run_failure_sensor(
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert for every run that failed, with its failed checks.",
)
def failed_run_alerts(
    context: dg.RunFailureSensorContext, wiring: dg.ResourceParam[Wiring]
) -> None:
    """An alert with the run, its first error and its failed checks."""
    run = context.dagster_run
    day = run.tags.get("dagster/partition")
    where = f" of {day}" if day else ""
    error = (context.failure_event.message or "no message").splitlines()[0]
    text = f"the run {run.job_name}{where} failed: {error}{_failed_checks(context.instance, run)}"
    _raise(context, wiring, f"{text} (run {run.run_id[:8]})")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Raises an alert for a check of severity ERROR that failed in a run that did not.",
)
def failed_check_alerts(
    context: dg.RunStatusSensorContext, wiring: dg.ResourceParam[Wiring]
) -> None:
    """An alert with the failed checks of a run that succeeded all the same."""
    run = context.dagster_run
    failed = _failed_checks(context.instance, run)
    if failed:
        _raise(context, wiring, f"in the run {run.job_name} (run {run.run_id[:8]}){failed}")


def _failed_checks(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The failed checks of severity ERROR of a run, in words; empty without any."""
    evaluations = [
        record.event_log_entry.asset_check_evaluation
        for record in instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
    ]
    failed = [
        f"{each.check_name} ({each.description})"
        for each in evaluations
        if each is not None and not each.passed and each.severity is dg.AssetCheckSeverity.ERROR
    ]
    return f"; failed checks: {', '.join(failed)}" if failed else ""


def _raise(context: dg.RunStatusSensorContext, wiring: Wiring, text: str) -> None:
    """To Dagster a run is told even when this raises, so what goes wrong is logged."""
    for problem in raise_and_tell(wiring.alert_book, wiring.outboxes(), [text], at=wiring.clock()):
        context.log.error(problem)


SENSORS: Final = (session_sensor, watchdog, failed_run_alerts, failed_check_alerts)
