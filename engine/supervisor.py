"""Our own orders by ref: derived names, intents before sends, and what time makes due.

An order exists from the moment its intent is on disk. Its ref is derived, so a restart derives the
same one and finds it used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final, NamedTuple

from engine.broker import (
    CancelOrder,
    Command,
    FlattenPosition,
    Leg,
    OrderEvent,
    OrderKind,
    PlaceBracket,
    PlaceProtection,
    QueryBroker,
    ReplaceStop,
)
from engine.errors import DuplicateOrderRef
from engine.orders import OrderState, is_final, is_live, next_state
from engine.rules import ExecutionRules
from engine.trade import TradePlan
from engine.units import DecisionId, OrderRef, Side

_UNKNOWN: Final = OrderState.UNKNOWN
UNACKNOWLEDGED: Final = frozenset({OrderState.CREATED, OrderState.SENT})


class Order(NamedTuple):
    """One order of ours, in its state since `changed_at`; a market order has no price.

    A NamedTuple, because every report makes a new one.
    """

    ref: OrderRef
    decision_id: DecisionId
    leg: Leg
    side: Side
    kind: OrderKind
    quantity: int
    price_ticks: int | None
    state: OrderState
    sent_at: datetime
    changed_at: datetime
    expires_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        return is_live(self.state)

    def after(self, event: OrderEvent, at: datetime) -> "Order":
        """The order after an event; itself if that changes nothing."""
        state = next_state(self.state, event)
        return self if state is self.state else self._replace(state=state, changed_at=at)


@dataclass(frozen=True, kw_only=True)
class Orders:
    """All orders of the session, ended ones included: what was used is never used again.

    Without slots, to keep what is asked for far more often than it changes.
    """

    all: tuple[Order, ...] = ()

    def find(self, ref: OrderRef | None) -> Order | None:
        for order in self.all:
            if order.ref == ref:
                return order
        return None

    def of(self, decision_id: DecisionId, *legs: Leg) -> tuple[Order, ...]:
        """Orders of one decision, of these legs if any are named."""
        own = [order for order in self.all if order.decision_id == decision_id]
        return tuple([order for order in own if order.leg in legs] if legs else own)

    @cached_property
    def live(self) -> tuple[Order, ...]:
        return tuple([order for order in self.all if is_live(order.state)])

    @cached_property
    def unknown(self) -> tuple[Order, ...]:
        """Orders of which nobody can say what became of them."""
        return tuple([order for order in self.all if order.state is _UNKNOWN])

    def with_order(self, changed: Order) -> "Orders":
        """The orders with one of them in a new state."""
        return Orders(
            all=tuple([changed if order.ref == changed.ref else order for order in self.all])
        )

    def after_event(self, ref: OrderRef, event: OrderEvent, at: datetime) -> "Orders":
        """The orders after a report; themselves for a ref that is not ours or nothing new."""
        order = self.find(ref)
        if order is None:
            return self
        changed = order.after(event, at)
        return self if changed is order else self.with_order(changed)


def order_ref(session_date: date, decision_id: DecisionId, leg: Leg, orders: Orders) -> OrderRef:
    """The ref of the next order of a leg: numbered from the second on, so that none repeats."""
    number = len(orders.of(decision_id, leg)) + 1
    name = leg.value if number == 1 else f"{leg.value}-{number}"
    return OrderRef(f"{session_date.isoformat()}/{decision_id}/{name}")


def read_ref(ref: str | None) -> tuple[DecisionId, Leg] | None:
    """Decision and leg of an order of ours; null for a ref that `order_ref` does not write."""
    parts = (ref or "").split("/")
    leg = parts[-1].partition("-")[0]
    if len(parts) != 3 or leg not in _LEGS:
        return None
    return DecisionId(parts[1]), Leg(leg)


_LEGS: Final = frozenset(leg.value for leg in Leg)


def bracket(
    plan: TradePlan, session_date: date, orders: Orders, *, at: datetime, rules: ExecutionRules
) -> PlaceBracket:
    """Entry, stop and target of a plan, with the entry's bounded life."""
    refs = {
        leg: order_ref(session_date, plan.decision_id, leg, orders)
        for leg in (Leg.ENTRY, Leg.STOP, Leg.TARGET)
    }
    return PlaceBracket(
        decision_id=plan.decision_id,
        symbol=plan.symbol,
        side=plan.side,
        quantity=plan.quantity,
        entry_ref=refs[Leg.ENTRY],
        stop_ref=refs[Leg.STOP],
        target_ref=refs[Leg.TARGET],
        entry_limit_ticks=plan.entry_limit_ticks,
        stop_ticks=plan.stop_price_ticks,
        target_ticks=plan.target_price_ticks,
        entry_expires_at=at + timedelta(seconds=rules.entry_life_seconds),
    )


