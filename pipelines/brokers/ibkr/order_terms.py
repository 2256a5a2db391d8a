"""From commands of the desk to single orders at IB, every field that matters stated.

A bracket is three orders: the entry and its two children, which IB activates on the entry's fill
and of which one's fill cancels the other (OCA). Nothing is left to a preset of the account.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from engine.broker import FlattenPosition, OrderKind, PlaceBracket, PlaceProtection
from engine.instrument import Instrument
from engine.units import OrderRef, Side
from pipelines.brokers.ibkr.messages import OrderTold

CANCEL_WITH_BLOCK: Final = 1
"""OCA type: a fill cancels the rest of the group, and no two of it trade at the same time."""


class TimeInForce(StrEnum):
    """How long an order lives. Protection outlives the day: a desk that died left it behind."""

    DAY = "DAY"
    GOOD_TILL_CANCELLED = "GTC"
    GOOD_TILL_DATE = "GTD"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """One order as IB is told it; `price` is in points, null for a market order.

    `is_child` marks a leg that waits for the first order sent with it.
    """

    ref: OrderRef
    side: Side
    kind: OrderKind
    quantity: int
    price: Decimal | None
    time_in_force: TimeInForce
    good_till: datetime | None = None
    outside_rth: bool = True
    oca_group: str = ""
    oca_type: int = CANCEL_WITH_BLOCK
    transmit: bool = True
    is_child: bool = False


def bracket_terms(intent: PlaceBracket, instrument: Instrument) -> tuple[OrderTerms, ...]:
    """Entry, stop and target, in the order they are sent; only the last one sets them off."""
    entry = OrderTerms(
        ref=intent.entry_ref,
        side=intent.side,
        kind=OrderKind.LIMIT,
        quantity=intent.quantity,
        price=instrument.to_points(intent.entry_limit_ticks),
        time_in_force=TimeInForce.GOOD_TILL_DATE,
        good_till=intent.entry_expires_at,
        outside_rth=False,
        transmit=False,
    )
    out, group = intent.side.opposite, str(intent.stop_ref)
    stop = OrderTerms(
        ref=intent.stop_ref,
        side=out,
        kind=OrderKind.STOP_MARKET,
        quantity=intent.quantity,
        price=instrument.to_points(intent.stop_ticks),
        time_in_force=TimeInForce.GOOD_TILL_CANCELLED,
        oca_group=group,
        transmit=False,
        is_child=True,
    )
    target = OrderTerms(
        ref=intent.target_ref,
        side=out,
        kind=OrderKind.LIMIT,
        quantity=intent.quantity,
        price=instrument.to_points(intent.target_ticks),
        time_in_force=TimeInForce.GOOD_TILL_CANCELLED,
        oca_group=group,
        is_child=True,
    )
    return entry, stop, target


def protection_terms(intent: PlaceProtection, instrument: Instrument) -> tuple[OrderTerms, ...]:
    """A stop that works at once, and then the target of its OCA group if one is asked for."""
    group = str(intent.stop_ref)
    stop = OrderTerms(
        ref=intent.stop_ref,
        side=intent.side.opposite,
        kind=OrderKind.STOP_MARKET,
        quantity=intent.quantity,
        price=instrument.to_points(intent.stop_ticks),
        time_in_force=TimeInForce.GOOD_TILL_CANCELLED,
        oca_group=group,
    )
    if intent.target_ref is None or intent.target_ticks is None:
        return (stop,)
    target = OrderTerms(
        ref=intent.target_ref,
        side=intent.side.opposite,
        kind=OrderKind.LIMIT,
        quantity=intent.quantity,
        price=instrument.to_points(intent.target_ticks),
        time_in_force=TimeInForce.GOOD_TILL_CANCELLED,
        oca_group=group,
    )
    return stop, target


def closing_terms(flatten: FlattenPosition, position: int) -> OrderTerms:
    """The market order that closes a signed position, which must not be zero."""
    return OrderTerms(
        ref=flatten.ref,
        side=Side.SHORT if position > 0 else Side.LONG,
        kind=OrderKind.MARKET,
        quantity=abs(position),
        price=None,
        time_in_force=TimeInForce.DAY,
    )


def learnt_terms(ref: OrderRef, told: OrderTold) -> OrderTerms:
    """The terms under which an order was sent, by an earlier process, as the broker lists it."""
    known = {life.value for life in TimeInForce}
    life = told.time_in_force
    return OrderTerms(
        ref=ref,
        side=told.side,
        kind=told.kind,
        quantity=told.quantity,
        price=told.price,
        time_in_force=TimeInForce(life) if life in known else TimeInForce.DAY,
        good_till=told.good_till,
        outside_rth=told.outside_rth,
        oca_group=told.oca_group,
        is_child=told.parent_id > 0,
    )


def good_till_text(instant: datetime) -> str:
    """An instant as IB reads it in UTC: `20240305-14:32:30`."""
    return instant.astimezone(UTC).strftime("%Y%m%d-%H:%M:%S")


def good_till_instant(text: str) -> datetime | None:
    """The instant of an order's `goodTillDate` when it is one in UTC, else null."""
    for pattern in ("%Y%m%d-%H:%M:%S", "%Y%m%d %H:%M:%S UTC"):
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
