"""The broker's books: orders, fills and the position, kept by what the exchange reports."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final

from engine.broker import (
    BrokerReport,
    CommissionReported,
    ExecutionReported,
    OrderEvent,
    OrderKind,
    OrderReported,
)
from pipelines.gateway.holding import Holding
from pipelines.gateway.instruments import Future, Listing
from pipelines.gateway.market import Market, Switches
from pipelines.gateway.order_book import ClientOrder, Fill, Status
from pipelines.gateway.outbox import Outbox
from pipelines.gateway.times import LOGIN_ZONE
from pipelines.gateway.told import AccountTold

PERM_ID_BASE: Final = 1_500_000_000


class Books:
    """Everything the broker knows of one account; it outlives every connection.

    `orders` are those sent to the exchange, by permId, oldest first; `fills` go by execId.
    """

    def __init__(self, market: Market, listing: Listing, switches: Switches) -> None:
        self.outbox = Outbox(market, switches)
        self.orders: dict[int, ClientOrder] = {}
        self.fills: dict[str, Fill] = {}
        self.holding = Holding()
        self.held_future: Future | None = None
        self._market = market
        self._listing = listing
        self._switches = switches
        self._perm_ids = 0

    def new_perm_id(self) -> int:
        self._perm_ids += 1
        return PERM_ID_BASE + self._perm_ids

    @property
    def working(self) -> list[ClientOrder]:
        return [order for order in self.orders.values() if not order.status.is_over]

    def completed_today(self) -> list[ClientOrder]:
        """Orders that ended since midnight of the account's zone."""
        today = _login_date(self._market.now())
        return [
            order
            for order in self.orders.values()
            if order.ended_at is not None and _login_date(order.ended_at) == today
        ]

    def fills_today(self) -> list[Fill]:
        """Executions since midnight of the account's zone; older ones are not told any more."""
        today = _login_date(self._market.now())
        return [fill for fill in self.fills.values() if _login_date(fill.at) == today]

    def take(self, reports: Iterable[BrokerReport]) -> None:
        """Write down what the exchange reports, in order, and tell it."""
        for report in reports:
            match report:
                case ExecutionReported():
                    self._book(report)
                case OrderReported():
                    self._follow(self.orders[int(report.ref)], report)
                case CommissionReported():
                    self.outbox.tell_commission(self.fills[report.execution_id])
                case _:
                    self.outbox.listener(AccountTold())

    def refuse(self, order: ClientOrder, reason: str) -> None:
        """End an order that never reached the exchange."""
        self._end(order, Status.INACTIVE, self._market.now(), reason)

    def _book(self, report: ExecutionReported) -> None:
        order = self.orders[int(report.ref)] if report.ref else None
        future = self._listing.traded() if order is None else order.future
        instrument = future.instrument
        price = instrument.to_points(report.price_ticks)
        commission_usd = instrument.fees.per_side_usd * report.quantity
        value_usd = instrument.to_usd(report.price_ticks)
        realized = self.holding.trade(report.side, report.quantity, value_usd, commission_usd)
        self.held_future = future
        if order is not None:
            order.filled += report.quantity
            order.paid_points += report.quantity * price
            order.last_price = price
        fill = Fill(
            execution_id=report.execution_id,
            at=report.at,
            order=order,
            future=future,
            side=report.side,
            quantity=report.quantity,
            price=price,
            filled_so_far=report.quantity if order is None else order.filled,
            average_price=price if order is None else order.average_price,
            commission_usd=commission_usd,
            realized_usd=realized,
        )
        self.fills[fill.execution_id] = fill
        self.outbox.tell_fill(fill)

    def _follow(self, order: ClientOrder, report: OrderReported) -> None:
        """Bring an order's status up to what the exchange reported, and tell it."""
        match report.event:
            case OrderEvent.PARTIALLY_FILLED if order.status.is_over:
                self.outbox.tell_status(order, is_described=False)
            case OrderEvent.ACCEPTED | OrderEvent.PARTIALLY_FILLED:
                is_new = order.status is Status.PENDING_SUBMIT
                self._stand(order, is_held=report.text.startswith("held"))
                self.outbox.tell_status(order, is_described=True)
                if is_new and (code := self._switches.warns_with_code) is not None:
                    text = "Order Message: a warning that is switched on; the order is live."
                    self.outbox.tell_error(order, code, text)
            case OrderEvent.FILLED:
                self._end(order, Status.FILLED, report.at)
            case OrderEvent.CANCELLED | OrderEvent.EXPIRED:
                self._end(order, Status.CANCELLED, report.at, report.text)
            case OrderEvent.REJECTED:
                self._end(order, Status.INACTIVE, report.at, report.text)
            case _:
                self.outbox.tell_error(order, 104, "Cannot modify a filled order.")

    def _stand(self, order: ClientOrder, *, is_held: bool) -> None:
        waits = order.kind is OrderKind.STOP_MARKET and not order.filled
        words = {"child": is_held, "trigger": waits}
        order.why_held = ",".join(word for word, is_so in words.items() if is_so)
        order.status = Status.PRE_SUBMITTED if order.why_held else Status.SUBMITTED

    def _end(self, order: ClientOrder, status: Status, at: datetime, text: str = "") -> None:
        """End an order; one that was cancelled may still turn out to be filled."""
        was_over = order.status.is_over
        if order.status is not status:
            order.status, order.why_held, order.ended_at = status, "", at
        if status is Status.CANCELLED and not was_over:
            self.outbox.tell_error(order, 202, f"Order Canceled - reason:{text}")
        self.outbox.tell_status(order, is_described=not was_over)
        if status is Status.INACTIVE:
            self.outbox.tell_error(order, 201, f"Order rejected - reason:{text}")


def _login_date(at: datetime) -> date:
    return at.astimezone(LOGIN_ZONE).date()
