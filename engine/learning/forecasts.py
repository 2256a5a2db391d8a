"""What the beliefs said of each bar, template and side, beside what came true."""

import polars as pl

from engine.learning.believed import believed_outcomes
from engine.learning.calibration import FORECAST_COLUMNS
from engine.outcomes import ExitKind
from engine.rules import Rules
from engine.scores import prior_odds


def forecasts(frame: pl.DataFrame, outcomes: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """`FORECAST_COLUMNS` of a market frame and the `outcomes` of its bars, sorted by bar.

    A win is the target reached; a stop, a time stop and a flattening are none, because the score
    pays the whole target for a win. Of the `believed_outcomes`, those are left out where the
    constraint does not apply: its belief is 0 there, and says nothing.
    """
    paired = believed_outcomes(frame, outcomes, rules)
    known = paired.filter(pl.col("belief") > 0).sort("closes_at", "template", "side")
    p_win = prior_odds(pl.col("stop_ticks"), pl.col("target_ticks"), pl.col("belief"), rules)
    is_win = pl.col("exit_kind") == ExitKind.TARGET.value
    return known.select(
        "session_date",
        "template",
        "side",
        "belief",
        p_win.alias("p_win"),
        is_win.alias("is_win"),
    ).cast(dict(FORECAST_COLUMNS))  # type: ignore[arg-type]  # Its own stubs: a dict of names to types.
