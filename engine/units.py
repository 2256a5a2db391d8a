"""The few value types that every stage shares: sides, ids and money."""

from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntEnum
from typing import Final, NewType

OrderRef = NewType("OrderRef", str)
"""`<session_date>/<decision id>/<leg>`: derived, unique, journalled before the order is sent."""

DecisionId = NewType("DecisionId", str)
"""`<symbol>-<closes_at as HHMM UTC>` of the bar decided on; unique within a session."""

CENT: Final = Decimal("0.01")


class Side(IntEnum):
    """Direction of a position or belief; the value is the sign used in arithmetic."""

    LONG = 1
    SHORT = -1

    @property
    def opposite(self) -> "Side":
        return Side(-self.value)


def to_cents(amount_usd: Decimal) -> Decimal:
    """Round money to whole cents, half to even, as the broker's statement does."""
    return amount_usd.quantize(CENT, rounding=ROUND_HALF_EVEN)
