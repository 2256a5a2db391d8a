"""Parameter sets: many numbers of the contracts changed at once, each on a grid around today's.

Every change of a set is a `Variant`, the same one-number change that the weekly proposals try. Only
numbers that judge, manage or leave a candidate are drawn here: those that make signals, beliefs or
geometry would change the market's columns, and the constitution is nobody's to vary.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np

from engine.errors import InputRefused
from engine.learning.variants import Variant
from engine.rules import Rules

_DIGITS: Final = 6
_BLOCK: Final = re.compile(r"(?P<blocks>\w+)\[(?P<id>\w+)\]\.(?P<name>\w+)")


class Knob(NamedTuple):
    """One number that sets differ in: its grid is `today + k * step`, k from -reach to reach."""

    file: str
    key: str
    step: float
    reach: int
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSet:
    """What is changed together; number 0 changes nothing and is today's rules."""

    number: int
    changes: tuple[Variant, ...]


# `least` and `most` are the contracts' own bounds: a set that could not be loaded says nothing.
_OF_TEMPLATES: Final = (
    ("belief_min", 0.01, 5, 0.60, 0.99),
    ("instability_max", 0.005, 2, 0.005, 0.20),
    ("target_r", 0.25, 1, 1.0, 5.0),
    ("time_stop_minutes", 2, 5, 2, 60),
)
_OF_ALL: Final = (
    ("strategies", "noise_veto_belief", 0.01, 3, 0.35, 0.80),
    ("strategies", "tradability_belief_min", 0.02, 3, 0.05, 0.99),
    ("strategies", "thesis_belief_min", 0.01, 4, 0.35, 0.99),
    ("decision", "theta_base", 0.02, 4, 0.10, 0.60),
    ("decision", "friction_share_max", 0.01, 4, 0.01, 0.30),
    ("decision", "weight_instability", 0.025, 2, 0.10, 1.0),
    ("decision", "weight_belief", 0.025, 2, 0.10, 1.0),
    ("trade", "profit_protection_r", 0.25, 1, 0.25, 2.0),
)


def knobs(rules: Rules) -> tuple[Knob, ...]:
    """Every number that is drawn: four of each template, and those that all entries share."""
    named = [
        *(
            ("strategies", f"templates[{block.id}].{name}", *grid)
            for block in rules.strategies.templates
            for name, *grid in _OF_TEMPLATES
        ),
        *_OF_ALL,
    ]
    return tuple(Knob(*each) for each in named)


def parameter_sets(rules: Rules, count: int, seed: int) -> list[ParameterSet]:
    """Today's rules and `count` - 1 sets, every number of each drawn from its grid by itself.

    The same arguments give the same sets, and more sets begin with the fewer ones.
    """
    drawn = knobs(rules)
    found = [ParameterSet(number=0, changes=())]
    for number in range(1, count):
        draw = np.random.default_rng([seed, number])
        reaches = np.array([knob.reach for knob in drawn])
        steps = draw.integers(-reaches, reaches, endpoint=True).tolist()
        changes = (_change(rules, knob, step) for knob, step in zip(drawn, steps, strict=True))
        found.append(ParameterSet(number=number, changes=tuple(filter(None, changes))))
    return found


def rules_with(rules: Rules, changes: Iterable[Variant]) -> Rules:
    """The rules with these numbers in place; the contracts hash stays that of today's files.

    Raises `InputRefused` for a key that names nothing.
    """
    for change in changes:
        rules = _placed(rules, change)
    return rules


def value_of(rules: Rules, file: str, key: str) -> float:
    """Today's number behind a key as `Variant` writes it; raises `InputRefused` for none."""
    holder, name = _holder(rules, file, key)
    return float(getattr(holder, name))


def _change(rules: Rules, knob: Knob, steps: int) -> Variant | None:
    before = value_of(rules, knob.file, knob.key)
    after = min(max(round(before + steps * knob.step, _DIGITS), knob.least), knob.most)
    if after == before:
        return None
    return Variant(file=knob.file, key=knob.key, before=before, after=after)


def _placed(rules: Rules, change: Variant) -> Rules:
    holder, name = _holder(rules, change.file, change.key)
    number = type(getattr(holder, name))(change.after)
    changed = replace(holder, **{name: number})
    part = getattr(rules, change.file)
    if (found := _BLOCK.fullmatch(change.key)) is None:
        return replace(rules, **{change.file: changed})
    blocks: Sequence[Any] = getattr(part, found["blocks"])
    among = tuple(changed if block.id == found["id"] else block for block in blocks)
    return replace(rules, **{change.file: replace(part, **{found["blocks"]: among})})


def _holder(rules: Rules, file: str, key: str) -> tuple[Any, str]:
    """The value that holds the number, and the number's name in it."""
    part = getattr(rules, file, None)
    found = _BLOCK.fullmatch(key)
    if found is None:
        holder, name = part, key
    else:
        blocks = getattr(part, found["blocks"], ())
        holder = next((block for block in blocks if block.id == found["id"]), None)
        name = found["name"]
    if not isinstance(getattr(holder, name, None), int | float):
        raise InputRefused(
            f"{file}.{key}: expected the key of a number, as in strategies.templates[K1].belief_min"
        )
    return holder, name
