"""Why the exchange says no, and what it says of an order that is no longer there."""

from datetime import datetime

from engine.broker import OrderEvent
from engine.errors import DuplicateOrderRef
from engine.exchange.book import Book
from engine.exchange.faults import FaultKind, Faults
from engine.units import OrderRef


def demand_new_refs(book: Book, *refs: OrderRef) -> None:
    """Raise `DuplicateOrderRef` for a ref that was ever used."""
    for ref in refs:
        if ref in book.orders or refs.count(ref) > 1:
            raise DuplicateOrderRef(
                f"expected a ref never used before, got {ref} again; "
                "nothing was placed: ask the broker what became of the first one"
            )


def common_refusal(book: Book, symbol: str, quantity: int, faults: Faults) -> str | None:
    """The reason to refuse any order, or null."""
    if symbol != book.account.instrument.symbol:
        return f"no market in {symbol}"
    if quantity < 1:
        return f"quantity {quantity} is not positive"
    return "rejected by the exchange" if faults.strikes(FaultKind.REJECT) else None


def answer_for_the_dead(book: Book, ref: OrderRef, at: datetime) -> None:
    """Say again how an order ended, or that it was never known; never a reject of the order."""
    order = book.orders.get(ref)
    if order is None or order.ended is None:
        book.tell(ref, OrderEvent.LOST_TRACK, at, "no such order")
    else:
        book.tell(ref, order.ended, at, "already ended")
