"""Which of the kept bars are an entry under a parameter set, by the desk's own columns.

Of a set only the columns that its numbers really change are computed again, with the same
expressions, and each template's only on the bars where it could have a setup at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.errors import InputRefused
from engine.ladder import PASSED
from engine.learning.sweep.columns import (
    OF_A_SETUP,
    columns_looking_back,
    expressions,
    names_of,
    template_named_in,
)
from engine.market import Setup
from engine.measures import Passes
from engine.rules import Rules

Ints = npt.NDArray[np.int32]
Item = Callable[[int], Any]

_AS_WRITTEN: Final = pl.QueryOptFlags.none()


@dataclass(frozen=True, slots=True)
class _Part:
    """The kept bars on which the same templates could have a setup."""

    names: tuple[str, ...]
    bits: tuple[int, ...]
    frame: pl.DataFrame
    columns: frozenset[str]
    places: Ints


class Candidates:
    """The entries of one set, in the order of time.

    `places` are rows of the tape; of each, `codes` has a bit for every template whose setup passes
    all that the market asks.
    """

    def __init__(self, parts: list[tuple[_Part, pl.DataFrame]], ids: list[str]) -> None:
        self._ids = ids
        self._columns = [_columns(part, found, ids) for part, found in parts]
        self._friction = [part.frame["friction_ticks"].to_numpy().item for part, _ in parts]
        codes = [found["_code"].to_numpy() for _, found in parts]
        rows = [np.flatnonzero(each) for each in codes]
        places = [part.places[row] for (part, _), row in zip(parts, rows, strict=True)]
        numbers = [np.full(row.size, number) for number, row in enumerate(rows)]
        of_all = np.concatenate(places)
        order = np.argsort(of_all, kind="stable")
        chosen = [each[row] for each, row in zip(codes, rows, strict=True)]
        self.in_order = of_all[order]
        self.places: list[int] = self.in_order.tolist()
        self.codes: list[int] = np.concatenate(chosen)[order].tolist()
        self._parts: list[int] = np.concatenate(numbers)[order].tolist()
        self._rows: list[int] = np.concatenate(rows)[order].tolist()

    def stop_ticks(self, index: int, which: int) -> int:
        """Stop of a template's setup on an entry bar."""
        stop: int = self._columns[self._parts[index]][which][_STOP](self._rows[index])
        return stop

    def target_ticks(self, index: int, which: int) -> int:
        """Target of a template's setup on an entry bar."""
        target: int = self._columns[self._parts[index]][which][_TARGET](self._rows[index])
        return target

    def friction_ticks(self, index: int) -> float:
        """Expected cost of a round trip decided on an entry bar."""
        friction: float = self._friction[self._parts[index]](self._rows[index])
        return friction

    def setup(self, index: int, which: int) -> Setup:
        """The whole setup of a template on an entry bar; it passes all that the market asks."""
        row = self._rows[index]
        numbers = [item(row) for item in self._columns[self._parts[index]][which]]
        return Setup._make([self._ids[which], *numbers, None])


_STOP: Final = OF_A_SETUP.index("stop_ticks")
_TARGET: Final = OF_A_SETUP.index("target_ticks")


class Entries:
    """The entries among the kept bars, for one parameter set after the other."""

    def __init__(self, kept: pl.DataFrame, rules: Rules) -> None:
        names = names_of(rules)
        self._ids = [block.id for block in rules.strategies.templates]
        self._names = names
        self._looking_back = columns_looking_back(rules)
        self._today = {n: e for one in expressions(rules) for n, e in one.items()}
        self._roots = {name: each.meta.root_names() for name, each in self._today.items()}
        self._templates = {name: template_named_in(name, names) for name in self._today}
        self._parts = _parts(kept, names)

    def under(self, rules: Rules) -> Candidates:
        """The bars that the market allows an entry on under these rules.

        Raises `InputRefused` for rules that change a column which looks back over bars.
        """
        passes = self._changed(rules)
        parts = [(part, self._of_part(part, passes)) for part in self._parts]
        return Candidates(parts, self._ids)

    def _of_part(self, part: _Part, passes: Passes) -> pl.DataFrame:
        numbers = [f"_{name}_{what}" for name in part.names for what in OF_A_SETUP]
        answers = [
            each
            for name in part.names
            for each in (f"_{name}_is_setup", f"{name}_step_if_believed")
        ]
        changed = [
            [each for each in one if self._matters(each.meta.output_name(), part)] for one in passes
        ]
        read = (n for one in changed for each in one for n in self._roots[each.meta.output_name()])
        known = [n for n in dict.fromkeys((*read, *numbers, *answers)) if n in part.columns]
        query = part.frame[known].lazy()
        for one in changed:
            query = query.with_columns(one)
        steps = zip(part.names, part.bits, strict=True)
        code = sum(
            (
                (pl.col(f"_{name}_is_setup") & (pl.col(f"{name}_step_if_believed") == PASSED)).cast(
                    pl.UInt8
                )
                * (1 << bit)
                for name, bit in steps
            ),
            start=pl.lit(0, pl.UInt8),
        )
        return query.select(code.alias("_code"), *numbers).collect(
            engine="in-memory", optimizations=_AS_WRITTEN
        )

    def _matters(self, column: str, part: _Part) -> bool:
        """Where a template has no setup under any set, what is known of it stays as it is."""
        template = self._templates[column]
        return template is None or template in part.names

    def _changed(self, rules: Rules) -> Passes:
        """The columns that differ under these rules, in the order of the passes."""
        differing: set[str] = set()
        passes = []
        for one in expressions(rules):
            changed = []
            for name, expression in one.items():
                is_same = expression.meta.eq(self._today[name])
                if is_same and differing.isdisjoint(self._roots[name]):
                    continue
                if name in self._looking_back:
                    raise InputRefused(
                        f"{name}: expected a set that leaves what looks back over bars alone; "
                        "sweep numbers of engine.learning.parameter_sets.knobs only"
                    )
                changed.append(expression)
                differing.add(name)
            passes.append(tuple(changed))
        return tuple(passes)


def _parts(kept: pl.DataFrame, names: list[str]) -> list[_Part]:
    """The bars of each template alone, and those that several share: most are of one."""
    could = kept["_could"]
    alone = [1 << bit for bit in range(len(names))]
    several = ~could.is_in(alone)
    chosen: list[tuple[pl.Series, tuple[int, ...]]] = [
        (could == code, (bit,)) for bit, code in enumerate(alone)
    ]
    chosen.append((several, tuple(range(len(names)))))
    return [
        _Part(
            tuple(names[bit] for bit in bits),
            bits,
            frame := kept.filter(mask),
            frozenset(frame.columns),
            frame["_place"].to_numpy(),
        )
        for mask, bits in chosen
        if mask.any()
    ]


def _columns(part: _Part, found: pl.DataFrame, ids: list[str]) -> list[list[Item]]:
    """Readers of each template's setup numbers, by template; none where it has no setup."""
    columns: list[list[Item]] = [[] for _ in ids]
    for name, bit in zip(part.names, part.bits, strict=True):
        columns[bit] = [
            found[f"_{name}_{what}"].fill_null(0).to_numpy().item for what in OF_A_SETUP
        ]
    return columns
