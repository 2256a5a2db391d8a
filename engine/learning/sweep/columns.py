"""Which of the desk's own candidate columns an entry depends on, and which of them look back."""

from collections.abc import Mapping
from itertools import chain
from typing import Final

import polars as pl

from engine.candidates import candidate_stage
from engine.errors import InputRefused
from engine.gates import lockout_memory, lockout_starts
from engine.learning.parameter_sets import ParameterSet, rules_with
from engine.learning.variants import Variant
from engine.rules import Rules
from engine.strategies.registry import templates

OF_A_SETUP: Final = (
    *("seen", "stop_ticks", "target_ticks", "belief", "instability"),
    *("p_win", "edge", "theta", "euc"),
)
"""Scratch columns of a template, `_k1_seen` …: the numbers of its setup."""

OF_THE_BAR: Final = ("_bar_step", "friction_ticks")

Values = tuple[float | None, ...]
"""What a set asks for the numbers that a column reads, null where it leaves today's."""


class Formulas:
    """The expressions behind an entry under one set after the other, each built only once.

    An expression is kept by the changed numbers that it reads itself. Which those are is found by
    changing each number alone; an expression that is not what was kept for its numbers is refused.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.names = names_of(rules)
        self.today = _flat(rules)
        self.passes = [list(one) for one in expressions(rules)]
        self.roots = {name: each.meta.root_names() for name, each in self.today.items()}
        self.template = {name: template_named_in(name, self.names) for name in self.today}
        of_all = (f"_{name}_{what}" for name in self.names for what in ("seen", "stop_ticks"))
        self._fixed = columns_looking_back(rules).union(of_all)
        self._readers: dict[str, frozenset[str]] = {}
        self._read: dict[str, list[str]] = {name: [] for name in self.today}
        self._kept: dict[tuple[str, Values], pl.Expr] = {}

    def learn(self, chosen: ParameterSet) -> bool:
        """Find what reads each number of a set; true when one had not been seen before.

        Raises `InputRefused` for a number that changes a column which looks back over bars, or a
        side or stop.
        """
        fresh = [each for each in chosen.changes if change_key(each) not in self._readers]
        for change in fresh:
            found = _flat(rules_with(self._rules, (change,)))
            readers = frozenset(n for n, each in found.items() if not each.meta.eq(self.today[n]))
            if not readers.isdisjoint(self._fixed):
                raise InputRefused(
                    f"{change_key(change)}: expected a set that leaves sides, stops and what looks "
                    f"back over bars alone, this changes {sorted(readers & self._fixed)}; sweep "
                    "numbers of engine.learning.parameter_sets.knobs only"
                )
            self._readers[change_key(change)] = readers
            for name in readers:
                self._read[name].append(change_key(change))
        return bool(fresh)

    def read_by(self, name: str) -> list[str]:
        """The numbers that a column's own expression reads, of those learned so far."""
        return self._read[name]

    def formula(self, name: str, chosen: ParameterSet, values: Mapping[str, float]) -> pl.Expr:
        """A column's expression under a set that was learned; `values` are its changed numbers."""
        key = (name, tuple(map(values.get, self._read[name])))
        kept = self._kept.get(key)
        if kept is None:
            self._keep(chosen, values)
            kept = self._kept[key]
        return kept

    def _keep(self, chosen: ParameterSet, values: Mapping[str, float]) -> None:
        for name, each in _flat(rules_with(self._rules, chosen.changes)).items():
            key = (name, tuple(map(values.get, self._read[name])))
            if not self._kept.setdefault(key, each).meta.eq(each):
                raise InputRefused(
                    f"set {chosen.number}: expected {name} to follow from {self._read[name]}, it "
                    "reads another number of the set as well; leave one of them as it is"
                )


def change_key(change: Variant) -> str:
    """A changed number in one word: `decision.theta_base`."""
    return f"{change.file}.{change.key}"


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


def _flat(rules: Rules) -> dict[str, pl.Expr]:
    """Every such column, earlier passes first."""
    return {name: each for one in expressions(rules) for name, each in one.items()}


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
