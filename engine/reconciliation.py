"""Our picture of the orders and the position against the broker's whole truth. The broker wins.

First what the broker knows and we have not heard is told to us as reports (`unheard`); what still
differs after that is a finding, and a finding is repaired if its kind is listed, or it kills.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from engine.broker import (
    BrokerSnapshot,
    ExecutionReported,
    Leg,
    OrderEvent,
    OrderKind,
    OrderReported,
    WorkingOrder,
)
from engine.ledger import Ledger
from engine.orders import OrderState, is_final, next_state
from engine.rules import ExecutionRules
from engine.supervisor import UNACKNOWLEDGED, Order, Orders
from engine.trade import Trade, TradeState
from engine.units import OrderRef


class FindingKind(StrEnum):
    """How our picture and the broker's can differ once both have said everything."""

    POSITION_DIFFERS = "position_differs"
    STRANGE_ORDER = "strange_order"
    FILLED_ORDER_WORKS = "filled_order_works"
    STOP_QUANTITY_DIFFERS = "stop_quantity_differs"
    STOP_MISSING = "stop_missing"
    STOP_MISPLACED = "stop_misplaced"
    ORPHANED_ORDER = "orphaned_order"


REPAIRED: Final = frozenset(
    {FindingKind.STOP_MISSING, FindingKind.STOP_MISPLACED, FindingKind.ORPHANED_ORDER}
)
"""Findings the desk repairs by itself; every other one is a desync and kills."""


CROSSED: Final = frozenset({FindingKind.POSITION_DIFFERS, FindingKind.FILLED_ORDER_WORKS})
"""Findings of which an execution that crossed the question may be the cause: the broker answers in
parts, and a fill between two of them is in one and not in the other. A second answer decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference; `ref` names the order it is about, if it is about one of ours."""

    kind: FindingKind
    text: str
    ref: OrderRef | None = None

    @property
    def is_repairable(self) -> bool:
        return self.kind in REPAIRED


def unheard(
    orders: Orders, ledger: Ledger, snapshot: BrokerSnapshot, rules: ExecutionRules
) -> tuple[ExecutionReported | OrderReported, ...]:
    """Executions and order states that the broker lists and nobody has told us.

    An order the broker knows nothing of never arrived, unless it was sent so recently that it may
    still be on its way.
    """
    fills = tuple(fill for fill in snapshot.executions if not ledger.knows(fill))
    working = {order.ref for order in snapshot.working}
    ended = {order.ref: order.event for order in snapshot.completed}
    settled_before = snapshot.at - timedelta(seconds=rules.protect_within_seconds)
    reports: list[ExecutionReported | OrderReported] = list(fills)
    for order in orders.all:
        event = _unheard_event(order, working, ended, settled_before)
        if event is not None and next_state(order.state, event) is not order.state:
            reports.append(
                OrderReported(at=snapshot.at, ref=order.ref, event=event, text="by reconciliation")
            )
    return tuple(reports)


def _unheard_event(
    order: Order,
    working: set[OrderRef | None],
    ended: dict[OrderRef | None, OrderEvent],
    settled_before: datetime,
) -> OrderEvent | None:
    if order.ref in ended:
        return ended[order.ref]
    if is_final(order.state):
        return None
    if order.ref in working:
        return OrderEvent.ACCEPTED
    if order.sent_at > settled_before:
        return None
    never_seen = order.state in (OrderState.SENT, OrderState.UNKNOWN)
    return OrderEvent.REJECTED if never_seen else OrderEvent.CANCELLED


def findings(
    orders: Orders,
    ledger: Ledger,
    trade: Trade | None,
    snapshot: BrokerSnapshot,
    *,
    symbol: str,
    rules: ExecutionRules,
) -> tuple[Finding, ...]:
    """What still differs once the unheard reports are booked; empty when the two pictures agree."""
    held = sum(position.quantity for position in snapshot.positions if position.symbol == symbol)
    working = tuple(order for order in snapshot.working if order.symbol == symbol)
    found = list(_strange_orders(orders, working))
    if held != ledger.position:
        text = f"the broker holds {held} {symbol}, our executions say {ledger.position}"
        return (Finding(kind=FindingKind.POSITION_DIFFERS, text=text), *found)
    if held == 0:
        found += _orphans(orders, trade, working)
    elif trade is not None and trade.state is TradeState.OPEN:
        found += _stop_findings(orders, trade, held, working, snapshot.at, rules)
    return tuple(found)


def _strange_orders(orders: Orders, working: tuple[WorkingOrder, ...]) -> Iterator[Finding]:
    for listed in working:
        ours = orders.find(listed.ref)
        if ours is None:
            text = f"the broker works an order nobody knows: {listed.ref or 'without a ref'}"
            yield Finding(kind=FindingKind.STRANGE_ORDER, text=text)
        elif ours.state is OrderState.FILLED:
            text = f"the broker still works {ours.ref}, which is filled"
            yield Finding(kind=FindingKind.FILLED_ORDER_WORKS, text=text, ref=ours.ref)


def _orphans(
    orders: Orders, trade: Trade | None, working: tuple[WorkingOrder, ...]
) -> Iterator[Finding]:
    """Orders of ours that could open a position nobody wants: no trade is waiting for them."""
    for listed in working:
        ours = orders.find(listed.ref)
        if ours is None or ours.state is OrderState.FILLED or ours.leg is Leg.FLATTEN:
            continue
        if trade is None or trade.plan.decision_id != ours.decision_id:
            text = f"{ours.ref} still works and there is no trade for it"
            yield Finding(kind=FindingKind.ORPHANED_ORDER, text=text, ref=ours.ref)


def _stop_findings(
    orders: Orders,
    trade: Trade,
    held: int,
    working: tuple[WorkingOrder, ...],
    at: datetime,
    rules: ExecutionRules,
) -> Iterator[Finding]:
    """The working stop against the position: there, of its size, at its price."""
    own = {order.ref: order for order in orders.of(trade.plan.decision_id, Leg.STOP)}
    stops = [
        listed
        for listed in working
        if listed.ref in own and listed.kind is OrderKind.STOP_MARKET and not listed.is_held
    ]
    settled_before = at - timedelta(seconds=rules.protect_within_seconds)
    if not stops:
        if any(o.state in UNACKNOWLEDGED and o.sent_at > settled_before for o in own.values()):
            return  # One is on its way; a second would sell twice.
        yield Finding(kind=FindingKind.STOP_MISSING, text=f"{held} held and no stop is working")
        return
    quantity = sum(stop.quantity for stop in stops)
    if quantity != abs(held):
        text = f"stops of {quantity} protect a position of {held}"
        yield Finding(kind=FindingKind.STOP_QUANTITY_DIFFERS, text=text)
        return
    for stop in stops:
        ours = orders.find(stop.ref)
        if ours is None or stop.price_ticks == trade.stop_price_ticks:
            continue
        if ours.changed_at <= settled_before:
            text = f"the stop works at {stop.price_ticks}, it belongs at {trade.stop_price_ticks}"
            yield Finding(kind=FindingKind.STOP_MISPLACED, text=text, ref=stop.ref)
