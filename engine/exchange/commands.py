"""What the exchange does with each command the desk can send."""

from datetime import datetime
from typing import assert_never

from engine.broker import (
    CancelOrder,
    FlattenPosition,
    Leg,
    OrderEvent,
    OrderKind,
    PlaceBracket,
    PlaceProtection,
    ReplaceStop,
)
from engine.exchange.book import Book, BookOrder, OcaGroup
from engine.exchange.faults import FaultKind, Faults
from engine.exchange.refusals import answer_for_the_dead, common_refusal, demand_new_refs
from engine.exchange.single_orders import PlaceOrder, ReplaceOrder, place_order, replace_order
from engine.units import OrderRef, Side

Order = (
    PlaceBracket
    | PlaceProtection
    | ReplaceStop
    | CancelOrder
    | FlattenPosition
    | PlaceOrder
    | ReplaceOrder
)
"""Every command that can change the book; a query cannot."""


def execute(book: Book, command: Order, at: datetime, faults: Faults) -> None:
    """Carry out one command that arrives at `at`.

    Cancels and replaces take hold at once; a new order sees no price from before `at`.
    Raises `DuplicateOrderRef` for a ref that was ever used, and changes nothing then.
    """
    match command:
        case PlaceBracket():
            _place_bracket(book, command, at, faults)
        case PlaceProtection():
            _place_protection(book, command, at, faults)
        case ReplaceStop():
            _replace_stop(book, command, at)
        case CancelOrder():
            _cancel(book, command, at, faults)
        case FlattenPosition():
            _flatten(book, command, at, faults)
        case PlaceOrder():
            place_order(book, command, at, faults)
        case ReplaceOrder():
            replace_order(book, command, at)
        case _:
            assert_never(command)


def _place_bracket(book: Book, command: PlaceBracket, at: datetime, faults: Faults) -> None:
    group = command.entry_ref
    entry = BookOrder(
        ref=command.entry_ref,
        leg=Leg.ENTRY,
        side=command.side,
        kind=OrderKind.LIMIT,
        quantity=command.quantity,
        price_ticks=command.entry_limit_ticks,
        active_at=at,
        expires_at=command.entry_expires_at,
        is_fresh=True,
        group=group,
    )
    stop = _child(Leg.STOP, command.stop_ref, command.stop_ticks, command, at, group)
    target = _child(Leg.TARGET, command.target_ref, command.target_ticks, command, at, group)
    demand_new_refs(book, entry.ref, stop.ref, target.ref)
    reason = _bracket_refusal(book, command, at, faults)
    for order in (entry, stop, target):
        if reason is not None:
            book.refuse(order, at, reason)
        else:
            book.add(order, at, "held until the entry fills" if order.is_held else "")
    if reason is None:
        book.groups[group] = OcaGroup(entry=entry.ref, legs=(stop.ref, target.ref))


def _place_protection(book: Book, command: PlaceProtection, at: datetime, faults: Faults) -> None:
    group = command.stop_ref
    legs = [_child(Leg.STOP, command.stop_ref, command.stop_ticks, command, at, group)]
    if command.target_ref is not None and command.target_ticks is not None:
        legs.append(
            _child(Leg.TARGET, command.target_ref, command.target_ticks, command, at, group)
        )
    demand_new_refs(book, *(leg.ref for leg in legs))
    reason = common_refusal(book, command.symbol, command.quantity, faults)
    for leg in legs:
        if reason is not None:
            book.refuse(leg, at, reason)
        else:
            book.add(leg, at)
    if reason is None:
        refs = tuple(leg.ref for leg in legs)
        book.groups[group] = OcaGroup(entry=None, legs=refs, opened=command.quantity)


def _replace_stop(book: Book, command: ReplaceStop, at: datetime) -> None:
    order = book.orders.get(command.ref)
    if order is None or order.ended is not None:
        answer_for_the_dead(book, command.ref, at)
    elif order.kind is not OrderKind.STOP_MARKET or order.is_triggered:
        book.tell(command.ref, OrderEvent.LOST_TRACK, at, "replace refused: not a resting stop")
    else:
        order.price_ticks = command.stop_ticks
        book.tell(command.ref, OrderEvent.ACCEPTED, at, f"stop moved to {command.stop_ticks}")


def _cancel(book: Book, command: CancelOrder, at: datetime, faults: Faults) -> None:
    order = book.orders.get(command.ref)
    if order is None or order.ended is not None:
        answer_for_the_dead(book, command.ref, at)
    elif not faults.strikes(FaultKind.CANCEL_UNANSWERED):
        _end_by_request(book, order, at, faults)


def _flatten(book: Book, command: FlattenPosition, at: datetime, faults: Faults) -> None:
    demand_new_refs(book, command.ref)
    position = book.account.position
    order = BookOrder(
        ref=command.ref,
        leg=Leg.FLATTEN,
        side=Side.SHORT if position > 0 else Side.LONG,
        kind=OrderKind.MARKET,
        quantity=abs(position),
        price_ticks=None,
        active_at=at,
    )
    if command.symbol != book.account.instrument.symbol:
        book.refuse(order, at, f"no market in {command.symbol}")
        return
    for other in list(book.live):
        if other.ended is None:
            _end_by_request(book, other, at, faults)
    book.add(order, at)
    if not position:
        book.end(order, OrderEvent.CANCELLED, at, "nothing to close")
        book.told.append(book.account.position_report(at))


def _end_by_request(book: Book, order: BookOrder, at: datetime, faults: Faults) -> None:
    if not order.is_held and faults.strikes(FaultKind.FILL_AFTER_CANCEL):
        book.end_on_paper(order, at)
    else:
        book.end(order, OrderEvent.CANCELLED, at)


def _bracket_refusal(book: Book, command: PlaceBracket, at: datetime, faults: Faults) -> str | None:
    reward = command.side * (command.target_ticks - command.entry_limit_ticks)
    risk = command.side * (command.entry_limit_ticks - command.stop_ticks)
    if reward <= 0 or risk <= 0:
        return "stop and target must lie on either side of the entry"
    if command.entry_expires_at <= at:
        return "the order's life was over on arrival"
    account = book.account
    if account.available_funds_usd < account.margin_usd_per_contract * command.quantity:
        return "not enough funds for the margin"
    return common_refusal(book, command.symbol, command.quantity, faults)


def _child(
    leg: Leg,
    ref: OrderRef,
    price_ticks: int,
    command: PlaceBracket | PlaceProtection,
    at: datetime,
    group: OrderRef,
) -> BookOrder:
    return BookOrder(
        ref=ref,
        leg=leg,
        side=command.side.opposite,
        kind=OrderKind.STOP_MARKET if leg is Leg.STOP else OrderKind.LIMIT,
        quantity=command.quantity,
        price_ticks=price_ticks,
        active_at=at,
        group=group,
        is_held=isinstance(command, PlaceBracket),
        is_fresh=leg is Leg.TARGET,
    )