def protection(
    plan: TradePlan,
    session_date: date,
    orders: Orders,
    *,
    position: int,
    stop_price_ticks: int,
) -> PlaceProtection:
    """A new stop and target for a position whose own have gone."""
    return PlaceProtection(
        symbol=plan.symbol,
        side=plan.side,
        quantity=abs(position),
        stop_ref=order_ref(session_date, plan.decision_id, Leg.STOP, orders),
        stop_ticks=stop_price_ticks,
        target_ref=order_ref(session_date, plan.decision_id, Leg.TARGET, orders),
        target_ticks=plan.target_price_ticks,
    )


def after_intent(
    orders: Orders, command: Command, decision_id: DecisionId, position: int, at: datetime
) -> Orders:
    """The orders once an intent is on disk: from here on the broker may have heard of it.

    Raises `DuplicateOrderRef` for a ref that was used before, `ImpossibleTransition` for the end of
    an order that has ended.
    """
    match command:
        case PlaceBracket() | PlaceProtection() | FlattenPosition():
            new = _new_orders(command, decision_id, position, at)
            for order in new:
                if orders.find(order.ref) is not None:
                    raise DuplicateOrderRef(
                        f"expected a ref never used before, got {order.ref} again; "
                        "nothing was sent: reconcile before trading on"
                    )
            kept = _cancelling(orders, at) if isinstance(command, FlattenPosition) else orders.all
            return Orders(all=(*kept, *new))
        case ReplaceStop():
            stop = orders.find(command.ref)
            if stop is None or is_final(stop.state):
                return orders
            return orders.with_order(stop._replace(price_ticks=command.stop_ticks, changed_at=at))
        case CancelOrder():
            named = orders.find(command.ref)
            if named is None or not named.is_live:
                return orders  # We took it for ended; the broker works it, and is asked to end it.
            return orders.after_event(command.ref, OrderEvent.CANCEL_REQUESTED, at)
        case QueryBroker():
            return orders


def _cancelling(orders: Orders, at: datetime) -> Iterable[Order]:
    """A flattening asks for the end of every order that is still alive."""
    return tuple(
        order.after(OrderEvent.CANCEL_REQUESTED, at) if order.is_live else order
        for order in orders.all
    )


def _new_orders(
    command: PlaceBracket | PlaceProtection | FlattenPosition,
    decision_id: DecisionId,
    position: int,
    at: datetime,
) -> tuple[Order, ...]:
    def made(ref: OrderRef, leg: Leg, side: Side, quantity: int, price: int | None) -> Order:
        created = Order(
            ref=ref,
            decision_id=decision_id,
            leg=leg,
            side=side,
            kind=_KINDS[leg],
            quantity=quantity,
            price_ticks=price,
            state=OrderState.CREATED,
            sent_at=at,
            changed_at=at,
            expires_at=command.entry_expires_at
            if isinstance(command, PlaceBracket) and leg is Leg.ENTRY
            else None,
        )
        return created.after(OrderEvent.SEND, at)

    if isinstance(command, FlattenPosition):
        side = Side.SHORT if position > 0 else Side.LONG
        return (made(command.ref, Leg.FLATTEN, side, abs(position), None),)
    out, quantity = command.side.opposite, command.quantity
    orders = [made(command.stop_ref, Leg.STOP, out, quantity, command.stop_ticks)]
    if command.target_ref is not None:
        orders.append(made(command.target_ref, Leg.TARGET, out, quantity, command.target_ticks))
    if isinstance(command, PlaceBracket):
        limit = command.entry_limit_ticks
        orders.insert(0, made(command.entry_ref, Leg.ENTRY, command.side, quantity, limit))
    return tuple(orders)


_KINDS: Final = {
    Leg.ENTRY: OrderKind.LIMIT,
    Leg.STOP: OrderKind.STOP_MARKET,
    Leg.TARGET: OrderKind.LIMIT,
    Leg.FLATTEN: OrderKind.MARKET,
}


# ── What time alone makes due ───────────────────────────────────────────────────────────────────


def unacknowledged(orders: Orders, at: datetime, rules: ExecutionRules) -> tuple[Order, ...]:
    """Orders sent, and not heard of for as long as a reconciliation may take to come round."""
    patience = timedelta(seconds=rules.reconcile_seconds)
    return tuple(
        order
        for order in orders.all
        if order.state in UNACKNOWLEDGED and at - order.changed_at >= patience
    )


def unknown_for_too_long(orders: Orders, at: datetime, rules: ExecutionRules) -> tuple[Order, ...]:
    """Orders whose state could not be told for longer than is tolerated."""
    patience = timedelta(seconds=rules.unknown_order_seconds_max)
    return tuple(order for order in orders.unknown if at - order.changed_at > patience)


def overdue_entries(orders: Orders, at: datetime) -> tuple[Order, ...]:
    """Entries that should have expired at the broker by themselves, and have not."""
    return tuple(
        order
        for order in orders.all
        if order.expires_at is not None
        and order.is_live
        and order.state is not OrderState.UNKNOWN
        and at > order.expires_at
    )
