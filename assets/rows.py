"""What each market table stores of a market frame; without Dagster, so that `verify` may ask."""

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from contracts.schemas import columns_of
from engine.candidates import SETUP_COLUMNS
from engine.outcomes import outcomes as followed
from engine.rules import Rules

Rows = Callable[[pl.DataFrame, Rules], pl.DataFrame]
"""From a market frame to the rows of one table."""


def own_rows(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of a market frame that this table stores, in stored order."""
    return frame.select(list(columns_of(table)))


def quality_rows(frame: pl.DataFrame, _rules: Rules) -> pl.DataFrame:
    """The rows of `quality`, one per bar."""
    return own_rows("quality", frame)


def signal_rows(frame: pl.DataFrame, _rules: Rules) -> pl.DataFrame:
    """The rows of `signals`, one per bar."""
    return own_rows("signals", frame)


def belief_rows(frame: pl.DataFrame, _rules: Rules) -> pl.DataFrame:
    """The rows of `beliefs`, one per bar."""
    return own_rows("beliefs", frame)


def candidate_rows(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The wide columns of a market frame as one row per bar and template, in bar order."""
    long = [
        frame.with_columns(
            pl.lit(template.id).alias("template"),
            *(pl.col(f"{template.id.lower()}_{name}").alias(name) for name in SETUP_COLUMNS),
        )
        for template in rules.strategies.templates
    ]
    return own_rows("candidates", pl.concat(long).sort("symbol", "closes_at", "template"))


def outcome_rows(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The rows of `outcomes` from a market frame, in bar order."""
    rows = own_rows("outcomes", followed(frame, rules))
    return rows.sort("symbol", "closes_at", "template", "side")


ROWS_OF: Final[Mapping[str, Rows]] = {
    "quality": quality_rows,
    "signals": signal_rows,
    "beliefs": belief_rows,
    "candidates": candidate_rows,
    "outcomes": outcome_rows,
}
"""By table, for every table that is computed from a market frame."""
