"""Every order of ours that IB knows, and what each message about one is worth telling the desk.

The state of an order comes from the broker's own words: status messages, executions and typed
refusals. An error code alone never ends an order. States follow the engine's table, so a report
that is late, doubled or out of order moves nothing back and is not told.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from engine.broker import (
    BrokerReport,
    CommissionReported,
    ExecutionReported,
    OrderEvent,
    OrderReported,
)
from engine.errors import DuplicateOrderRef
from engine.instrument import Instrument
from engine.orders import LIVE_STATES, OrderState, is_final, next_state
from engine.units import OrderRef
from pipelines.brokers.ibkr.error_codes import OrderReaction, order_reaction
from pipelines.brokers.ibkr.messages import (
    CommissionTold,
    ErrorTold,
    ExecutionTold,
    OrderTold,
    StatusTold,
)
from pipelines.brokers.ibkr.order_terms import OrderTerms, learnt_terms

WORKING: Final = frozenset({"PreSubmitted", "Submitted"})
ENDED: Final = frozenset({"Cancelled", "ApiCancelled"})
INACTIVE: Final = "Inactive"
CLOCK_LAG: Final = timedelta(seconds=5)
"""How far our clock may be behind the broker's: the bar that ends a life is told after its end."""


@dataclass(slots=True, kw_only=True)
class KnownOrder:
    """One order under its ref; `filled` holds the newest revision of each of its executions."""

    terms: OrderTerms
    order_id: int
    perm_id: int = 0
    parent_id: int = 0
    state: OrderState = OrderState.SENT
    filled: dict[str, tuple[int, int]] = field(default_factory=dict)
    filled_by_status: int = 0
    is_cancel_asked: bool = False
    is_change_asked: bool = False
    refusal: str = ""

    @property
    def quantity_filled(self) -> int:
        return sum(quantity for _, quantity in self.filled.values())

    @property
    def is_full(self) -> bool:
        return self.quantity_filled >= self.terms.quantity > 0


