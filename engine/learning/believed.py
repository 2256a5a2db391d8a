"""Outcomes that are over, beside what was believed of each of them on its bar."""

import polars as pl

from engine.beliefs import streams
from engine.outcomes import ExitKind
from engine.rules import Rules


def believed_outcomes(market: pl.DataFrame, outcomes: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The rows of `outcomes` that have a result, with columns `belief` and `regime` of their bars.

    `market` holds the beliefs and the regime of these bars. An outcome of an unknown belief is left
    out, and so is one behind a stop that only stands in for the template's own.
    """
    constraints = {constraint.id: constraint for constraint in rules.beliefs.constraints}
    believed = pl.concat(
        market.select(
            "symbol",
            "closes_at",
            "regime",
            template=pl.lit(block.id),
            side=pl.lit(int(side), pl.Int8),
            belief=pl.col(f"{prefix}_effective"),
        ).drop_nulls("belief")
        for block in rules.strategies.templates
        for prefix, side in streams(constraints[block.constraint])
    )
    over = outcomes.filter(
        pl.col("exit_kind") != ExitKind.NO_DATA.value, ~pl.col("is_fallback_stop")
    )
    return over.join(believed, on=["symbol", "closes_at", "template", "side"])
