"""Which of the kept bars are an entry under a parameter set, by the desk's own columns.

Of a set only the columns that its numbers really change are computed again, with the same
expressions, and each template's only on the bars where it could have a setup at all. What few
numbers decide is computed once for all sets that agree on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.instrument import Instrument
from engine.ladder import PASSED
from engine.learning.parameter_sets import ParameterSet
from engine.learning.sweep.columns import OF_A_SETUP, Formulas, Values, change_key
from engine.market import Setup
from engine.risk import worst_case_usd
from engine.rules import Rules

Numbers = npt.NDArray[Any]

SHARED_MAX: Final = 2
"""A column that depends on more numbers than this is hardly ever asked for twice."""

ALONE_SHARE_MIN: Final = 0.1
"""Bars of a template alone are asked by themselves from this share of the kept bars on."""

_AS_WRITTEN: Final = pl.QueryOptFlags.none()


@dataclass(slots=True, kw_only=True)
class _Part:
    """The kept bars on which the same templates could have a setup; `rows` are theirs in `kept`.

    `known` are the columns as today has them, `shared` those computed for some sets' numbers, and
    `depends` names the numbers behind each.
    """

    names: tuple[str, ...]
    bits: tuple[int, ...]
    rows: npt.NDArray[np.intp]
    known: Mapping[str, pl.Series]
    depends: dict[str, tuple[str, ...]] = field(default_factory=dict)
    shared: dict[tuple[str, Values], pl.Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A set, and the numbers it changes by their keys."""

    chosen: ParameterSet
    values: Mapping[str, float]


class Entries:
    """The entries among the kept bars, for one parameter set after the other.

    `places` are their rows of the tape. `side`, `stop_ticks` and `worst_cents`, the worst case of
    that stop, have a row for each template and are the same for all sets; they mean nothing where
    it has no geometry. `least_cents` is the least worst case on a bar.
    """

    def __init__(self, kept: pl.DataFrame, rules: Rules) -> None:
        self.ids = [block.id for block in rules.strategies.templates]
        self.places: Numbers = kept["_place"].to_numpy()
        self._formulas = Formulas(rules)
        names = self._formulas.names
        self.side = _whole_numbers(kept, [f"_{name}_seen" for name in names])
        self.stop_ticks = _whole_numbers(kept, [f"_{name}_stop_ticks" for name in names])
        friction = kept["friction_ticks"].to_numpy()
        self.worst_cents = _worst_cents(self.stop_ticks, friction, rules.instrument)
        self.least_cents = np.where(self.side, self.worst_cents, _NEVER_CENTS).min(axis=0)
        self._parts = _parts(kept, names)
        part_of, row_of = np.zeros(kept.height, np.int8), np.zeros(kept.height, np.int32)
        for number, part in enumerate(self._parts):
            part_of[part.rows], row_of[part.rows] = number, np.arange(part.rows.size)
        self.part_of, self.row_of = part_of.item, row_of.item
        self._whole: dict[tuple[str, Values], list[int]] = {}
        self._depend()

    def under(self, chosen: ParameterSet) -> "Candidates":
        """The bars that the market allows an entry on under a set's numbers.

        Raises `InputRefused` for numbers that change a column which looks back over bars, or what
        is the same for all sets.
        """
        if self._formulas.learn(chosen):
            self._depend()
        values = {change_key(change): float(change.after) for change in chosen.changes}
        asked = _Asked(chosen=chosen, values=values)
        found = [self._judged(part, asked) for part in self._parts]
        codes = np.zeros(self.places.size, np.uint8)
        for part, columns in zip(self._parts, found, strict=True):
            codes[part.rows] = columns[_CODE].to_numpy()
        return Candidates(self, asked, found, codes)

    def whole(self, name: str, asked: _Asked) -> list[int]:
        """A whole number of a template on all kept bars, 0 where it has none."""
        parts = [part for part in self._parts if name in part.known]
        parts = [part for part in parts if self._is_of(name, part)]
        depends = parts[0].depends[name] if parts else ()
        key = (name, tuple(map(asked.values.get, depends)))
        if key not in self._whole:
            numbers = np.zeros(self.places.size, np.int32)
            for part in parts:
                numbers[part.rows] = self.series(part, [name], asked)[name].fill_null(0).to_numpy()
            self._whole[key] = numbers.tolist()
        return self._whole[key]

    def series(
        self, part: _Part, wanted: Sequence[str], asked: _Asked, *more: pl.Expr
    ) -> dict[str, pl.Series]:
        """Columns of a part under a set, and what `more` makes of them; computed where unknown."""
        given, unknown = self._told(part, wanted, asked)
        query = pl.DataFrame(list(given.values())).lazy()
        for one in self._formulas.passes:
            if made := [name for name in one if name in unknown]:
                query = query.with_columns(
                    self._formulas.formula(name, asked.chosen, asked.values) for name in made
                )
        shared = {name for name, key in unknown.items() if len(key) <= SHARED_MAX}
        kept = [name for name in unknown if name in shared or name in wanted]
        if kept or more:
            found = query.select(*kept, *more).collect(
                engine="in-memory", optimizations=_AS_WRITTEN
            )
            given.update((column.name, column) for column in found.iter_columns())
            part.shared.update(((name, unknown[name]), given[name]) for name in shared)
        return given

    def _told(
        self, part: _Part, wanted: Sequence[str], asked: _Asked
    ) -> tuple[dict[str, pl.Series], dict[str, Values]]:
        """What is known of the columns and of all that they read, and what has to be computed."""
        given, unknown = dict[str, pl.Series](), dict[str, Values]()
        ahead = list(wanted)
        while ahead:
            name = ahead.pop()
            if name in given or name in unknown:
                continue
            key = tuple(map(asked.values.get, part.depends.get(name, ())))
            is_today = key.count(None) == len(key)
            found = part.known.get(name) if is_today else part.shared.get((name, key))
            if found is None:
                unknown[name] = key
                ahead += self._formulas.roots[name]
            else:
                given[name] = found
        return given, unknown

    def _judged(self, part: _Part, asked: _Asked) -> dict[str, pl.Series]:
        """A bit for each template whose setup passes, and the numbers of all setups."""
        wanted = [f"_{name}_is_setup" for name in part.names]
        wanted += [f"{name}_step_if_believed" for name in part.names]
        wanted += [f"_{name}_{what}" for name in part.names for what in OF_A_SETUP]
        return self.series(part, wanted, asked, _code(part).alias(_CODE))

    def _depend(self) -> None:
        """Follow the numbers that columns read through the columns that read those."""
        formulas = self._formulas
        for part in self._parts:
            part.shared.clear()
            part.depends.clear()
            for name in formulas.today:
                if self._is_of(name, part):
                    behind = [part.depends.get(root, ()) for root in formulas.roots[name]]
                    found = set(formulas.read_by(name)).union(*behind)
                    part.depends[name] = tuple(sorted(found))
        self._whole.clear()

    def _is_of(self, column: str, part: _Part) -> bool:
        """Where a template has no setup under any set, what is known of it stays as it is."""
        template = self._formulas.template[column]
        return template is None or template in part.names


