"""What is traded: tick, value, fees and roll, and the one place where prices become ticks."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from engine.errors import OffGridPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """Fees per contract and side, in US dollars, with the date and source they were read from."""

    commission_usd: Decimal
    exchange_usd: Decimal
    regulatory_usd: Decimal
    effective_date: date
    source: str

    @property
    def per_side_usd(self) -> Decimal:
        return self.commission_usd + self.exchange_usd + self.regulatory_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One futures product. A second instrument is a second row in `contracts/instrument.yaml`."""

    symbol: str
    name: str
    exchange: str
    currency: str
    tick_size: Decimal
    tick_value_usd: Decimal
    price_band_share: float
    round_number_points: Decimal
    roll_days_before_expiry: int
    fees: Fees

    def to_ticks(self, price: Decimal | str | int) -> int:
        """Whole ticks of a price in points; raises `OffGridPrice` for a price between two ticks."""
        ticks = Decimal(price) / self.tick_size
        if not ticks.is_finite() or ticks != ticks.to_integral_value():
            raise OffGridPrice(
                f"{self.symbol}: expected a price on the {self.tick_size} grid, got {price}; "
                "check the source's symbol and tick size"
            )
        return int(ticks)

    def to_points(self, ticks: int) -> Decimal:
        return ticks * self.tick_size

    def to_usd(self, ticks: int) -> Decimal:
        """Value of a price difference on one contract."""
        return ticks * self.tick_value_usd

    @property
    def fee_ticks_per_side(self) -> float:
        return float(self.fees.per_side_usd / self.tick_value_usd)
