"""The order book of one account: resting orders, brackets, and what a fill or an end leads to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from engine.broker import (
    BrokerReport,
    BrokerSnapshot,
    CommissionReported,
    CompletedOrder,
    Leg,
    OrderEvent,
    OrderKind,
    OrderReported,
    WorkingOrder,
)
from engine.exchange.account import Account
from engine.instrument import Instrument
from engine.rules import Rules
from engine.units import OrderRef, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """How the exchange matches and what it charges; made by `exchange_settings`.

    `slippage_ticks` is what a market order pays per side when the bar does not say. An order sent
    at a bar's close arrives `order_latency_ms` later and sees the next bar from there on.
    """

    instrument: Instrument
    deposit_usd: Decimal
    slippage_ticks: float
    slippage_ticks_max: float
    limit_fills_on_touch: bool
    order_latency_ms: int
    bar_seconds: int = 60
    matches_bar_quotes: bool = False
    margin_usd_per_contract: Decimal = Decimal(0)


def exchange_settings(
    rules: Rules, deposit_usd: Decimal, *, bar_seconds: int = 60, matches_bar_quotes: bool = False
) -> ExchangeSettings:
    """The settings that `contracts/execution.yaml` and the instrument ask for.

    A bar without expected slippage pays the base rate plus what unknown volatility and spread cost.
    """
    execution = rules.execution
    return ExchangeSettings(
        instrument=rules.instrument,
        deposit_usd=deposit_usd,
        slippage_ticks=execution.slippage_ticks_per_side + 2 * execution.slippage_unknown_ticks,
        slippage_ticks_max=execution.slippage_ticks_max,
        limit_fills_on_touch=execution.limit_fills_on_touch,
        order_latency_ms=execution.order_latency_ms,
        bar_seconds=bar_seconds,
        matches_bar_quotes=matches_bar_quotes,
    )


@dataclass(slots=True, kw_only=True)
class BookOrder:
    """One order at the exchange.

    `is_held`: a bracket child whose entry has not filled. `is_fresh`: a limit that has not seen a
    price yet and may take it. `is_zombie`: told to be cancelled, and can still trade.
    """

    ref: OrderRef
    leg: Leg
    side: Side
    kind: OrderKind
    quantity: int
    price_ticks: int | None
    active_at: datetime
    expires_at: datetime | None = None
    group: OrderRef | None = None
    filled: int = 0
    is_held: bool = False
    is_fresh: bool = False
    is_triggered: bool = False
    is_zombie: bool = False
    ended: OrderEvent | None = None
    ended_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class OcaGroup:
    """Orders that share the lots to trade: one cancels, or shrinks, the others.

    With `cancels_at_once` the first fill, however small, ends the others.
    """

    entry: OrderRef | None
    legs: tuple[OrderRef, ...]
    opened: int = 0
    closed: int = 0
    cancels_at_once: bool = False


@dataclass(slots=True, kw_only=True)
class Book:
    """All orders of the account, the living ones in order of arrival, and reports not yet told."""

    account: Account
    orders: dict[OrderRef, BookOrder] = field(default_factory=dict)
    groups: dict[OrderRef, OcaGroup] = field(default_factory=dict)
    live: list[BookOrder] = field(default_factory=list)
    told: list[BrokerReport] = field(default_factory=list)

    def collect(self) -> list[BrokerReport]:
        """The reports since the last call, in the order they came true."""
        told, self.told = self.told, []
        return told

    def tell(self, ref: OrderRef, event: OrderEvent, at: datetime, text: str = "") -> None:
        self.told.append(OrderReported(at=at, ref=ref, event=event, text=text))

    def add(self, order: BookOrder, at: datetime, text: str = "") -> None:
        """Accept an order into the book."""
        self.orders[order.ref] = order
        self.live.append(order)
        self.tell(order.ref, OrderEvent.ACCEPTED, at, text)

    def refuse(self, order: BookOrder, at: datetime, reason: str) -> None:
        """Reject an order; its ref is spent all the same."""
        self.orders[order.ref] = order
        order.ended, order.ended_at = OrderEvent.REJECTED, at
        self.tell(order.ref, OrderEvent.REJECTED, at, reason)

    def remaining(self, order: BookOrder) -> int:
        """Lots the order may still trade; the legs of a group share what the group has open."""
        group = self._group_of_leg(order)
        own = order.quantity - order.filled
        return own if group is None else min(own, group.opened - group.closed)

    def fill(self, order: BookOrder, price_ticks: int, at: datetime, quantity: int) -> None:
        """Trade `quantity` lots of an order, and let everything follow that follows from it."""
        execution = self.account.record(at, order.ref, order.side, quantity, price_ticks)
        self.told.append(execution)
        order.filled += quantity
        group = self._group_of_leg(order)
        if group is not None:
            group.closed += quantity
        if self.remaining(order) == 0:
            self.end(order, OrderEvent.FILLED, at)
        else:
            self.tell(order.ref, OrderEvent.PARTIALLY_FILLED, at)
        commission_usd = self.account.commission_usd(quantity)
        self.told += [
            CommissionReported(
                at=at, execution_id=execution.execution_id, commission_usd=commission_usd
            ),
            self.account.position_report(at),
            self.account.account_report(at),
        ]
        if order.leg is Leg.ENTRY:
            self._open(order, quantity, at)
        elif group is not None and (group.closed == group.opened or group.cancels_at_once):
            self._close(group, order, at)

    def end(self, order: BookOrder, event: OrderEvent, at: datetime, text: str = "") -> None:
        """Take an order out of the book; an unfilled entry takes its held children along."""
        order.ended, order.ended_at, order.is_zombie = event, at, False
        self.live.remove(order)
        self.tell(order.ref, event, at, text)
        self._end_children_of(order, at)

    def end_on_paper(self, order: BookOrder, at: datetime) -> None:
        """Tell that an order is cancelled while it can still trade until the next bar is over."""
        order.ended, order.ended_at, order.is_zombie = OrderEvent.CANCELLED, at, True
        self.tell(order.ref, OrderEvent.CANCELLED, at)
        self._end_children_of(order, at)

    def bury_zombies(self) -> None:
        """Let the cancels that were told too early come true."""
        for order in [order for order in self.live if order.is_zombie]:
            order.is_zombie = False
            self.live.remove(order)

    def expire(self, until: datetime, *, inclusive: bool) -> None:
        """End every order whose life is over before, or at, `until`."""
        for order in list(self.live):
            ends_at = order.expires_at
            if ends_at is None or order.ended is not None:
                continue
            if ends_at < until or (inclusive and ends_at == until):
                self.end(order, OrderEvent.EXPIRED, ends_at)

    def snapshot(self, at: datetime) -> BrokerSnapshot:
        """Everything true at one instant; executions and completed orders of the UTC day only."""
        position = self.account.position_report(at)
        return BrokerSnapshot(
            at=at,
            positions=(position,) if position.quantity else (),
            working=self.working(),
            completed=self.completed_on(at.date()),
            executions=self.account.executions_on(at.date()),
        )

    def working(self) -> tuple[WorkingOrder, ...]:
        return tuple(
            WorkingOrder(
                ref=order.ref,
                symbol=self.account.instrument.symbol,
                side=order.side,
                kind=order.kind,
                quantity=order.quantity if order.is_held else self.remaining(order),
                price_ticks=order.price_ticks,
                is_held=order.is_held,
            )
            for order in self.live
            if not order.is_zombie
        )

    def completed_on(self, day: date) -> tuple[CompletedOrder, ...]:
        return tuple(
            CompletedOrder(ref=order.ref, event=order.ended)
            for order in self.orders.values()
            if order.ended is not None and order.ended_at is not None
            if order.ended_at.date() == day
        )

    def _group_of_leg(self, order: BookOrder) -> OcaGroup | None:
        if order.group is None or order.leg is Leg.ENTRY:
            return None
        return self.groups[order.group]

    def _open(self, entry: BookOrder, quantity: int, at: datetime) -> None:
        """Give the bracket's children the lots that the entry just opened."""
        if entry.group is None:
            return
        group = self.groups[entry.group]
        group.opened += quantity
        for ref in group.legs:
            child = self.orders[ref]
            if child.is_held and child.ended is None:
                child.is_held, child.active_at = False, at
                self.tell(ref, OrderEvent.ACCEPTED, at, "active: the entry filled")

    def _close(self, group: OcaGroup, by: BookOrder, at: datetime) -> None:
        """The lots are closed: the siblings go, and so does an entry that is still filling."""
        refs = group.legs if group.entry is None else (group.entry, *group.legs)
        self._end_all([ref for ref in refs if ref != by.ref], at, "one cancels all")

    def _end_children_of(self, order: BookOrder, at: datetime) -> None:
        if order.leg is Leg.ENTRY and order.filled == 0 and order.group is not None:
            self._end_all(self.groups[order.group].legs, at, "the entry ended unfilled")

    def _end_all(self, refs: Sequence[OrderRef], at: datetime, text: str) -> None:
        for ref in refs:
            order = self.orders[ref]
            if order.ended is None:
                self.end(order, OrderEvent.CANCELLED, at, text)
