"""What is told of orders on its way to the listener: held back, doubled or lost as is switched."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from pipelines.gateway.market import Market, Switches
from pipelines.gateway.order_book import ClientOrder, Fill
from pipelines.gateway.told import (
    CommissionTold,
    ErrorTold,
    FillTold,
    OrderEventTold,
    OrderTold,
    Told,
)


class Outbox:
    """Everything told goes through here in order; `listener` hears it at once or when due."""

    def __init__(self, market: Market, switches: Switches) -> None:
        self.listener: Callable[[Told], None] = _nobody
        self._market = market
        self._switches = switches
        self._late: list[tuple[datetime, OrderEventTold]] = []
        self._unpaid: list[Fill] = []

    def tell_status(self, order: ClientOrder, *, is_described: bool) -> None:
        """Tell how an order stands, as it is now and not as it will be when this is heard."""
        if self._switches.loses_status:
            return
        told = OrderTold(order=replace(order), is_described=is_described)
        for _ in range(2 if self._switches.duplicates_status else 1):
            self._tell(order, told)

    def tell_error(self, order: ClientOrder, code: int, text: str) -> None:
        told = ErrorTold(client_id=order.client_id, order_id=order.order_id, code=code, text=text)
        self._tell(order, told)

    def tell_fill(self, fill: Fill) -> None:
        self._tell(fill.order, FillTold(fill=fill))

    def tell_commission(self, fill: Fill) -> None:
        """Tell what a fill cost, unless commissions are withheld: then as soon as they are not."""
        if self._switches.withholds_commission:
            self._unpaid.append(fill)
            return
        behind_seconds = self._switches.late_commission_seconds
        if behind_seconds:
            due_at = self._market.now() + timedelta(seconds=behind_seconds)
            self._late.append((due_at, CommissionTold(fill=fill)))
            return
        fill.is_commission_told = True
        self._tell(fill.order, CommissionTold(fill=fill))

    def let_time_pass(self) -> None:
        """Tell what was held back and is due."""
        now = self._market.now()
        due = [told for due_at, told in self._late if due_at <= now]
        self._late = [(due_at, told) for due_at, told in self._late if due_at > now]
        self._tell_all(due)
        if self._unpaid and not self._switches.withholds_commission:
            unpaid, self._unpaid = self._unpaid, []
            self._tell_all(CommissionTold(fill=fill) for fill in unpaid)

    def _tell_all(self, tidings: Iterable[OrderEventTold]) -> None:
        for told in tidings:
            if isinstance(told, CommissionTold):
                told.fill.is_commission_told = True
            self.listener(told)

    def _tell(self, order: ClientOrder | None, told: OrderEventTold) -> None:
        silent_until = None if order is None else order.silent_until
        if silent_until is not None and self._market.now() < silent_until:
            self._late.append((silent_until, told))
        else:
            self.listener(told)


def _nobody(told: Told) -> None:
    """Stand in until somebody listens."""
