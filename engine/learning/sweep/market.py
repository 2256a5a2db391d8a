"""The market of a sweep: computed once, and cut down to the bars that could be an entry at all."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add, and_, or_
from typing import NamedTuple

import polars as pl

from engine.beliefs import add_beliefs
from engine.candidates import candidate_stage
from engine.context import join_context
from engine.ladder import PASSED
from engine.learning.sweep.columns import columns_needed, names_of
from engine.market import columns_of_rows
from engine.measures import add_passes
from engine.quality import add_quality
from engine.rules import Rules
from engine.signals import add_signals


class Market(NamedTuple):
    """All bars in two frames, in the order of time.

    `tape` has every bar, with the columns of a `MarketRow` but its setups. `kept` has the bars that
    could be an entry under some set: `_place` is their row in `tape`, `_could` a bit for each
    template that could have a setup there under some set.
    """

    tape: pl.DataFrame
    kept: pl.DataFrame


class Loosest(NamedTuple):
    """The widest gate of any set, by template where each has its own."""

    belief_min: Mapping[str, float]
    instability_max: Mapping[str, float]
    tradability_belief_min: float
    noise_veto_belief: float


def loosest(many: Iterable[Rules]) -> Loosest:
    """The widest gates among these rules."""
    found = [rules.strategies for rules in many]
    blocks = [block for strategies in found for block in strategies.templates]
    names = {block.id.lower() for block in blocks}
    of = {name: [block for block in blocks if block.id.lower() == name] for name in names}
    return Loosest(
        {name: min(block.belief_min for block in of[name]) for name in names},
        {name: max(block.instability_max for block in of[name]) for name in names},
        min(strategies.tradability_belief_min for strategies in found),
        max(strategies.noise_veto_belief for strategies in found),
    )


def market_of(
    contexts: pl.DataFrame, bars: pl.DataFrame, rules: Rules, gates: Loosest, first_place: int = 0
) -> Market:
    """The market of some whole sessions under today's rules; `bars` as for `market_frame`.

    `first_place` is the number of bars in the parts before this one.
    """
    frame = add_signals(add_quality(join_context(bars, contexts), rules), rules)
    frame = add_beliefs(frame, rules)
    stage = candidate_stage(rules)
    found = add_passes(frame[stage.reads], stage.passes)
    whole = frame.hstack([column for column in found if column.name not in frame.columns])
    names = names_of(rules)
    of_a_row = columns_of_rows(whole.columns)
    tape = whole.select(name for name in of_a_row if name.partition("_")[0] not in names)
    kept = (
        found.with_columns(
            _place=pl.int_range(pl.len(), dtype=pl.Int32) + first_place,
            _could=reduce(add, _bits(names, gates)),
        )
        .filter(_may_pass(names, rules, gates))
        .select("_place", "_could", *columns_needed(rules))
    )
    return Market(tape, kept)


def _bits(names: list[str], gates: Loosest) -> list[pl.Expr]:
    """A bit for each template that could have a setup, whether or not that could pass."""
    return [
        _is_setup(name, gates).fill_null(value=False).cast(pl.UInt8) * (1 << bit)
        for bit, name in enumerate(names)
    ]


def _is_setup(name: str, gates: Loosest) -> pl.Expr:
    return pl.col(f"_{name}_has_bracket") & (pl.col(f"{name}_belief") >= gates.belief_min[name])


def _may_pass(names: list[str], rules: Rules, gates: Loosest) -> pl.Expr:
    """Bars on which some template could pass every gate that sets only widen so far."""
    strategies = rules.strategies
    noise = pl.col(f"{strategies.noise_constraint.lower()}_effective")
    tradability = pl.col(f"{strategies.tradability_constraint.lower()}_effective")
    setups = (
        _is_setup(name, gates)
        & (pl.col(f"_{name}_stop_ticks") <= rules.constitution.stop_ticks_max)
        & (pl.col(f"_{name}_instability") <= gates.instability_max[name])
        for name in names
    )
    asked = (
        pl.col("_bar_step") == PASSED,
        tradability >= gates.tradability_belief_min,
        noise < gates.noise_veto_belief,
    )
    return reduce(and_, asked) & reduce(or_, setups)
