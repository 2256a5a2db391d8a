"""What is held, contract by contract, and which changes of a symbol's total are worth telling."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from engine.broker import PositionReported
from pipelines.brokers.ibkr.messages import PositionTold


@dataclass(slots=True)
class HeldPositions:
    """The quantities last heard of; a repetition is not told."""

    _held: dict[int, PositionTold] = field(default_factory=dict)

    def on_position(self, told: PositionTold, at: datetime) -> list[PositionReported]:
        """The symbol's new total over its months, if it is one."""
        before = self._total(told.symbol)
        self._held[told.con_id] = told
        after = self._total(told.symbol)
        if after == before:
            return []
        return [PositionReported(at=at, symbol=told.symbol, quantity=after)]

    def learn(self, held: Iterable[PositionTold]) -> None:
        """Take over a whole answer; contracts that are not in it are not held."""
        self._held = {position.con_id: position for position in held}

    def _total(self, symbol: str) -> int:
        return sum(held.quantity for held in self._held.values() if held.symbol == symbol)