@dataclass(slots=True)
class KnownOrders:
    """The orders of one client id, across connections; kept by whoever talks to the gateway.

    `is_silent` is set while a new connection is being read in: what is learnt then is not told,
    because the desk asks for it as a whole.
    """

    instrument: Instrument
    client_id: int = 1
    is_silent: bool = False
    by_ref: dict[OrderRef, KnownOrder] = field(default_factory=dict)
    _refs_by_order_id: dict[int, OrderRef] = field(default_factory=dict)
    _refs_by_perm_id: dict[int, OrderRef] = field(default_factory=dict)
    _executions_told: set[str] = field(default_factory=set)

    # ── What we send ────────────────────────────────────────────────────────────────────────────

    def demand_new(self, refs: Iterable[OrderRef]) -> None:
        """Raise `DuplicateOrderRef` for a ref that the broker has, or had, an order of."""
        for ref in refs:
            if ref in self.by_ref:
                raise DuplicateOrderRef(
                    f"expected a ref never sent before, got {ref} again; nothing was sent: "
                    "ask the broker for it and reconcile"
                )

    def sent(self, terms: OrderTerms, order_id: int, parent_id: int) -> KnownOrder:
        """Note an order that goes out now; `parent_id` is 0 for one that waits for no other."""
        order = KnownOrder(terms=terms, order_id=order_id, parent_id=parent_id)
        self.by_ref[terms.ref] = order
        self._refs_by_order_id[order_id] = terms.ref
        return order

    def live(self) -> tuple[KnownOrder, ...]:
        """Orders that may still trade, oldest first."""
        return tuple(order for order in self.by_ref.values() if order.state in LIVE_STATES)

    @property
    def is_short_of_fills(self) -> bool:
        """Whether a status spoke of more than the executions that were told."""
        return any(
            order.filled_by_status > order.quantity_filled
            for order in self.by_ref.values()
            if order.state is not OrderState.FILLED
        )

    def find(self, order_id: int) -> KnownOrder | None:
        """The order of an id of ours."""
        ref = self._refs_by_order_id.get(order_id)
        return None if ref is None else self.by_ref[ref]

    def lost(self, refs: Iterable[OrderRef], at: datetime, text: str) -> list[BrokerReport]:
        """Say that only the broker knows how these stand; orders that ended are left alone."""
        return [
            report
            for ref in refs
            if (order := self.by_ref.get(ref)) is not None
            for report in self._moved(order, OrderEvent.LOST_TRACK, at, text)
        ]

    def unacknowledged(self) -> tuple[OrderRef, ...]:
        """Orders that were sent, and of which the broker has said nothing."""
        return tuple(ref for ref, order in self.by_ref.items() if order.state is OrderState.SENT)

    # ── What we are told ────────────────────────────────────────────────────────────────────────

    def on_order(self, told: OrderTold, at: datetime) -> list[BrokerReport]:
        """Learn of an order that is listed; raises `OffGridPrice` for a price between ticks."""
        if told.ref is None or told.symbol != self.instrument.symbol:
            return []
        if not told.is_completed and told.client_id != self.client_id:
            return []  # Another client's: its order ids say nothing about ours.
        order = self.by_ref.get(told.ref)
        if order is None:
            order = KnownOrder(
                terms=learnt_terms(told.ref, told), order_id=told.order_id, parent_id=told.parent_id
            )
            self.by_ref[told.ref] = order
        if told.order_id > 0:
            order.order_id = told.order_id
            self._refs_by_order_id[told.order_id] = told.ref
        if told.perm_id:
            order.perm_id = told.perm_id
            self._refs_by_perm_id[told.perm_id] = told.ref
        if told.is_completed and not is_final(order.state):
            return self._on_status_text(order, told.status, at, told.status_text)
        return []

    def on_status(self, told: StatusTold, at: datetime) -> list[BrokerReport]:
        """A status of one of our orders; what is told of others' is left to the open orders."""
        order = self._named(told.client_id, told.order_id, told.perm_id)
        if order is None:
            return []
        if told.perm_id:
            order.perm_id = told.perm_id
            self._refs_by_perm_id[told.perm_id] = order.terms.ref
        order.filled_by_status = max(order.filled_by_status, told.filled)
        return self._on_status_text(order, told.status, at, "")

    def on_execution(self, told: ExecutionTold, at: datetime) -> list[BrokerReport]:
        """A fill, told once per execution id, and the state that its order is in with it."""
        if told.symbol != self.instrument.symbol or told.execution_id in self._executions_told:
            return []
        order = self._named(told.client_id, told.order_id, told.perm_id)
        if order is None and told.ref is not None:
            order = self.by_ref.get(told.ref)
        if order is not None:
            base, revision = _identity(told.execution_id)
            if order.filled.get(base, (-1, 0))[0] < revision:
                order.filled[base] = (revision, told.quantity)
        if self.is_silent:
            return self._follow_fills(order, at)
        self._executions_told.add(told.execution_id)
        return [self.execution_report(told), *self._follow_fills(order, at)]

    def execution_report(self, told: ExecutionTold) -> ExecutionReported:
        """The execution as the port has it, at the exchange's own time.

        One of an order without a ref, which is not ours, names the order's permId instead.
        """
        order = self._named(told.client_id, told.order_id, told.perm_id)
        ref = told.ref or (None if order is None else order.terms.ref)
        return ExecutionReported(
            at=told.at,
            execution_id=told.execution_id,
            ref=ref or OrderRef(f"permId/{told.perm_id}"),
            symbol=told.symbol,
            side=told.side,
            quantity=told.quantity,
            price_ticks=self.instrument.to_ticks(told.price),
        )

    def on_commission(self, told: CommissionTold, at: datetime) -> list[BrokerReport]:
        """A fee, unless the broker does not know it yet."""
        if told.commission_usd is None or self.is_silent:
            return []
        return [
            CommissionReported(
                at=at, execution_id=told.execution_id, commission_usd=told.commission_usd
            )
        ]

    def on_error(self, told: ErrorTold, at: datetime) -> list[BrokerReport]:
        """An error with the id of one of our orders: refused, in doubt, or only a word."""
        order = self.find(told.request_id)
        if order is None:
            return []
        text = f"{told.code}: {told.text}"
        match order_reaction(told.code):
            case OrderReaction.LIVES:
                return []
            case OrderReaction.ENDING:
                return []
            case OrderReaction.IN_DOUBT:
                return self._moved(order, OrderEvent.LOST_TRACK, at, text)
            case OrderReaction.REFUSED:
                return self._refused(order, told.code, at, text)

    # ── Inside ──────────────────────────────────────────────────────────────────────────────────

    def _named(self, client_id: int, order_id: int, perm_id: int) -> KnownOrder | None:
        """Our order of a permId, which is unique, or of an order id, which is a client's own."""
        ref = self._refs_by_perm_id.get(perm_id) if perm_id else None
        if ref is None and order_id > 0 and client_id == self.client_id:
            ref = self._refs_by_order_id.get(order_id)
        return None if ref is None else self.by_ref[ref]

    def _on_status_text(
        self, order: KnownOrder, status: str, at: datetime, text: str
    ) -> list[BrokerReport]:
        if status in WORKING:
            order.is_change_asked = False
            event = OrderEvent.PARTIALLY_FILLED if order.quantity_filled else OrderEvent.ACCEPTED
            return self._moved(order, event, at, text)
        if status == "Filled":
            if order.is_full or self.is_silent:
                return self._moved(order, OrderEvent.FILLED, at, text)
            order.filled_by_status = order.terms.quantity
            return []  # Its fills are missing: they are asked for, not assumed.
        if status in ENDED:
            return self._ended(order, at, text)
        if status == INACTIVE and order.refusal:
            return self._moved(order, OrderEvent.REJECTED, at, order.refusal)
        if status == INACTIVE and order.state is not OrderState.SENT:
            return self._moved(order, OrderEvent.LOST_TRACK, at, "inactive at the broker")
        return []  # Pending, or refused for a reason that follows.

    def _ended(self, order: KnownOrder, at: datetime, text: str) -> list[BrokerReport]:
        """What a plain "Cancelled" was: a refusal, the end of a life, or a cancel."""
        parent = self.find(order.parent_id)
        if order.quantity_filled == 0 and (
            order.refusal or (parent is not None and parent.state is OrderState.REJECTED)
        ):
            why = order.refusal or f"its entry was refused: {parent.refusal if parent else ''}"
            return self._moved(order, OrderEvent.REJECTED, at, why)
        good_till = order.terms.good_till
        is_due = good_till is not None and at >= good_till - CLOCK_LAG
        if is_due and not order.is_cancel_asked:
            return self._moved(order, OrderEvent.EXPIRED, at, text)
        return self._moved(order, OrderEvent.CANCELLED, at, text)

    def _refused(self, order: KnownOrder, code: int, at: datetime, text: str) -> list[BrokerReport]:
        """A refusal of the order itself, or of what was last asked of an order that works."""
        is_about_change = order.is_change_asked or order.is_cancel_asked
        was_taken = order.state is not OrderState.SENT
        if is_about_change or (was_taken and code != 201):
            order.is_change_asked = False
            return self._moved(order, OrderEvent.LOST_TRACK, at, text)
        order.refusal = text
        return self._moved(order, OrderEvent.REJECTED, at, text)

    def _follow_fills(self, order: KnownOrder | None, at: datetime) -> list[BrokerReport]:
        if order is None or not order.filled:
            return []
        event = OrderEvent.FILLED if order.is_full else OrderEvent.PARTIALLY_FILLED
        return self._moved(order, event, at, "")

    def _moved(
        self, order: KnownOrder, event: OrderEvent, at: datetime, text: str
    ) -> list[BrokerReport]:
        return list(self._move(order, event, at, text))

    def _move(
        self, order: KnownOrder, event: OrderEvent, at: datetime, text: str
    ) -> Iterator[BrokerReport]:
        state = next_state(order.state, event)
        if state is order.state:
            return
        order.state = state
        if not self.is_silent:
            yield OrderReported(at=at, ref=order.terms.ref, event=event, text=text)


def _identity(execution_id: str) -> tuple[str, int]:
    """`("0000e0d5.1", 2)` of `"0000e0d5.1.02"`: what was executed, and its revision."""
    base, _, revision = execution_id.rpartition(".")
    return (base, int(revision)) if base and revision.isdigit() else (execution_id, 0)
