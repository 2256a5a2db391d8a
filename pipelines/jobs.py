"""Jobs: one per thing a person or a schedule asks for."""

from typing import Final

import dagster as dg

MARKET_STAGES: Final = (
    "bars",
    "rejected_bars",
    "session_context",
    "quality",
    "signals",
    "beliefs",
    "candidates",
    "outcomes",
)
SESSION_STAGES: Final = ("trading_session", "decisions", "executions", "published_warehouse")

NIGHT_STAGES: Final = (
    "decisions",
    "executions",
    "trades",
    "attribution",
    "learning_state",
    "calibration",
    "session_report",
    "published_warehouse",
)

RUN_SECONDS_MAX: Final = 8 * 3600.0
"""Ten minutes before a full day's open to well after its close; the sensor's bound is tighter."""

TRADED: Final = {"ops": {"play_session": {"config": {"is_rehearsal": False}}}}
"""Run configuration under which the session is traded and not rehearsed."""

IN_PROCESS: Final = dg.in_process_executor
"""Steps of a session take milliseconds; a process each would take seconds."""

SOURCE_STAGES: Final = ("bars", "rejected_bars")

REVIEW: Final = dg.AssetSelection.checks(
    dg.AssetCheckKey(dg.AssetKey("session_context"), "preopen_review")
)
"""Of the session about to open; for one that is over it would ask about the wrong day."""

market_day = dg.define_asset_job(
    name="market_day",
    selection=dg.AssetSelection.assets(*MARKET_STAGES) - REVIEW,
    executor_def=IN_PROCESS,
    description="Ingest a finished session and compute every market table, with their checks.",
)

recompute_market = dg.define_asset_job(
    name="recompute_market",
    selection=dg.AssetSelection.assets(
        *(stage for stage in MARKET_STAGES if stage not in SOURCE_STAGES)
    )
    - REVIEW,
    executor_def=IN_PROCESS,
    description="Compute every market table again from the bars that are stored, without asking "
    "their source: after a late correction of some, or after credence ingest.",
)

preopen = dg.define_asset_job(
    name="preopen",
    selection=dg.AssetSelection.assets("session_context"),
    executor_def=IN_PROCESS,
    description="Review the last session and make the context of the one about to open.",
)

SESSION_TAGS: Final = {"dagster/max_retries": "0"}

trading_session_job = dg.define_asset_job(
    name="trading_session",
    selection=dg.AssetSelection.assets("trading_session"),
    executor_def=IN_PROCESS,
    config=TRADED,
    tags={
        **SESSION_TAGS,
        "credence/session": "by hand",
        "dagster/max_runtime": str(int(RUN_SECONDS_MAX)),
        "dagster/priority": "10",
    },
    description="Trade today's session at the broker and in the mode of the settings, to its end. "
    "Terminating it flattens and stops; halt, resume and kill_and_flatten act while it runs.",
)

rehearse_session = dg.define_asset_job(
    name="rehearse_session",
    selection=dg.AssetSelection.assets(*SESSION_STAGES),
    executor_def=IN_PROCESS,
    tags={**SESSION_TAGS, "credence/rehearsal": "yes"},
    description="Play a stored or generated session through the simulated IB Gateway, the adapter "
    "and the session run, at any time. It never touches the desk's own journal or account.",
)

nightly = dg.define_asset_job(
    name="nightly",
    selection=dg.AssetSelection.assets(*NIGHT_STAGES),
    executor_def=IN_PROCESS,
    tags={"credence/night": "yes"},
    description="After a session: its trades, why they ended as they did, what follows for the "
    "next session, and whether beliefs came true. Over many sessions it is one run, in order.",
)

JOBS: Final = (
    market_day,
    recompute_market,
    preopen,
    trading_session_job,
    rehearse_session,
    nightly,
)
