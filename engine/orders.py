"""The life of one order: a table of states, with the awkward rows written out.

Quantity and price come from executions, never from here. Reports may be late, doubled, lost or out
of order, so a report never moves an order back: it moves it on, or leaves it where it is.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from engine.broker import OrderEvent
from engine.errors import ImpossibleTransition


class OrderState(StrEnum):
    """Where an order is in its life, as far as we know."""

    CREATED = "created"
    SENT = "sent"
    WORKING = "working"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


_S = OrderState
_E = OrderEvent

NEXT_STATE: Final[Mapping[tuple[OrderState, OrderEvent], OrderState]] = {
    # The plain life. `SEND` has this one row: no order is ever sent twice.
    (_S.CREATED, _E.SEND): _S.SENT,
    (_S.SENT, _E.ACCEPTED): _S.WORKING,
    (_S.SENT, _E.REJECTED): _S.REJECTED,
    (_S.WORKING, _E.PARTIALLY_FILLED): _S.PARTIAL,
    (_S.WORKING, _E.FILLED): _S.FILLED,
    (_S.WORKING, _E.CANCEL_REQUESTED): _S.CANCELLING,
    (_S.WORKING, _E.EXPIRED): _S.EXPIRED,
    (_S.PARTIAL, _E.PARTIALLY_FILLED): _S.PARTIAL,
    (_S.PARTIAL, _E.FILLED): _S.FILLED,
    (_S.PARTIAL, _E.CANCEL_REQUESTED): _S.CANCELLING,
    (_S.CANCELLING, _E.CANCELLED): _S.CANCELLED,
    # After a restart the broker already knows an intent on disk: the crash came after the send.
    (_S.CREATED, _E.ACCEPTED): _S.WORKING,
    (_S.CREATED, _E.PARTIALLY_FILLED): _S.PARTIAL,
    (_S.CREATED, _E.FILLED): _S.FILLED,
    (_S.CREATED, _E.CANCELLED): _S.CANCELLED,
    (_S.CREATED, _E.REJECTED): _S.REJECTED,
    (_S.CREATED, _E.EXPIRED): _S.EXPIRED,
    (_S.CREATED, _E.LOST_TRACK): _S.UNKNOWN,  # Nobody can say whether the send went out.
    # Something outran, or swallowed, the acknowledgement.
    (_S.SENT, _E.PARTIALLY_FILLED): _S.PARTIAL,
    (_S.SENT, _E.FILLED): _S.FILLED,
    (_S.SENT, _E.CANCEL_REQUESTED): _S.CANCELLING,
    (_S.SENT, _E.CANCELLED): _S.CANCELLED,  # Its parent died or its OCA sibling filled.
    (_S.SENT, _E.EXPIRED): _S.EXPIRED,
    (_S.SENT, _E.LOST_TRACK): _S.UNKNOWN,  # Disconnected between the send and the acknowledgement.
    # A working order that the broker ends, or says again what it said.
    (_S.WORKING, _E.ACCEPTED): _S.WORKING,  # A duplicate, or the answer to a replace.
    (_S.WORKING, _E.CANCELLED): _S.CANCELLED,  # Unasked: OCA, or the broker's own hand.
    (
        _S.WORKING,
        _E.REJECTED,
    ): _S.REJECTED,  # Late reject: accepted by the broker, not the exchange.
    (_S.WORKING, _E.LOST_TRACK): _S.UNKNOWN,
    (_S.PARTIAL, _E.ACCEPTED): _S.PARTIAL,  # The acknowledgement came after the first fill.
    (_S.PARTIAL, _E.CANCELLED): _S.CANCELLED,  # The rest is gone; the part stays ours.
    (_S.PARTIAL, _E.REJECTED): _S.CANCELLED,  # Rest refused. REJECTED would say nothing traded.
    (_S.PARTIAL, _E.EXPIRED): _S.EXPIRED,  # The life ended with a part filled.
    (_S.PARTIAL, _E.LOST_TRACK): _S.UNKNOWN,
    # Our cancel is on its way, and the exchange has not heard it yet.
    (_S.CANCELLING, _E.ACCEPTED): _S.CANCELLING,  # The acknowledgement crossed our cancel.
    (
        _S.CANCELLING,
        _E.PARTIALLY_FILLED,
    ): _S.CANCELLING,  # A part traded first; still to be cancelled.
    (_S.CANCELLING, _E.FILLED): _S.FILLED,  # The fill won the race.
    (_S.CANCELLING, _E.CANCEL_REQUESTED): _S.CANCELLING,  # Never answered: asked again.
    (_S.CANCELLING, _E.REJECTED): _S.REJECTED,  # The order itself was refused meanwhile.
    (_S.CANCELLING, _E.EXPIRED): _S.EXPIRED,
    (_S.CANCELLING, _E.LOST_TRACK): _S.UNKNOWN,  # A refused or never answered cancel.
    # Lost, and found again by a query or a late report.
    (_S.UNKNOWN, _E.ACCEPTED): _S.WORKING,
    (_S.UNKNOWN, _E.PARTIALLY_FILLED): _S.PARTIAL,
    (_S.UNKNOWN, _E.FILLED): _S.FILLED,
    (_S.UNKNOWN, _E.CANCELLED): _S.CANCELLED,
    (_S.UNKNOWN, _E.REJECTED): _S.REJECTED,  # Also the proven absence: it never arrived.
    (_S.UNKNOWN, _E.EXPIRED): _S.EXPIRED,
    (_S.UNKNOWN, _E.CANCEL_REQUESTED): _S.UNKNOWN,  # To ask for its end is not to know it.
    (_S.UNKNOWN, _E.LOST_TRACK): _S.UNKNOWN,
    # Filled is the last word: whatever comes after it is late.
    (_S.FILLED, _E.ACCEPTED): _S.FILLED,
    (_S.FILLED, _E.PARTIALLY_FILLED): _S.FILLED,
    (_S.FILLED, _E.FILLED): _S.FILLED,
    (_S.FILLED, _E.CANCELLED): _S.FILLED,  # The cancel lost the race and its answer is stale.
    (_S.FILLED, _E.REJECTED): _S.FILLED,
    (_S.FILLED, _E.EXPIRED): _S.FILLED,
    (_S.FILLED, _E.LOST_TRACK): _S.FILLED,  # What is finished cannot be lost.
    # Cancelled and expired orders may still turn out to have filled: the exchange is right.
    (_S.CANCELLED, _E.ACCEPTED): _S.CANCELLED,
    (_S.CANCELLED, _E.PARTIALLY_FILLED): _S.CANCELLED,  # The part traded before the cancel.
    (_S.CANCELLED, _E.FILLED): _S.FILLED,
    (_S.CANCELLED, _E.CANCELLED): _S.CANCELLED,
    (_S.CANCELLED, _E.REJECTED): _S.CANCELLED,
    (_S.CANCELLED, _E.EXPIRED): _S.CANCELLED,
    (_S.CANCELLED, _E.LOST_TRACK): _S.CANCELLED,
    (_S.EXPIRED, _E.ACCEPTED): _S.EXPIRED,
    (_S.EXPIRED, _E.PARTIALLY_FILLED): _S.EXPIRED,
    (_S.EXPIRED, _E.FILLED): _S.FILLED,
    (_S.EXPIRED, _E.CANCELLED): _S.EXPIRED,
    (_S.EXPIRED, _E.REJECTED): _S.EXPIRED,
    (_S.EXPIRED, _E.EXPIRED): _S.EXPIRED,
    (_S.EXPIRED, _E.LOST_TRACK): _S.EXPIRED,
    # A rejected order that trades is a contradiction: a whole fill settles it, a part does not.
    (_S.REJECTED, _E.ACCEPTED): _S.REJECTED,  # Reordered: the acknowledgement was sent first.
    (_S.REJECTED, _E.PARTIALLY_FILLED): _S.UNKNOWN,
    (_S.REJECTED, _E.FILLED): _S.FILLED,
    (_S.REJECTED, _E.CANCELLED): _S.REJECTED,
    (_S.REJECTED, _E.REJECTED): _S.REJECTED,
    (_S.REJECTED, _E.EXPIRED): _S.REJECTED,
    (_S.REJECTED, _E.LOST_TRACK): _S.REJECTED,
}
"""Impossible by intent: a second `SEND`, an end asked for an order never sent or already ended.

`REJECTED` is about the order itself; an adapter reports a refused cancel as `LOST_TRACK`, never as
`REJECTED`, and a broker's warning about a live order not at all.
"""

FINAL_STATES: Final = frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})
"""Nothing is expected any more, though a late fill may still correct three of them."""

LIVE_STATES: Final = frozenset({_S.SENT, _S.WORKING, _S.PARTIAL, _S.CANCELLING, _S.UNKNOWN})
"""The order was sent and may trade at any moment."""


def next_state(state: OrderState, event: OrderEvent) -> OrderState:
    """The state after an event; raises `ImpossibleTransition` for a pair not in the table."""
    try:
        return NEXT_STATE[state, event]
    except KeyError:
        raise ImpossibleTransition(
            f"an order in state {state.value!r} cannot meet event {event.value!r}; "
            "expected a pair of engine.orders.NEXT_STATE: find who sent the event before resuming"
        ) from None


def is_final(state: OrderState) -> bool:
    """Whether the order has ended, as far as is known."""
    return state in FINAL_STATES


def is_live(state: OrderState) -> bool:
    """Whether the order was sent and may still trade."""
    return state in LIVE_STATES
