"""Signals S1–S35: what the bars of a session say, each as one causal column in a declared range.

A family of signals is one file; adding one is one decorated function.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from engine.measures import Passes, Within, add_passes, per_rules, within_of
from engine.rules import Rules
from engine.signals import (  # noqa: F401 — importing a family registers its signals.
    bar_shape,
    breakout,
    cost,
    crowd,
    row,
    session,
    trend,
    value,
    volatility,
    volume,
)
from engine.signals.measures import measure_passes
from engine.signals.page import signals_page
from engine.signals.registry import (
    Companion,
    Signal,
    Unit,
    inputs_of,
    registered_companions,
    registered_signals,
    signal,
)

__all__ = [
    "COMPANIONS",
    "SIGNALS",
    "Companion",
    "Signal",
    "Unit",
    "add_signals",
    "inputs_of",
    "signal",
    "signals_page",
]

SIGNALS: Final[Mapping[str, Signal]] = {known.name: known for known in registered_signals()}
"""Every signal by name, in the order of its number."""

COMPANIONS: Final[Mapping[str, Companion]] = {
    known.name: known for known in registered_companions()
}
"""Columns beside the signals, by name; those that start with `_` do not leave `add_signals`."""


def add_signals(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """A frame with quality columns → the 35 signals (Float64, by number) and their companions.

    Companions: `vwap_ticks`, `vwap_deviation_ticks`, spread, slippage and friction in ticks, the
    failed break, the sweep's extreme, `reliability` and `regime`. Columns that start with `_` are
    dropped.
    """
    full = add_passes(frame, signal_passes(rules, within_of(frame)))
    kept = [name for name in full.columns if not name.startswith("_") and name not in SIGNALS]
    return full[[*kept, *SIGNALS]]


@per_rules
def signal_passes(rules: Rules, within: Within) -> Passes:
    """The passes of the computation; each reads only columns of the passes before it."""
    columns: dict[str, Signal | Companion] = {**SIGNALS, **COMPANIONS}
    passes: list[list[pl.Expr]] = []
    for name, column in columns.items():
        level = _level(name, columns)
        passes.extend([] for _ in range(level + 1 - len(passes)))
        passes[level].append(column.expression(rules))
    return (*measure_passes(within), *map(tuple, passes))


def _level(name: str, columns: Mapping[str, Signal | Companion]) -> int:
    """How many of the columns here have to exist before this one."""
    return max(
        (
            _level(need, columns) + 1
            for need in columns[name].needs
            if need in columns and need != name
        ),
        default=0,
    )
