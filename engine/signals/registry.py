"""What a signal is: a number, a name, a declared range and one causal expression whose docstring is
its meaning.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from engine.rules import Rules

Body = Callable[[Rules], pl.Expr]


class Unit(StrEnum):
    """What one unit of a signal counts."""

    SIGMA = "standard deviations"
    ATR = "multiples of ATR"
    RANGE = "multiples of a session's range"
    SHARE = "share"
    SCORE = "score"
    FLAG = "flag"
    CODE = "code"
    TICKS = "ticks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One numbered signal.

    Null is allowed on the first `lookback_bars` bars of a session, and where a column in `needs` is
    null on this bar or one of that many before it; nowhere else. `signed`: positive is bullish.
    """

    number: int
    name: str
    unit: Unit
    low: float
    high: float
    needs: tuple[str, ...]
    lookback_bars: int
    signed: bool
    meaning: str
    body: Body

    def expression(self, rules: Rules) -> pl.Expr:
        """The signal as a Float64 column under its name, inside its declared range."""
        low, high = float(self.low), float(self.high)
        return self.body(rules).cast(pl.Float64).clip(low, high).alias(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A column that comes with the numbered signals: a level, a cost, a label."""

    name: str
    needs: tuple[str, ...]
    meaning: str
    body: Body

    def expression(self, rules: Rules) -> pl.Expr:
        """The column under its name."""
        return self.body(rules).alias(self.name)


_SIGNALS: dict[str, Signal] = {}
_COMPANIONS: dict[str, Companion] = {}


def signal(
    *,
    number: int,
    unit: Unit,
    low: float,
    high: float,
    needs: tuple[str, ...],
    lookback_bars: int = 0,
    signed: bool = False,
) -> Callable[[Body], Body]:
    """Register the decorated expression as the signal of its name."""

    def register(body: Body) -> Body:
        _refuse_twice(body, number)
        _SIGNALS[body.__name__] = Signal(
            number=number,
            name=body.__name__,
            unit=unit,
            low=low,
            high=high,
            needs=needs,
            lookback_bars=lookback_bars,
            signed=signed,
            meaning=inspect.getdoc(body) or "",
            body=body,
        )
        return body

    return register


def companion(*, needs: tuple[str, ...]) -> Callable[[Body], Body]:
    """Register the decorated expression as a companion column of its name."""

    def register(body: Body) -> Body:
        _refuse_twice(body, number=None)
        _COMPANIONS[body.__name__] = Companion(
            name=body.__name__, needs=needs, meaning=inspect.getdoc(body) or "", body=body
        )
        return body

    return register


def registered_signals() -> tuple[Signal, ...]:
    """All signals by number."""
    return tuple(sorted(_SIGNALS.values(), key=lambda known: known.number))


def registered_companions() -> tuple[Companion, ...]:
    """All companion columns by name."""
    return tuple(sorted(_COMPANIONS.values(), key=lambda known: known.name))


def inputs_of(name: str) -> tuple[str, ...]:
    """Columns of the finished frame that a signal or companion needs, in order.

    A shared column that is dropped again stands for what it needs itself.
    """
    shown: dict[str, None] = {}
    for need in (_SIGNALS | _COMPANIONS)[name].needs:
        names = inputs_of(need) if need.startswith("_") else (need,)
        shown |= dict.fromkeys(names)
    return tuple(shown)


def _refuse_twice(body: Body, number: int | None) -> None:
    name = body.__name__
    numbers = {known.number: known.name for known in _SIGNALS.values()}
    if name in _SIGNALS or name in _COMPANIONS or number in numbers:
        taken_by = numbers.get(number or 0, name)
        raise ValueError(
            f"signal {name}: its name or number {number} is taken by {taken_by}; choose another"
        )
