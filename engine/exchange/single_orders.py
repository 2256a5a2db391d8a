"""Orders one by one, as any client of an account may send them, and how they are changed."""

from dataclasses import dataclass
from datetime import datetime

from engine.broker import Leg, OrderEvent, OrderKind
from engine.exchange.book import Book, BookOrder, OcaGroup
from engine.exchange.faults import Faults
from engine.exchange.refusals import answer_for_the_dead, common_refusal, demand_new_refs
from engine.units import OrderRef, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """One order: alone, the child of a working one, or a member of a named OCA group.

    Children of one parent share the lots it opens, and so do members of a group the largest of
    their quantities; with `cancels_at_once` the first fill, however small, ends the others.
    """

    ref: OrderRef
    symbol: str
    side: Side
    kind: OrderKind
    quantity: int
    price_ticks: int | None
    expires_at: datetime | None = None
    parent_ref: OrderRef | None = None
    oca_group: str | None = None
    cancels_at_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceOrder:
    """New quantity (all of it, filled lots included), price and life of a working order."""

    ref: OrderRef
    quantity: int
    price_ticks: int | None
    expires_at: datetime | None = None


def place_order(book: Book, command: PlaceOrder, at: datetime, faults: Faults) -> None:
    """Accept an order into the book, or refuse it with a reason."""
    demand_new_refs(book, command.ref)
    is_alone = command.parent_ref is None and command.oca_group is None
    leg = Leg.STOP if command.kind is OrderKind.STOP_MARKET else Leg.TARGET
    order = BookOrder(
        ref=command.ref,
        leg=Leg.ENTRY if is_alone else leg,
        side=command.side,
        kind=command.kind,
        quantity=command.quantity,
        price_ticks=command.price_ticks,
        active_at=at,
        expires_at=command.expires_at,
        is_fresh=command.kind is OrderKind.LIMIT,
    )
    reason = _refusal(book, command, order, at, faults)
    if reason is not None:
        book.refuse(order, at, reason)
        return
    if command.parent_ref is not None:
        _join_parent(book, order, command.parent_ref, cancels_at_once=command.cancels_at_once)
    elif command.oca_group is not None:
        _join_group(book, order, command.oca_group, cancels_at_once=command.cancels_at_once)
    book.add(order, at, "held until the entry fills" if order.is_held else "")


def replace_order(book: Book, command: ReplaceOrder, at: datetime) -> None:
    """Change a working order; it loses its place, and may take the price it then sees."""
    order = book.orders.get(command.ref)
    if order is None or order.ended is not None:
        answer_for_the_dead(book, command.ref, at)
    elif order.is_triggered or command.quantity <= order.filled:
        book.tell(command.ref, OrderEvent.LOST_TRACK, at, "replace refused: it is being filled")
    else:
        order.quantity, order.price_ticks = command.quantity, command.price_ticks
        order.expires_at = command.expires_at
        order.is_fresh = order.kind is OrderKind.LIMIT
        order.active_at = max(order.active_at, at)
        group = None if order.group is None else book.groups[order.group]
        if group is not None and group.entry is None:
            group.opened = max(group.opened, command.quantity)
        book.tell(command.ref, OrderEvent.ACCEPTED, at, "replaced")


def _refusal(
    book: Book, command: PlaceOrder, order: BookOrder, at: datetime, faults: Faults
) -> str | None:
    if (command.price_ticks is None) != (command.kind is OrderKind.MARKET):
        return f"a {command.kind.value} order with the price {command.price_ticks}"
    if command.expires_at is not None and command.expires_at <= at:
        return "the order's life was over on arrival"
    if command.parent_ref is not None:
        parent = book.orders.get(command.parent_ref)
        if parent is None or parent.ended is not None or parent.leg is not Leg.ENTRY:
            return "no working parent order"
    elif command.oca_group is not None:
        group = book.groups.get(_group_ref(command.oca_group))
        if group is not None and all(book.orders[ref].ended is not None for ref in group.legs):
            return "the OCA group is over"
    account, position = book.account, book.account.position
    added = abs(position + order.side * order.quantity) - abs(position)
    if order.leg is Leg.ENTRY and added > 0:
        margin_usd = account.margin_usd_per_contract * added
        if account.available_funds_usd < margin_usd:
            return "not enough funds for the margin"
    return common_refusal(book, command.symbol, command.quantity, faults)


def _join_parent(
    book: Book, order: BookOrder, parent_ref: OrderRef, *, cancels_at_once: bool
) -> None:
    parent = book.orders[parent_ref]
    order.group = parent.group = parent_ref
    order.is_held = parent.filled == 0
    group = book.groups.setdefault(
        parent_ref, OcaGroup(entry=parent_ref, legs=(), opened=parent.filled)
    )
    _add_leg(group, order, cancels_at_once=cancels_at_once)


def _join_group(book: Book, order: BookOrder, name: str, *, cancels_at_once: bool) -> None:
    order.group = _group_ref(name)
    group = book.groups.setdefault(order.group, OcaGroup(entry=None, legs=()))
    group.opened = max(group.opened, order.quantity)
    _add_leg(group, order, cancels_at_once=cancels_at_once)


def _add_leg(group: OcaGroup, order: BookOrder, *, cancels_at_once: bool) -> None:
    group.legs = (*group.legs, order.ref)
    group.cancels_at_once |= cancels_at_once


def _group_ref(name: str) -> OrderRef:
    """Groups of a name of their own live beside those that carry their entry's ref."""
    return OrderRef(f"oca/{name}")
