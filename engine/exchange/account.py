"""The exchange's own ledger: position, money and executions, exact to the cent."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from engine.broker import AccountReported, ExecutionReported, PositionReported
from engine.instrument import Instrument
from engine.units import OrderRef, Side


@dataclass(slots=True, kw_only=True)
class Account:
    """One account in one instrument. `flow_ticks` is what was received for lots sold less paid."""

    instrument: Instrument
    deposit_usd: Decimal
    margin_usd_per_contract: Decimal
    position: int = 0
    flow_ticks: int = 0
    fees_usd: Decimal = Decimal(0)
    mark_ticks: int = 0
    executions: list[ExecutionReported] = field(default_factory=list)
    executions_today: int = 0

    @property
    def equity_usd(self) -> Decimal:
        """Deposit, plus every price move while held, less fees; marked at the last price seen."""
        moves_ticks = self.flow_ticks + self.position * self.mark_ticks
        return self.deposit_usd + self.instrument.to_usd(moves_ticks) - self.fees_usd

    @property
    def available_funds_usd(self) -> Decimal:
        """Equity not bound as margin; below zero is a margin call."""
        return self.equity_usd - self.margin_usd_per_contract * abs(self.position)

    def record(
        self, at: datetime, ref: OrderRef, side: Side, quantity: int, price_ticks: int
    ) -> ExecutionReported:
        """Book one execution, fees included, and return it; ids count up within a UTC day."""
        if not self.executions or self.executions[-1].at.date() != at.date():
            self.executions_today = 0
        self.executions_today += 1
        execution = ExecutionReported(
            at=at,
            execution_id=f"{at:%Y%m%d}.{self.executions_today:05d}.01",
            ref=ref,
            symbol=self.instrument.symbol,
            side=side,
            quantity=quantity,
            price_ticks=price_ticks,
        )
        self.executions.append(execution)
        self.position += side * quantity
        self.flow_ticks -= side * quantity * price_ticks
        self.fees_usd += self.commission_usd(quantity)
        self.mark_ticks = price_ticks
        return execution

    def commission_usd(self, quantity: int) -> Decimal:
        return self.instrument.fees.per_side_usd * quantity

    def executions_on(self, day: date) -> tuple[ExecutionReported, ...]:
        """Executions of one UTC day, which is as far back as a broker looks."""
        return tuple(e for e in self.executions if e.at.date() == day)

    def position_report(self, at: datetime) -> PositionReported:
        return PositionReported(at=at, symbol=self.instrument.symbol, quantity=self.position)

    def account_report(self, at: datetime) -> AccountReported:
        return AccountReported(
            at=at, equity_usd=self.equity_usd, available_funds_usd=self.available_funds_usd
        )
