"""Requests about orders and executions, and how what becomes of them is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from pipelines.gateway.client import Client
from pipelines.gateway.order_book import ClientOrder, Fill
from pipelines.gateway.order_desk import TWS_CLIENT_ID, OrderDesk
from pipelines.gateway.order_messages import (
    commission,
    completed_order,
    execution,
    open_order,
    order_status,
)
from pipelines.gateway.order_request import read_order
from pipelines.gateway.order_terms import invalid
from pipelines.gateway.times import read_instant
from pipelines.gateway.told import (
    CommissionTold,
    ErrorTold,
    FillTold,
    OrderEventTold,
    OrderTold,
    WhatIfTold,
)
from pipelines.gateway.wire import Fields

CHANGES: Final = frozenset({3, 4, 58})
"""Requests that change something at the exchange; they wait while IB is not reached."""

_READ_ONLY: Final = "The API interface is currently in Read-Only mode."


def tell(client: Client, told: OrderEventTold | WhatIfTold, account_id: str) -> None:
    """Tell the client whose order it is, and expect it to react."""
    client.pace.told_report()
    match told:
        case OrderTold():
            if told.is_described:
                client.send(*open_order(told.order, account_id, client.version))
            client.send(*order_status(told.order, client.version))
        case WhatIfTold():
            client.send(*open_order(told.order, account_id, client.version, told.what_if))
        case ErrorTold():
            client.error(told.order_id, told.code, told.text)
        case FillTold():
            client.send(*execution(told.fill, account_id, client.version))
        case CommissionTold():
            client.send(*commission(told.fill))
        case _:
            assert_never(told)


def owner_of(told: OrderEventTold | WhatIfTold) -> int:
    """The id of the client that hears it; what no client did belongs to that of TWS itself."""
    match told:
        case OrderTold() | WhatIfTold():
            return told.order.client_id
        case ErrorTold():
            return told.client_id
        case FillTold() | CommissionTold():
            return TWS_CLIENT_ID if told.fill.order is None else told.fill.order.client_id
        case _:
            assert_never(told)


def on_place(desk: OrderDesk, client: Client, fields: Fields) -> None:
    """3: a new order, or a change of one that lives."""
    request = read_order(fields, client.version)
    switches = desk.venue.switches
    if switches.is_read_only:
        client.error(request.order_id, *invalid(_READ_ONLY))
        return
    if switches.cuts_before_order:
        switches.cuts_before_order = False
        client.close("a fault that is switched on: before its order")
        return
    if switches.cuts_after_order and request.transmit:
        switches.cuts_after_order = False
        client.close("a fault that is switched on: after its order")
    desk.place(_id_of(client), request)


def on_cancel(desk: OrderDesk, client: Client, fields: Fields) -> None:
    """4."""
    fields.skip()
    order_id = fields.integer()
    if desk.venue.switches.is_read_only:
        client.error(order_id, *invalid(_READ_ONLY))
    else:
        desk.cancel(_id_of(client), order_id)


def on_global_cancel(desk: OrderDesk, client: Client, _: Fields) -> None:
    """58: every order of every client."""
    if desk.venue.switches.is_read_only:
        client.error(-1, *invalid(_READ_ONLY))
    else:
        desk.venue.cancel_all()


def on_open_orders(desk: OrderDesk, client: Client, _: Fields) -> None:
    """5: the client's own orders."""
    _list(desk, client, [o for o in desk.venue.books.working if o.client_id == client.client_id])


def on_all_open_orders(desk: OrderDesk, client: Client, _: Fields) -> None:
    """16: the orders of all clients."""
    _list(desk, client, desk.venue.books.working)


def on_auto_bind(_: OrderDesk, client: Client, __: Fields) -> None:
    """15: only client 0 may bind orders of TWS itself, and does so by being client 0."""
    if client.client_id != TWS_CLIENT_ID:
        text = "Error validating request.-'bQ' : cause - Only the default client (i.e 0) can auto "
        client.error(-1, 321, f"{text}bind orders")


def on_ids(desk: OrderDesk, client: Client, _: Fields) -> None:
    """8."""
    client.send(9, 1, desk.next_id(_id_of(client)))


def on_completed_orders(desk: OrderDesk, client: Client, _: Fields) -> None:
    """99: the orders of all clients that ended today."""
    books, account_id = desk.venue.books, desk.venue.account_id
    for order in books.completed_today():
        client.send(*completed_order(order, account_id, client.version))
    client.send(102)


def on_executions(desk: OrderDesk, client: Client, fields: Fields) -> None:
    """7: today's executions that pass the client's filter, then their commissions."""
    fields.skip()
    request_id = fields.integer()
    wanted = ExecutionFilter.read(fields)
    account_id = desk.venue.account_id
    fills = [fill for fill in desk.venue.books.fills_today() if wanted.passes(fill, account_id)]
    for fill in fills:
        client.send(*execution(fill, account_id, client.version, request_id))
    client.send(55, 1, request_id)
    for fill in fills:
        if fill.is_commission_told:
            client.send(*commission(fill))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """Which executions a client asks for; what is empty, 0 or null lets everything pass."""

    client_id: int
    account: str
    since: datetime | None
    symbol: str
    sec_type: str
    exchange: str
    side: str

    @classmethod
    def read(cls, fields: Fields) -> "ExecutionFilter":
        client_id, account, since = fields.integer(), fields.text(), fields.text()
        symbol, sec_type, exchange, side = fields.texts(4)
        return cls(
            client_id=client_id,
            account=account,
            since=read_instant(since),
            symbol=symbol,
            sec_type=sec_type,
            exchange=exchange,
            side=side.upper(),
        )

    def passes(self, fill: Fill, account_id: str) -> bool:
        client_id = TWS_CLIENT_ID if fill.order is None else fill.order.client_id
        side = "BUY" if fill.side > 0 else "SELL"
        return (
            self.client_id in {0, client_id}
            and self.account in {"", account_id}
            and (self.since is None or fill.at >= self.since)
            and self.symbol in {"", fill.future.instrument.symbol}
            and self.sec_type in {"", fill.future.sec_type}
            and self.exchange in {"", fill.future.instrument.exchange}
            and self.side in {"", side}
        )


HANDLERS: Final[Mapping[int, Callable[[OrderDesk, Client, Fields], None]]] = {
    3: on_place,
    4: on_cancel,
    5: on_open_orders,
    7: on_executions,
    8: on_ids,
    15: on_auto_bind,
    16: on_all_open_orders,
    58: on_global_cancel,
    99: on_completed_orders,
}


def _list(desk: OrderDesk, client: Client, orders: list[ClientOrder]) -> None:
    for order in orders:
        client.send(*open_order(order, desk.venue.account_id, client.version))
        client.send(*order_status(order, client.version))
    client.send(53, 1)


def _id_of(client: Client) -> int:
    """The id under which a client started; requests before that are never dispatched."""
    return -1 if client.client_id is None else client.client_id
