"""The newest bar of a live session: its columns and its text, by one plan over the bars so far."""

from collections.abc import Callable

import polars as pl

from engine.market import columns_of_rows, market_steps
from engine.narrative import text_steps
from engine.plans import Plan
from engine.rules import Rules

BARS_MIN = 2
"""A frame of one row divides by a number in another way than one of many (`market_frame`)."""


def newest_plan(
    joined: pl.Schema,
    source: Callable[[], pl.DataFrame],
    sink: Callable[[pl.DataFrame], None],
    rules: Rules,
) -> Plan:
    """A plan from the bars so far, joined with their context, to what `market_rows` reads of the
    last two.

    All bars of one session, at least `BARS_MIN`; what reads earlier bars is computed on all of
    them.
    """

    def steps(bars: pl.LazyFrame) -> pl.LazyFrame:
        return text_steps(market_steps(bars, rules, newest=BARS_MIN), rules)

    return Plan(joined, source, sink, steps, columns_of_rows)
