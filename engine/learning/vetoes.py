"""The counterfactual ledger: what each reason for not trading saved, and what it cost."""

from typing import Final

import polars as pl

from engine.outcomes import ExitKind
from engine.rules import Rules

VETO_COLUMNS: Final[dict[str, pl.DataType]] = {
    "session_date": pl.Date(),
    "reason": pl.String(),
    "template": pl.String(),
    "setups": pl.Int64(),
    "wins": pl.Int64(),
    "net_r": pl.Float64(),
}
"""Columns of the ledger. `net_r` is what the refused setups would have come to, after costs, in
multiples of their stops: below zero the reason saved that much, above it cost that much."""


def vetoes(
    frame: pl.DataFrame, outcomes: pl.DataFrame, decisions: pl.DataFrame, rules: Rules
) -> pl.DataFrame:
    """`VETO_COLUMNS` per session, reason and template, over skipped bars that had a setup.

    Setups on bars in a row are one refused trade, counted at the first of them; one that could not
    be followed to its end is not counted. `decisions` needs closes_at, action and reason.
    """
    refused = decisions.filter(pl.col("action") == "SKIP").select("closes_at", "reason")
    parts = [
        _first_of_runs(frame, block.id)
        .join(refused, on="closes_at")
        .join(outcomes, on=["symbol", "session_date", "closes_at", "template", "side"])
        for block in rules.strategies.templates
    ]
    ended = pl.concat(parts).filter(pl.col("exit_kind") != ExitKind.NO_DATA.value)
    net_r = pl.col("ticks_net") / pl.col("stop_ticks")
    return (
        ended.group_by("session_date", "reason", "template")
        .agg(
            setups=pl.len().cast(pl.Int64),
            wins=(pl.col("ticks_net") > 0).sum().cast(pl.Int64),
            net_r=net_r.sum(),
        )
        .select(*VETO_COLUMNS)
        .sort("session_date", "net_r", "reason", "template")
    )


def _first_of_runs(frame: pl.DataFrame, template: str) -> pl.DataFrame:
    """The first bar of every run of bars on which a template has a setup on one side."""
    side = pl.col(f"{template.lower()}_side")
    is_first = (side != 0) & (side != side.shift(1).over("session_date").fill_null(0))
    return frame.filter(is_first).select(
        "symbol",
        "session_date",
        "closes_at",
        template=pl.lit(template),
        side=side,
    )
