"""Table `context`."""

from typing import Final

import polars as pl

from contracts.schemas.columns import SESSION_DATE, SYMBOL, count, number, ticks
from contracts.schemas.table import Column, Rule, Table
from engine.context import ATR_MEDIAN_SESSIONS_MIN, ATR_MEDIANS

_NO_PRIOR: Final = "no prior session is stored"

CONTEXT: Final = Table(
    name="context",
    meaning="All that a session knows of earlier sessions, fixed before the open.",
    key=("symbol", "session_date"),
    columns=(
        SYMBOL,
        SESSION_DATE,
        count(
            "session_minutes", "minutes", "Length of the session: 390, or 210 on a half day.", low=1
        ),
        Column(
            name="prior_session_date",
            dtype=pl.Date(),
            unit="date",
            meaning="The last session before this one that has bars.",
            null=_NO_PRIOR,
        ),
        ticks("prior_close_ticks", "Close of the prior session.", null=_NO_PRIOR),
        ticks(
            "prior_poc_ticks",
            "Point of control of the prior session: the price with most volume, in 4-tick bins.",
            null=f"{_NO_PRIOR}, or it had no volume",
        ),
        number(
            "prior_vw_deviation_ticks",
            "ticks",
            "Volume-weighted deviation of typical price in the prior session.",
            null=f"{_NO_PRIOR}, or it had no volume",
            low=0,
        ),
        number(
            "atr_seed_ticks",
            "ticks",
            "Mean true range of the prior session's last 30 bars, where ATR starts from.",
            null=_NO_PRIOR,
            low=0,
        ),
        number(
            "median_range_ticks",
            "ticks",
            "Median range of the last 20 sessions at most.",
            null=_NO_PRIOR,
            low=0,
        ),
        count("prior_sessions", "sessions", "Earlier sessions that are stored."),
        *(
            number(
                name,
                "ticks",
                f"Median ATR14 of half hour {half}, over the last 20 sessions at most.",
                null=f"fewer than {ATR_MEDIAN_SESSIONS_MIN} earlier sessions reached it",
                low=0,
            )
            for half, name in enumerate(ATR_MEDIANS)
        ),
    ),
    row_rules=(
        Rule(
            "prior_session_date is before session_date",
            pl.col("prior_session_date") < pl.col("session_date"),
            ("prior_session_date", "session_date"),
        ),
    ),
)
