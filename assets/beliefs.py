"""Stage `beliefs`: F1–F6, for both sides where they have one."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets import told
from assets.context import session_context
from assets.market import causality_check, parity_check
from assets.rows import belief_rows
from assets.signals import signals
from assets.tables import schema_check, stage_asset
from engine.market import market_frame
from engine.rules import Rules

EFFECTIVE = "_effective"


def numbers(rules: Rules) -> Mapping[str, pl.Expr]:
    """What a session's beliefs come to: how often one of them would be enough to enter."""
    least = min(template.belief_min for template in rules.strategies.templates)
    directional = pl.max_horizontal(pl.col(rf"^f[1-4]_.*{EFFECTIVE}$"))
    return {
        "strongest_belief": directional.max(),
        "enough_to_enter_share": (directional >= least).mean(),
        "noise_mean": pl.col("f5_effective").mean(),
        "tradability_mean": pl.col("f6_effective").mean(),
    }


@stage_asset(
    "beliefs", ins={"contexts": dg.AssetIn(session_context.key)}, deps=[signals], numbers=numbers
)
def beliefs(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Evidence, likelihood, belief and instability per constraint; defined in `engine.beliefs`."""
    rows = belief_rows(market_frame(contexts, bars, rules), rules)
    return dg.MaterializeResult(value=rows, metadata={"beliefs": told.table(strengths(rows))})


def strengths(rows: pl.DataFrame) -> pl.DataFrame:
    """Per belief its mean, its highest value and the share of bars at 0.65 or more."""
    per_belief = [
        rows.select(
            belief=pl.lit(column.removesuffix(EFFECTIVE)),
            mean=pl.col(column).mean(),
            highest=pl.col(column).max(),
            share_from_065=(pl.col(column) >= 0.65).mean(),
        )
        for column in rows.columns
        if column.endswith(EFFECTIVE)
    ]
    return pl.concat(per_belief)


beliefs_schema = schema_check("beliefs")
beliefs_equal_recomputed = parity_check("beliefs", belief_rows)
beliefs_are_causal = causality_check("beliefs", belief_rows)
