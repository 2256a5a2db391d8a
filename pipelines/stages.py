"""The asset modules in the order of the data flow, from bars to what the night learned."""

from typing import Final

from assets import (
    attribution,
    bars,
    beliefs,
    calibration,
    candidates,
    context,
    decisions,
    executions,
    learning_state,
    outcomes,
    published_warehouse,
    quality,
    session_report,
    signals,
    trades,
    trading_session,
)

STAGES: Final = (
    bars,
    context,
    quality,
    signals,
    beliefs,
    candidates,
    outcomes,
    trading_session,
    decisions,
    executions,
    trades,
    attribution,
    learning_state,
    calibration,
    session_report,
    published_warehouse,
)
"""All stages of the desk on one machine."""

_ON_ONE_MACHINE: Final = (trading_session, published_warehouse)
ON_WORKERS: Final = tuple(stage for stage in STAGES if stage not in _ON_ONE_MACHINE)
"""What many machines share out among themselves: the desk is one process, with one public copy."""
