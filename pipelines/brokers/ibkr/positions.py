"""What is held, contract by contract, and which changes of a symbol's total are worth telling."""

from dataclasses import dataclass, field
from datetime import datetime

from engine.broker import PositionReported
from pipelines.brokers.ibkr.messages import PositionTold


@dataclass(slots=True)
class HeldPositions:
    """The quantities last heard of; a repetition is not told."""

    _held: dict[int, PositionTold] = field(default_factory=dict)

    def on_position(
        self, told: PositionTold, at: datetime, *, is_answer: bool
    ) -> list[PositionReported]:
        """The symbol's new total over its months; an answer to a question is only taken note of."""
        before = self._total(told.symbol)
        self._held[told.con_id] = told
        after = self._total(told.symbol)
        if is_answer or after == before:
            return []
        return [PositionReported(at=at, symbol=told.symbol, quantity=after)]

    def _total(self, symbol: str) -> int:
        return sum(held.quantity for held in self._held.values() if held.symbol == symbol)
