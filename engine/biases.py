"""The catalogue of biases as values: what each is, who documented it, what the desk makes of it."""

from dataclasses import dataclass
from typing import Final, TypeAlias

BIAS_FAMILIES: Final = (
    "judgement",
    "prospect theory",
    "belief and evidence",
    "probability and statistics",
    "memory and attention",
    "self-assessment",
    "social influence",
    "emotion and state",
    "investor behaviour",
    "trader execution",
    "market microstructure",
    "price dynamics",
    "calendar and time of day",
    "research and backtest",
)
"""Families of the catalogue, from the single mind to the market and to those who study it."""

BIAS_SIDES: Final = ("with", "against", "any")
"""Whether a modifier holds for entries in its signal's direction, opposite to it, or for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBySignal:
    """A signal measures the bias; beliefs may weigh it, theta does not."""

    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasModifier:
    """A bounded change of theta that a bias asks for beyond a signal's threshold.

    `beyond` is in the signal's unit, `theta` in R; `side` is one of `BIAS_SIDES`.
    """

    signal: str
    beyond: float
    side: str
    theta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotExpressed:
    """Nothing on a bar stands for the bias, and this is why."""

    not_expressed: str


BiasExpression: TypeAlias = ShownBySignal | BiasModifier | NotExpressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """One documented bias of people or regularity of markets, with its literature."""

    id: str
    name: str
    family: str
    mechanism: str
    source: str
    expression: BiasExpression


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasRules:
    """`contracts/biases.yaml`."""

    theta_abs_max: float
    catalogue: tuple[Bias, ...]

    @property
    def modifiers(self) -> tuple[BiasModifier, ...]:
        """What the catalogue asks of theta, in its order."""
        expressions = (bias.expression for bias in self.catalogue)
        return tuple(each for each in expressions if isinstance(each, BiasModifier))
