"""What the beliefs said of each bar, template and side, beside what came true."""

import polars as pl

from engine.beliefs import streams
from engine.learning.calibration import FORECAST_COLUMNS
from engine.outcomes import ExitKind
from engine.rules import Rules, TemplateRules
from engine.units import Side


def forecasts(frame: pl.DataFrame, outcomes: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """`FORECAST_COLUMNS` of a market frame and the `outcomes` of its bars, sorted by bar.

    A win is the target reached; a stop, a time stop and a flattening are none, because the score
    pays the whole target for a win. A bar without a belief, or without an outcome that is over, is
    no forecast; nor is one where the constraint does not apply (its belief is 0 there), or whose
    stop is only the stand-in for a template that has none.
    """
    over = outcomes.filter(
        pl.col("exit_kind") != ExitKind.NO_DATA.value,
        ~pl.col("is_fallback_stop"),
    )
    believed = pl.concat(
        [
            _beliefs(frame, block, side, rules)
            for block in rules.strategies.templates
            for side in Side
        ]
    )
    paired = over.join(believed, on=["symbol", "closes_at", "template", "side"])
    known = paired.filter(pl.col("belief") > 0).sort("closes_at", "template", "side")
    is_win = pl.col("exit_kind") == ExitKind.TARGET.value
    return known.select(
        "session_date",
        "template",
        "side",
        "belief",
        _p_win(rules).alias("p_win"),
        is_win.alias("is_win"),
    ).cast(dict(FORECAST_COLUMNS))  # type: ignore[arg-type]  # Its own stubs: a dict of names to types.


def _beliefs(frame: pl.DataFrame, block: TemplateRules, side: Side, rules: Rules) -> pl.DataFrame:
    constraint = next(each for each in rules.beliefs.constraints if each.id == block.constraint)
    prefixes = {sign: prefix for prefix, sign in streams(constraint)}
    return frame.select(
        "symbol",
        "closes_at",
        template=pl.lit(block.id),
        side=pl.lit(int(side), pl.Int8),
        belief=pl.col(f"{prefixes[side]}_effective"),
    )


def _p_win(rules: Rules) -> pl.Expr:
    """The stated prior: a driftless walk's chance of the target, moved by the belief."""
    beliefs, stop, target = rules.beliefs, pl.col("stop_ticks"), pl.col("target_ticks")
    moved = beliefs.prior_strength * (pl.col("belief") - beliefs.prior_median)
    return (stop / (stop + target) + moved).clip(beliefs.p_win_min, beliefs.p_win_max)
