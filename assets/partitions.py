"""One partition per session date; the dates come from the exchange calendar."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg

from assets.prior_sessions import PRIOR_SESSIONS
from contracts import load_rules
from contracts.calendar import sessions_between
from engine.calendar import Session, SessionRules

FIRST_SESSION_DATE: Final = date(2013, 1, 2)

ACCEPTED_PREVIEWS: Final = (
    "Parameter `backfill_policy` of function `(multi_)?asset` is currently in beta",
    "Parameter `allow_nonexistent_upstream_partitions` of initializer .* is currently in beta",
)
"""What the desk uses of Dagster though it may still change; tests execute each of them.

One run per backfill, and a context that reaches back before the first partition: without them the
lineage would be slower, or would refuse the first sessions.
"""


def session_partitions(rules: SessionRules, today: date) -> dg.TimeWindowPartitionsDefinition:
    """Every session day from the first to today; closed weekdays are excluded.

    Today's partition exists from midnight on: the context of a session is made before its open.
    """
    last = date(today.year + 1, 12, 31)
    open_days = {
        session.session_date for session in sessions_between(FIRST_SESSION_DATE, last, rules)
    }
    days = (last - FIRST_SESSION_DATE).days
    weekdays = (FIRST_SESSION_DATE + timedelta(days=n) for n in range(days + 1))
    zone = ZoneInfo(rules.timezone)
    closed = [
        datetime.combine(day, time(), zone)
        for day in weekdays
        if day.weekday() < 5 and day not in open_days
    ]
    return dg.TimeWindowPartitionsDefinition(
        start=datetime.combine(FIRST_SESSION_DATE, time(), zone),
        fmt="%Y-%m-%d",
        cron_schedule="0 0 * * 1-5",
        timezone=rules.timezone,
        end_offset=1,
        exclusions=closed,
    )


@contextmanager
def accepted_previews() -> Iterator[None]:
    """Silence exactly `ACCEPTED_PREVIEWS`, and only while a definition is made."""
    with warnings.catch_warnings():
        for message in ACCEPTED_PREVIEWS:
            warnings.filterwarnings("ignore", message=message)
        yield


SESSIONS: Final = session_partitions(load_rules().session, datetime.now(UTC).date())

ALL_AT_ONCE: Final = dg.BackfillPolicy.single_run()
"""A backfill over many sessions is one run: the engine computes them in one call."""

with accepted_previews():
    FROM_PRIOR_SESSIONS: Final = dg.TimeWindowPartitionMapping(
        start_offset=-PRIOR_SESSIONS, end_offset=-1, allow_nonexistent_upstream_partitions=True
    )
    NIGHT_BEFORE: Final = dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
    )


def sessions_of(partition_keys: Sequence[str], rules: SessionRules) -> list[Session]:
    """The calendar's sessions behind partition keys, ascending."""
    dates = sorted(date.fromisoformat(key) for key in partition_keys)
    wanted = set(dates)
    return [
        session
        for session in sessions_between(dates[0], dates[-1], rules)
        if session.session_date in wanted
    ]
