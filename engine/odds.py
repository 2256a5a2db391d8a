"""What a belief is worth on one side of a template: a map that nights have earned, or the prior.

A map takes the prior's place in the score and nothing else: distances, limits and theta stay.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.errors import InputRefused

Floats = npt.NDArray[np.float64]

PRIOR: Final = "prior"
"""Source of a probability that no map has earned the right to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefMap:
    """Probability of the target as a rising, piecewise linear function of the belief.

    Flat outside the outermost knots. `beliefs` rise strictly, `p_win` never falls; both between 0
    and 1. Anything else raises `InputRefused`.
    """

    beliefs: tuple[float, ...]
    p_win: tuple[float, ...]

    def __post_init__(self) -> None:
        rises = all(b > a for a, b in zip(self.beliefs, self.beliefs[1:], strict=False))
        never_falls = all(b >= a for a, b in zip(self.p_win, self.p_win[1:], strict=False))
        is_within = all(0.0 <= number <= 1.0 for number in (*self.beliefs, *self.p_win))
        is_paired = len(self.beliefs) == len(self.p_win) > 0
        if not (is_paired and rises and never_falls and is_within):
            raise InputRefused(
                "belief map: expected as many probabilities as rising beliefs, never falling, "
                f"all between 0 and 1; got {self.beliefs} and {self.p_win}"
            )

    def at(self, belief: Floats) -> Floats:
        """The probability for each belief."""
        return np.interp(belief, self.beliefs, self.p_win)

    def at_one(self, belief: float) -> float:
        """The probability for one belief, to the same bit."""
        return float(np.interp(belief, self.beliefs, self.p_win))


@dataclass(frozen=True, slots=True, kw_only=True)
class EarnedOdds:
    """The map of one side as the night of `through` left it, and the numbers that earned it."""

    side: int
    through: date
    why: str
    belief_map: BeliefMap

    @property
    def source(self) -> str:
        """How a decision names where its probability comes from."""
        return f"map of {self.through}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorOdds:
    """The prior stays on this side after the night of `through`, and why."""

    side: int
    through: date
    why: str


Odds = EarnedOdds | PriorOdds
