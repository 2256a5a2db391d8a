"""Execution quality score (EQS): how well our own orders were treated lately, from 1 down to 0.

Every trouble takes a fixed amount, and half of it is forgiven every so many bars
(`contracts/execution.yaml`). Bars are counted over all sessions, so no score depends on a clock.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from engine.rules import ExecutionRules

NEGLIGIBLE: Final = 1e-4
"""A trouble that takes less than this is forgiven entirely, so a quiet desk scores exactly 1."""

REMEMBERED_MAX: Final = 64
"""Bound of the memory: so many troubles together score 0; spread out, the oldest are forgiven."""


class Trouble(StrEnum):
    """Kinds of execution trouble; the keys of `eqs_losses` in `contracts/execution.yaml`."""

    REJECT = "reject"
    SLOW_FILL = "slow_fill"
    SLIPPAGE = "slippage"
    PARTIAL = "partial"
    UNKNOWN_STATE = "unknown_state"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """One trouble, and the number of the bar it fell into."""

    kind: Trouble
    bar_number: int

    def loss_at(self, bar_number: int, rules: ExecutionRules) -> float:
        """What the trouble still takes at a later bar; 0 once that is negligible."""
        law = rules.eqs_losses[self.kind]
        bars = max(bar_number - self.bar_number, 0)
        loss = law.amount * float(0.5 ** (bars / law.half_life_bars))
        return loss if loss >= NEGLIGIBLE else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionQuality:
    """The troubles that may still count, oldest first; empty for a desk nothing has happened to."""

    impairments: tuple[Impairment, ...] = ()

    def eqs(self, bar_number: int, rules: ExecutionRules) -> float:
        """Score at a bar, in [0, 1]."""
        if not self.impairments:
            return 1.0
        lost = sum(trouble.loss_at(bar_number, rules) for trouble in self.impairments)
        return min(1.0, max(0.0, 1.0 - lost))

    def impaired(self, kind: Trouble, bar_number: int) -> "ExecutionQuality":
        """The value after one more trouble; beyond the bound the oldest is forgotten."""
        added = (*self.impairments, Impairment(kind=kind, bar_number=bar_number))
        return ExecutionQuality(impairments=added[-REMEMBERED_MAX:])

    def pruned(self, bar_number: int, rules: ExecutionRules) -> "ExecutionQuality":
        """The value without what is forgiven; itself when nothing is. Never changes the score."""
        kept = tuple(t for t in self.impairments if t.loss_at(bar_number, rules) > 0.0)
        return self if len(kept) == len(self.impairments) else ExecutionQuality(impairments=kept)
