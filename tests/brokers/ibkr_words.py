"""Messages of a gateway in few words, for tests of what the adapter makes of them."""

from datetime import datetime
from decimal import Decimal

from exchange_tables import ENTRY, MES, STOP, TARGET, bracket, instant

from engine.broker import BrokerReport, ExecutionReported, OrderKind, OrderReported
from engine.units import OrderRef, Side
from pipelines.brokers.ibkr.known_orders import KnownOrders
from pipelines.brokers.ibkr.messages import (
    NO_REQUEST,
    ErrorTold,
    ExecutionTold,
    OrderTold,
    StatusTold,
)
from pipelines.brokers.ibkr.order_terms import bracket_terms

AT = instant(1)
IDS = {ENTRY: 11, STOP: 12, TARGET: 13}


def bracket_sent(*, quantity: int = 1) -> KnownOrders:
    """A long bracket of orders 11, 12 and 13 that went out and was not answered."""
    orders = KnownOrders(MES)
    for terms in bracket_terms(bracket(100, 94, 108, quantity=quantity), MES):
        orders.sent(terms, IDS[terms.ref], IDS[ENTRY] if terms.is_child else 0)
    return orders


def bracket_working(*, quantity: int = 1) -> KnownOrders:
    orders = bracket_sent(quantity=quantity)
    for ref in IDS:
        orders.on_status(status(ref, "Submitted"), AT)
    return orders


def status(ref: OrderRef, word: str, *, filled: int = 0) -> StatusTold:
    return StatusTold(
        order_id=IDS[ref],
        client_id=1,
        perm_id=1000 + IDS[ref],
        status=word,
        filled=filled,
        remaining=0,
    )


def error(ref: OrderRef, code: int, text: str = "words") -> ErrorTold:
    return ErrorTold(request_id=IDS[ref], code=code, text=text)


def fill(
    ref: OrderRef,
    execution_id: str,
    *,
    quantity: int = 1,
    price: str = "25.00",
    request_id: int = NO_REQUEST,
    at: datetime = AT,
) -> ExecutionTold:
    return ExecutionTold(
        request_id=request_id,
        execution_id=execution_id,
        order_id=IDS[ref],
        client_id=1,
        perm_id=1000 + IDS[ref],
        ref=ref,
        symbol="MES",
        side=Side.LONG if ref == ENTRY else Side.SHORT,
        quantity=quantity,
        price=Decimal(price),
        at=at,
    )


def listed(
    ref: OrderRef,
    *,
    order_id: int = 0,
    perm_id: int = 0,
    state: str = "Submitted",
    is_completed: bool = False,
) -> OrderTold:
    return OrderTold(
        order_id=order_id,
        client_id=1,
        perm_id=perm_id,
        parent_id=0,
        account="",
        ref=ref,
        symbol="MES",
        con_id=5,
        side=Side.LONG,
        kind=OrderKind.LIMIT,
        quantity=1,
        price=Decimal("25.00"),
        time_in_force="GTD",
        good_till=instant(2.5),
        oca_group="",
        outside_rth=False,
        status=state,
        status_text="",
        is_completed=is_completed,
    )


def words(reports: list[BrokerReport]) -> list[str]:
    """Order events and fills, one short word each: `a/entry accepted`, `a/entry +1@100`."""
    told = []
    for report in reports:
        if isinstance(report, OrderReported):
            told.append(f"{report.ref} {report.event.value}")
        elif isinstance(report, ExecutionReported):
            told.append(f"{report.ref} {report.side * report.quantity:+d}@{report.price_ticks}")
    return told
