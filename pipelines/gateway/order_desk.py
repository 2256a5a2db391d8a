"""Orders as clients give them: staged until they are transmitted, placed, changed, cancelled."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from engine.units import Side
from pipelines.gateway.instruments import Wanted
from pipelines.gateway.order_book import ClientOrder, Status
from pipelines.gateway.order_messages import WhatIf
from pipelines.gateway.order_request import OrderRequest
from pipelines.gateway.order_terms import SIDES, OrderTerms, Refusal, rejected, terms_of
from pipelines.gateway.told import ErrorTold, WhatIfTold
from pipelines.gateway.venue import Venue

ORDERS_PER_SIDE_MAX: Final = 15
"""IB takes no more than this many working orders on one side of one contract."""

STAGED_MAX: Final = 50
TWS_CLIENT_ID: Final = 0
"""Orders that no API client placed belong to this one."""

_Key = tuple[int, int]
"""Client id and order id."""


class OrderDesk:
    """What `placeOrder` and `cancelOrder` of every client lead to.

    An order that must not be transmitted yet waits here; the one of its family that is to be
    transmitted takes all of them to the exchange.
    """

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._by_key: dict[_Key, ClientOrder] = {}
        self._staged: dict[_Key, tuple[ClientOrder, OrderTerms]] = {}
        self._next_ids: dict[int, int] = {}

    def next_id(self, client_id: int) -> int:
        """The first order id that the client has never used, nor any below it."""
        return self._next_ids.get(client_id, 1)

    def place(self, client_id: int, request: OrderRequest) -> None:
        """Place, change, stage or refuse what a client asks for; the answer is told."""
        key = (client_id, request.order_id)
        venue, known = self.venue, self._by_key.get(key)
        terms = terms_of(request, venue.listing, venue.account_id, venue.market.now())
        if isinstance(terms, Refusal):
            self._refuse(key, terms)
        elif known is not None:
            self._change(known, request, terms)
        elif (refusal := self._refusal(key, request, terms)) is not None:
            self._refuse(key, refusal)
        else:
            order = self._new_order(client_id, request, terms)
            if request.what_if:
                order.status = Status.PRE_SUBMITTED
                what_if = self._what_if(terms)
                venue.books.outbox.listener(WhatIfTold(order=order, what_if=what_if))
                return
            self._by_key[key] = order
            self._next_ids[client_id] = max(self.next_id(client_id), request.order_id + 1)
            self._staged[key] = (order, terms)
            if request.transmit:
                self._transmit_family(order)

    def cancel(self, client_id: int, order_id: int) -> None:
        """Cancel one order of the client's own; the answer is told."""
        key = (client_id, order_id)
        order = self._by_key.get(key)
        if order is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            self._refuse(key, Refusal(10147, text))
        elif key in self._staged:
            self._forget(key)
            self._refuse(key, Refusal(202, "Order Canceled - reason:"))
        elif order.status.is_over:
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: "
            self._refuse(key, Refusal(10148, f"{text}{order.status.value}."))
        else:
            self.venue.cancel(order)

    def forget_staged(self, client_id: int) -> None:
        """Drop what a client never transmitted before it left."""
        for key in [key for key in self._staged if key[0] == client_id]:
            self._forget(key)

    def place_by_hand(self, side: Side, quantity: int, limit_ticks: int) -> None:
        """Place a limit order of the account's owner, in no client's name and without a ref."""
        traded = self.venue.listing.traded()
        own_ids = [-order_id for client_id, order_id in self._by_key if client_id == TWS_CLIENT_ID]
        limit = traded.instrument.to_points(limit_ticks)
        request = OrderRequest(
            order_id=-max([0, *own_ids]) - 1,
            wanted=Wanted(con_id=traded.con_id),
            action=next(word for word, each in SIDES.items() if each is side),
            quantity=Decimal(quantity),
            order_type="LMT",
            limit=limit,
            time_in_force="GTC",
        )
        self.place(TWS_CLIENT_ID, request)

    def _refuse(self, key: _Key, refusal: Refusal) -> None:
        client_id, order_id = key
        told = ErrorTold(
            client_id=client_id, order_id=order_id, code=refusal.code, text=refusal.text
        )
        self.venue.books.outbox.listener(told)

    def _refusal(self, key: _Key, request: OrderRequest, terms: OrderTerms) -> Refusal | None:
        """Why a new order with good terms can still not be taken."""
        if request.parent_id and self._parent_of(key[0], request) is None:
            return Refusal(10006, "Missing parent order.")
        if len(self._staged) >= STAGED_MAX:
            return rejected("Too many orders wait to be transmitted")
        staged = [order for order, _ in self._staged.values()]
        same_side = [o for o in (*self.venue.books.working, *staged) if o.side is terms.side]
        if len(same_side) >= ORDERS_PER_SIDE_MAX:
            side = "buy" if terms.side is Side.LONG else "sell"
            return rejected(
                f"Maximum of {ORDERS_PER_SIDE_MAX} orders working on the {side} side is reached"
            )
        return None

    def _parent_of(self, client_id: int, request: OrderRequest) -> ClientOrder | None:
        """The living order that a child names; a child cannot have children."""
        parent = self._by_key.get((client_id, request.parent_id))
        if parent is None or parent.status.is_over or parent.parent is not None:
            return None
        return parent

    def _new_order(self, client_id: int, request: OrderRequest, terms: OrderTerms) -> ClientOrder:
        return ClientOrder(
            perm_id=self.venue.books.new_perm_id(),
            client_id=client_id,
            request=request,
            future=terms.future,
            side=terms.side,
            kind=terms.kind,
            placed_at=self.venue.market.now(),
            parent=self._parent_of(client_id, request) if request.parent_id else None,
        )

    def _change(self, order: ClientOrder, request: OrderRequest, terms: OrderTerms) -> None:
        key = (order.client_id, order.order_id)
        is_same = (terms.side, terms.kind) == (order.side, order.kind)
        if order.status is Status.FILLED and is_same:
            self._refuse(key, Refusal(104, "Cannot modify a filled order."))
        elif order.status.is_over:
            self._refuse(key, Refusal(103, "Duplicate order id"))
        elif not is_same or request.parent_id != order.request.parent_id:
            text = "Order being modified does not match original order."
            self._refuse(key, Refusal(105, text))
        elif key in self._staged:
            order.request = request
            self._staged[key] = (order, terms)
            if request.transmit:
                self._transmit_family(order)
        else:
            order.request = replace(request, order_ref=request.order_ref or order.request.order_ref)
            self.venue.change(order, terms)

    def _transmit_family(self, order: ClientOrder) -> None:
        """Send an order with all that is staged of its family: parent first, then by arrival."""
        head = order.parent or order
        family = [
            key for key, (each, _) in self._staged.items() if each is head or each.parent is head
        ]
        family.sort(key=lambda key: self._staged[key][0] is not head)
        self.venue.transmit([self._staged.pop(key) for key in family])

    def _forget(self, key: _Key) -> None:
        order, _ = self._staged.pop(key)
        order.status = Status.CANCELLED
        del self._by_key[key]

    def _what_if(self, terms: OrderTerms) -> WhatIf:
        venue, position = self.venue, self.venue.books.holding.quantity
        after = abs(position + terms.side * terms.quantity)
        return WhatIf(
            equity_usd=venue.exchange.account(venue.market.now()).equity_usd or Decimal(0),
            margin_before_usd=venue.margin_usd * abs(position),
            margin_after_usd=venue.margin_usd * after,
            commission_usd=terms.future.instrument.fees.per_side_usd * terms.quantity,
        )
