"""Before the open: ask for the sessions that are missing, then for the context of today.

The session date comes from the exchange calendar, never from the newest partition key: on a holiday
that key is already the next session.
"""

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg

from assets.partitions import SESSIONS
from assets.prior_sessions import PRIOR_SESSIONS
from contracts import load_rules
from contracts.calendar import closure_reason, is_session
from pipelines.jobs import market_day, preopen
from pipelines.preopen_state import CONTEXT, is_outdated

NEW_YORK: Final = "America/New_York"
RANGE_FIRST: Final = "dagster/asset_partition_range_start"
RANGE_LAST: Final = "dagster/asset_partition_range_end"


@dg.schedule(
    job=market_day,
    cron_schedule="15 8,18 * * 1-5",
    execution_timezone=NEW_YORK,
    description="08:15 and 18:15 New York: one run over every finished session that is missing.",
)
def market_day_schedule(
    context: dg.ScheduleEvaluationContext,
) -> dg.RunRequest | dg.SkipReason:
    """08:15 and 18:15 New York: one run over every finished session that the market lacks."""
    now = context.scheduled_execution_time.astimezone(ZoneInfo(NEW_YORK))
    missing = missing_sessions(context.instance, now)
    if not missing:
        return dg.SkipReason(f"every session of the window before {now:%Y-%m-%d %H:%M} is there")
    tags = {RANGE_FIRST: missing[0], RANGE_LAST: missing[-1]}
    return dg.RunRequest(run_key=f"{missing[0]}…{missing[-1]} at {now:%Y-%m-%d %H}", tags=tags)


@dg.schedule(
    job=preopen,
    cron_schedule=["30,40,50 8 * * 1-5", "*/10 9 * * 1-5"],
    execution_timezone=NEW_YORK,
    description="08:30 New York on session days, every ten minutes until 09:50 while it waits or "
    "when bars were corrected since: review the last session and make the context of today.",
)
def preopen_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """08:30 New York on session days: review the last session and make the context of today.

    While sessions are missing it waits and says so; it asks again every ten minutes until 09:50,
    and once more for each correction of the bars that the context was made from.
    """
    now = context.scheduled_execution_time.astimezone(ZoneInfo(NEW_YORK))
    rules, today = load_rules().session, now.date()
    if not is_session(today, rules):
        return dg.SkipReason(f"no session on {today}: {closure_reason(today, rules)}")
    missing = missing_sessions(context.instance, now)
    if missing:
        return dg.SkipReason(
            f"waiting for {len(missing)} sessions from {missing[0]} to {missing[-1]}; "
            "run market_day over them"
        )
    made = context.instance.get_materialized_partitions(CONTEXT)
    if str(today) in made and not is_outdated(context.instance, today):
        return dg.SkipReason(f"the context of {today} is there")
    return dg.RunRequest(run_key=f"preopen {now:%Y-%m-%d %H:%M}", partition_key=str(today))


def missing_sessions(instance: dg.DagsterInstance, now: datetime) -> list[str]:
    """Finished sessions that today's context reads and whose last market table was never made.

    From the first missing one on, so that they are one range.
    """
    window = [key for key in SESSIONS.get_partition_keys() if is_finished(key, now)]
    made = instance.get_materialized_partitions(dg.AssetKey("outcomes"))
    missing = [key for key in window[-PRIOR_SESSIONS:] if key not in made]
    return [key for key in window if missing and key >= missing[0]]


def is_finished(key: str, now: datetime) -> bool:
    """Whether the session of a partition key is over: 17:00 New York is past every close."""
    session_date = date.fromisoformat(key)
    return session_date < now.date() or (session_date == now.date() and now.hour >= 17)
