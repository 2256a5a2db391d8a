"""Which of the desk's own candidate columns an entry depends on, and which of them look back."""

from itertools import chain
from typing import Final

import polars as pl

from engine.candidates import candidate_stage
from engine.gates import lockout_memory, lockout_starts
from engine.rules import Rules
from engine.strategies.registry import templates

OF_A_SETUP: Final = (
    *("seen", "stop_ticks", "target_ticks", "belief", "instability"),
    *("p_win", "edge", "theta", "euc"),
)
"""Scratch columns of a template, `_k1_seen` …: the numbers of its setup."""

OF_THE_BAR: Final = ("_bar_step", "friction_ticks")


def names_of(rules: Rules) -> list[str]:
    """The templates as columns name them: `k1`, `k2`, …"""
    return [block.id.lower() for block in rules.strategies.templates]


def expressions(rules: Rules) -> list[dict[str, pl.Expr]]:
    """Every column that an entry depends on, pass by pass, in the order of computation."""
    passes = candidate_stage(rules).passes
    named = [{each.meta.output_name(): each for each in one} for one in passes]
    needed = _deciding(rules)
    for one in reversed(named):
        for name in one:
            if name in needed:
                needed.update(one[name].meta.root_names())
    return [{name: each for name, each in one.items() if name in needed} for one in named]


def columns_needed(rules: Rules) -> list[str]:
    """Those columns and all that they read."""
    made = list(chain.from_iterable(one.items() for one in expressions(rules)))
    roots = chain.from_iterable(expression.meta.root_names() for _, expression in made)
    return list(dict.fromkeys((*roots, *(name for name, _ in made), *OF_THE_BAR)))


def columns_looking_back(rules: Rules) -> frozenset[str]:
    """Columns that read bars before their own: they cannot be computed on some of the bars."""
    found = templates(rules)
    looking_back = (
        *lockout_starts(rules),
        *lockout_memory(),
        *(column for template in found for column in template.detect(rules).columns),
    )
    seen = (f"_{template.id.lower()}_seen" for template in found)
    return frozenset((*(each.meta.output_name() for each in looking_back), *seen))


def template_named_in(column: str, names: list[str]) -> str | None:
    """The template that a column belongs to; null for one of the whole bar."""
    first = column.lstrip("_").partition("_")[0]
    return first if first in names else None


def _deciding(rules: Rules) -> set[str]:
    return {"_bar_step"}.union(
        *(
            {
                f"{name}_step_if_believed",
                f"_{name}_is_setup",
                *(f"_{name}_{what}" for what in OF_A_SETUP),
            }
            for name in names_of(rules)
        )
    )