class Candidates:
    """The entries of one set: `codes` has, for each kept bar, a bit for every template whose setup
    passes all that the market asks. `target_ticks` has each template's on all kept bars.
    """

    def __init__(
        self,
        entries: Entries,
        asked: _Asked,
        found: list[dict[str, pl.Series]],
        codes: npt.NDArray[np.uint8],
    ) -> None:
        self._entries, self._asked, self._found = entries, asked, found
        self.codes = codes
        self.target_ticks = [
            entries.whole(f"_{each.lower()}_target_ticks", asked) for each in entries.ids
        ]

    def euc(self, row: int, which: int) -> float:
        """Score of a template's setup on a kept bar."""
        score: float = self._number(row, which, "euc")
        return score

    def setup(self, row: int, which: int) -> Setup:
        """The whole setup of a template on a kept bar; it passes all that the market asks."""
        numbers = [self._number(row, which, what) for what in OF_A_SETUP]
        return Setup._make([self._entries.ids[which], *numbers, None])

    def _number(self, row: int, which: int, what: str) -> Any:
        entries = self._entries
        column = self._found[entries.part_of(row)][f"_{entries.ids[which].lower()}_{what}"]
        return column[entries.row_of(row)]


_CODE: Final = "_code"
_NEVER_CENTS: Final = 10**12
_CLOSE_CENTS: Final = 1e-6
"""More than floats can be off: only close calls are judged in money."""


def _worst_cents(stop_ticks: Numbers, friction_ticks: Numbers, instrument: Instrument) -> Numbers:
    """Worst cases as `worst_case_usd` has them, which rounds up to a cent."""
    cents = (stop_ticks + friction_ticks) * float(instrument.tick_value_usd * 100)
    worst = np.ceil(cents).astype(np.int64)
    for which, row in np.argwhere(np.abs(cents - np.rint(cents)) < _CLOSE_CENTS).tolist():
        stop, friction = int(stop_ticks[which, row]), float(friction_ticks[row])
        worst[which, row] = int(worst_case_usd(stop, friction, instrument) * 100)
    return worst


def _whole_numbers(kept: pl.DataFrame, names: list[str]) -> Numbers:
    return np.stack([kept[name].fill_null(0).to_numpy() for name in names])


def _code(part: _Part) -> pl.Expr:
    """A bit for each template whose setup passes all that the market asks."""
    code = pl.lit(0, pl.UInt8)
    for name, bit in zip(part.names, part.bits, strict=True):
        passes = pl.col(f"_{name}_is_setup") & (pl.col(f"{name}_step_if_believed") == PASSED)
        code = code + passes.cast(pl.UInt8) * (1 << bit)
    return code


def _parts(kept: pl.DataFrame, names: list[str]) -> list[_Part]:
    """The bars of each frequent template alone, and all others together: most are of one."""
    could = kept["_could"].to_numpy()
    alone = [bit for bit in range(len(names)) if (could == 1 << bit).mean() >= ALONE_SHARE_MIN]
    chosen: list[tuple[npt.NDArray[np.bool_], tuple[int, ...]]] = [
        (could == 1 << bit, (bit,)) for bit in alone
    ]
    others = ~np.isin(could, [1 << bit for bit in alone])
    chosen.append((others, tuple(range(len(names)))))
    return [
        _Part(
            names=tuple(names[bit] for bit in bits),
            bits=bits,
            rows=np.flatnonzero(mask),
            known={column.name: column for column in kept.filter(mask).iter_columns()},
        )
        for mask, bits in chosen
        if mask.any()
    ]
