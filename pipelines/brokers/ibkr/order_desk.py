"""Sends what the desk commands: each verb checks, notes what goes out, and sends it once.

Between a check and a send nothing is awaited, so that an order is either known here or was never
sent. Nothing is ever sent again by itself.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from engine.broker import (
    BrokerReport,
    CancelOrder,
    FlattenPosition,
    OrderEvent,
    OrderReported,
    PlaceBracket,
    PlaceProtection,
    PositionReported,
    ReplaceStop,
    WorkingOrder,
)
from engine.errors import BrokerUnreachable
from engine.instrument import Instrument
from engine.orders import LIVE_STATES, OrderState
from engine.units import OrderRef
from pipelines.brokers.ibkr.client_library import library_future, library_order
from pipelines.brokers.ibkr.known_orders import KnownOrder, KnownOrders
from pipelines.brokers.ibkr.link import Link
from pipelines.brokers.ibkr.market_clock import MarketClock
from pipelines.brokers.ibkr.messages import ListedContract, OrderTold, PositionTold
from pipelines.brokers.ibkr.order_terms import (
    OrderTerms,
    bracket_terms,
    closing_terms,
    protection_terms,
)
from pipelines.brokers.ibkr.questions import Questions

NOTHING_TO_CLOSE: Final = "nothing to close"


class OrderDesk:
    """The trading verbs over one link; `contract` is the dated future that is traded."""

    def __init__(
        self,
        link: Link,
        orders: KnownOrders,
        questions: Questions,
        clock: MarketClock,
        tell: Callable[[Iterable[BrokerReport]], None],
    ) -> None:
        self.contract: ListedContract | None = None
        self._link = link
        self._orders = orders
        self._questions = questions
        self._clock = clock
        self._tell = tell

    @property
    def _instrument(self) -> Instrument:
        return self._orders.instrument

    async def place_bracket(self, intent: PlaceBracket) -> None:
        """Send entry, stop and target; the last of them sets all three off."""
        self._send(bracket_terms(intent, self._instrument))

    async def place_protection(self, intent: PlaceProtection) -> None:
        """Send a stop, and a target in its OCA group."""
        self._send(protection_terms(intent, self._instrument))

    async def replace(self, change: ReplaceStop) -> None:
        """Send a working stop again under its id, with its new price."""
        client = self._link.trading_client
        order = self._orders.by_ref.get(change.ref)
        if order is None or order.order_id <= 0 or order.state not in LIVE_STATES:
            self._in_doubt([change.ref], "no working stop of this ref is known to the adapter")
            return
        order.terms = replace(
            order.terms, price=self._instrument.to_points(change.stop_ticks), transmit=True
        )
        order.is_change_asked = True
        self._place(client, order)

    async def cancel(self, cancel: CancelOrder) -> None:
        """Ask for the end of one order, also of one we took for ended: the desk saw it work."""
        client = self._link.trading_client
        order = self._orders.by_ref.get(cancel.ref)
        if order is None or order.order_id <= 0:
            self._in_doubt([cancel.ref], "no order of this ref is known to the adapter")
        elif order.state is not OrderState.FILLED:
            self._cancel(client, order)

    async def flatten(self, flatten: FlattenPosition) -> None:
        """Cancel every working order of the symbol and close its position at market.

        Both are asked for first: without an answer nothing is touched, and the native stop goes on
        protecting. Then cancels and the closing order go out in one breath. A position in another
        month than the traded one is closed by an order of its own, its ref lengthened.
        """
        self._orders.demand_new([flatten.ref])
        listed = await self._questions.open_orders()
        held = await self._questions.positions()
        ours = [position for position in held if position.symbol == flatten.symbol]
        contracts = [await self._contract_of(position) for position in ours]
        client = self._link.trading_client
        self._orders.demand_new([flatten.ref])
        self._cancel_all(client, flatten.symbol, listed)
        for position, contract in zip(ours, contracts, strict=True):
            is_traded = self.contract is None or contract.con_id == self.contract.con_id
            ref = (
                flatten.ref if is_traded or len(ours) == 1 else self._longer(flatten.ref, contract)
            )
            closing = closing_terms(replace(flatten, ref=ref), position.quantity)
            self._send((closing,), contract)
        if not ours:
            self._nothing_to_close(flatten)

    # ── Inside ──────────────────────────────────────────────────────────────────────────────────

    def _send(self, legs: Sequence[OrderTerms], contract: ListedContract | None = None) -> None:
        """Send orders that belong together; children follow the first one."""
        client = self._link.trading_client
        self._orders.demand_new(leg.ref for leg in legs)
        first_id = 0
        for leg in legs:
            order_id = client.client.getReqId()
            order = self._orders.sent(leg, order_id, first_id if leg.is_child else 0)
            self._place(client, order, contract)
            first_id = first_id or order_id

    def _place(
        self,
        client: Any,
        order: KnownOrder,
        contract: ListedContract | None = None,
    ) -> None:
        traded = contract or self.contract
        if traded is None:
            raise BrokerUnreachable("no contract is qualified yet; nothing was sent")
        library = self._link.settings.library
        client.client.placeOrder(
            order.order_id,
            library_future(library, traded),
            library_order(library, order.terms, order.parent_id, self._link.account),
        )

    def _cancel(self, client: Any, order: KnownOrder) -> None:
        order.is_cancel_asked = True
        client.client.cancelOrder(order.order_id, "")

    def _cancel_all(
        self, client: Any, symbol: str, listed: Sequence[tuple[OrderTold, WorkingOrder]]
    ) -> None:
        """End what works: our own orders one by one, and everything if somebody else's is there."""
        working = [told for told, order in listed if order.symbol == symbol]
        known = {order.order_id: order for order in self._orders.live()}
        for told in working:
            order = known.pop(told.order_id, None)
            if order is not None and told.client_id == self._link.settings.client_id:
                self._cancel(client, order)
        for order in known.values():
            if order.state is not OrderState.SENT and order.order_id > 0:
                self._cancel(client, order)
        if any(told.client_id != self._link.settings.client_id for told in working):
            client.client.reqGlobalCancel()

    async def _contract_of(self, position: PositionTold) -> ListedContract:
        if self.contract is not None and self.contract.con_id == position.con_id:
            return self.contract
        listed = await self._questions.contracts()
        for contract in listed:
            if contract.con_id == position.con_id:
                return contract
        raise BrokerUnreachable(
            f"{position.quantity} of conId {position.con_id} are held, which IB does not list "
            f"under {position.symbol}; close it by hand"
        )

    def _longer(self, ref: OrderRef, contract: ListedContract) -> OrderRef:
        return OrderRef(f"{ref}-{contract.local_symbol}")

    def _in_doubt(self, refs: Sequence[OrderRef], text: str) -> None:
        """Say that a ref is lost when nothing could be asked of it; the desk then queries."""
        now = self._clock.now()
        known = [ref for ref in refs if ref in self._orders.by_ref]
        reports = self._orders.lost(known, now, text)
        reports += [
            OrderReported(at=now, ref=ref, event=OrderEvent.LOST_TRACK, text=text)
            for ref in refs
            if ref not in self._orders.by_ref
        ]
        self._tell(reports)

    def _nothing_to_close(self, flatten: FlattenPosition) -> None:
        now = self._clock.now()
        self._tell(
            [
                OrderReported(
                    at=now, ref=flatten.ref, event=OrderEvent.CANCELLED, text=NOTHING_TO_CLOSE
                ),
                PositionReported(at=now, symbol=flatten.symbol, quantity=0),
            ]
        )
