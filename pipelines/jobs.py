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

IN_PROCESS: Final = dg.in_process_executor
"""Steps of a session take milliseconds; a process each would take seconds."""

market_day = dg.define_asset_job(
    name="market_day",
    selection=dg.AssetSelection.assets(*MARKET_STAGES)
    - dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("session_context"), "preopen_review")),
    executor_def=IN_PROCESS,
    description="Ingest a finished session and compute every market table, with their checks.",
)

preopen = dg.define_asset_job(
    name="preopen",
    selection=dg.AssetSelection.assets("session_context"),
    executor_def=IN_PROCESS,
    description="Review the last session and make the context of the one about to open.",
)

rehearse_session = dg.define_asset_job(
    name="rehearse_session",
    selection=dg.AssetSelection.assets(*SESSION_STAGES),
    executor_def=IN_PROCESS,
    tags={"credence/session": "rehearsal", "dagster/max_retries": "0"},
    description="Play a stored session through the desk on the simulated exchange, at any time.",
)

JOBS: Final = (market_day, preopen, rehearse_session)
