"""The position with its cost as the broker counts it: fees are part of what a lot cost."""

from dataclasses import dataclass
from decimal import Decimal

from engine.units import Side


@dataclass(slots=True, kw_only=True)
class Holding:
    """Lots held, signed, what they cost with fees, and what closing lots has brought so far.

    Realized plus unrealized profit is the whole change of the account's equity.
    """

    quantity: int = 0
    cost_usd: Decimal = Decimal(0)
    realized_usd: Decimal = Decimal(0)

    @property
    def average_cost_usd(self) -> Decimal:
        """Cost of one lot, multiplier and fees included; 0 when flat."""
        return self.cost_usd / self.quantity if self.quantity else Decimal(0)

    def unrealized_usd(self, value_usd: Decimal) -> Decimal:
        """Profit of the lots held if one lot is worth `value_usd`."""
        return self.quantity * value_usd - self.cost_usd

    def trade(
        self, side: Side, quantity: int, value_usd: Decimal, fees_usd: Decimal
    ) -> Decimal | None:
        """Book lots of `value_usd` each; returns what was realized, null if nothing was closed."""
        closed = min(quantity, abs(self.quantity)) if self.quantity * side < 0 else 0
        opened = quantity - closed
        fee_usd = fees_usd / quantity
        realized = None
        if closed:
            average = self.average_cost_usd
            realized = -side * closed * (value_usd - average) - closed * fee_usd
            self.cost_usd += side * closed * average
            self.realized_usd += realized
        self.quantity += side * quantity
        self.cost_usd += opened * (side * value_usd + fee_usd)
        if not self.quantity:
            self.cost_usd = Decimal(0)
        return realized
